// The cursor comes round and overwrites what was written longest ago. A document that should stay
// is appended again before that, as the reference does it (spec A.9): `passed_` runs ahead of the
// cursor, round the stripe's end too, and every document between the two that was wanted is at its
// new place.
//
// Wanted are the *pinned* documents, which the rows tell (a scan of the directory every sixteenth
// of a lap, only where something may be pinned), and the *hot* ones, which the reader notes down
// when a get hits them and the cursor is near. What is moved is verified first, like any read. A
// head is moved only where it is the object's newest; a fragment only where the object's head still
// speaks of it: what is left of replaced, purged and abandoned uploads is not carried along.
//
// A moved document names the row of its old place (`moved_from`); roll-forward ends that row and
// adds the new one, as it was done the first time. So after a cut the object is found at the one
// place or the other, never nowhere: the old place is overwritten only by a data write that comes
// after the one that holds the new place. The gate `evacuation_order` sees to that in log.cc:
// without it both may be part of one write, and a torn one loses both.
//
// Moving must not eat the log: in one cycle at most half of the data area is written with what was
// moved, hot documents may use an eighth. What goes beyond is overwritten like anything else. The
// header counts (`evacuated_bytes`), so that a restart does not begin anew.
//
// A life begins with nothing passed. Pinned documents right ahead of the cursor are then those
// whose move was in flight when the one before ended, and there is room for them: the write that
// should have moved them did not reach their old places. A document that became hot just now may
// lie too near; it is left, because its move would take the room that those behind it need.
//
// Example: data area 200K, fragments 8K, cursor at 40K, k1 is pinned and lies at 60K. A put of 8K
// wants 24K free of wanted documents ahead of it: [40K, 64K) is passed, k1 is appended at 40K and
// its row at 60K is gone; then comes the put, at 48K.
#include "engine/cyclone/evacuation.h"

#include <algorithm>
#include <map>

namespace engine::cyclone {
namespace {

constexpr std::uint64_t scans_of_a_lap = 16;
/// Kept free of wanted documents behind the one that is to be written: room for what is moved next,
/// and what is lost where the log wraps.
constexpr std::uint64_t margin_fragments = 2;

/// True where `alternate` tells of a fragment of `key` at `body_offset`.
bool speaks_of(const Alternate& alternate, const Key& key, std::uint64_t body_offset) {
  if (alternate.resident || body_offset >= alternate.object_bytes ||
      body_offset % alternate.fragment_content_bytes != 0) {
    return false;
  }
  Key each = alternate.earliest;
  for (std::uint64_t at = 0; at < body_offset; at += alternate.fragment_content_bytes) {
    each = next_fragment(each);
  }
  return each == key;
}

bool speaks_of(const Vector& vector, const Key& key, std::uint64_t body_offset) {
  const auto all = vector.all();
  return std::any_of(all.begin(), all.end(), [&](const Alternate& each) {
    return speaks_of(each, key, body_offset);
  });
}

}  // namespace

Evacuation::Evacuation(Core& core, Log& log, Reader& reader, Writer& writer)
    : core_(core), log_(log), reader_(reader), writer_(writer) {}

std::uint64_t Evacuation::cursor() const {
  return log_.window().head;
}

void Evacuation::restart() {
  core_.wanted.clear();
  passed_ = scanned_ = cursor();
}

/// Bytes ahead of the cursor that are passed. More than half a lap: the cursor overtook.
std::uint64_t Evacuation::gap() const {
  const std::uint64_t lap = core_.geometry.data_bytes();
  const std::uint64_t ahead = (passed_ + lap - std::min(cursor(), lap)) % lap;
  return ahead > lap / 2 ? 0 : ahead;
}

/// Notes down what is pinned in the next sixteenth of a lap.
void Evacuation::scan() {
  const std::uint64_t lap = core_.geometry.data_bytes();
  const std::uint64_t begin = passed_;
  const std::uint64_t step = std::max<std::uint64_t>(lap / scans_of_a_lap, block_bytes);
  scanned_ = std::min(lap, passed_ + step);
  if (core_.config.pins.empty()) {
    return;
  }
  const Window window = log_.window();
  core_.directory.for_each([&](std::uint32_t, std::uint32_t, const Row& row) {
    if (row.pinned && row.data_offset() >= begin && row.data_offset() < scanned_ &&
        window.holds(row)) {
      core_.wanted.insert_or_assign(row.offset_blocks, row);
    }
  });
}

/// The newest head of its key, pinned or hot.
Result<std::optional<Found>> Evacuation::wanted_head(const Found& found, bool& pinned) {
  const std::uint64_t at = found.data_offset;
  auto head = reader_.find_head(found.header.first_key, {});
  Vector vector;
  if (!head || !*head || (*head)->data_offset != at || !decode_vector((*head)->meta, vector)) {
    return head ? Result<std::optional<Found>>(std::nullopt) : head;
  }
  pinned = is_pinned(core_.config, vector.object);
  return head;
}

/// A fragment that the newest head of its object speaks of.
Result<std::optional<Found>> Evacuation::wanted_fragment(const Found& found, bool& pinned) {
  const DocumentHeader header = found.header;
  const auto head = reader_.find_head(header.first_key, {});
  Vector vector;
  if (!head || !*head || !decode_vector((*head)->meta, vector) ||
      !speaks_of(vector, header.key, header.body_offset)) {
    return head ? Result<std::optional<Found>>(std::nullopt) : head;
  }
  pinned = is_pinned(core_.config, vector.object);
  auto fragment = reader_.find_fragment(header.first_key, header.key, header.body_offset);
  if (fragment && *fragment && (*fragment)->data_offset != found.data_offset) {
    return std::optional<Found>();
  }
  return fragment;
}

bool Evacuation::may_move(const Found& found, bool pinned) {
  const StripeGeometry& geometry = core_.geometry;
  const std::uint64_t room = rounded_length(found.header.length, geometry);
  const std::uint64_t allowed = geometry.data_bytes() / (pinned ? 2 : 8);
  const std::uint64_t lap = geometry.data_bytes();
  const std::uint64_t ahead = (found.data_offset + lap - log_.next_place(room)) % lap;
  const std::uint64_t least = pinned ? room : margin_fragments * geometry.fragment_bytes;
  return core_.header.evacuated_bytes + room <= allowed && ahead >= least && ahead + room <= lap;
}

Status Evacuation::move(const Row& row) {
  auto found = reader_.read(row);
  bool pinned = false;
  if (found && *found) {
    found = (*found)->header.kind == DocumentKind::head ? wanted_head(**found, pinned)
                                                        : wanted_fragment(**found, pinned);
  }
  if (!found || !*found) {
    return {};  // gone, or not to be read any more: so it is for every get
  }
  if (!may_move(**found, pinned)) {
    ++core_.counters.evacuations_refused;
    return {};
  }
  DocumentHeader header = (*found)->header;
  header.pinned = pinned;
  header.moved_from = row.offset_blocks;
  const bool head = header.kind == DocumentKind::head;
  if (head) {
    header.body_offset = row.offset_blocks;
  }
  const auto at = writer_.append(header, (*found)->meta, (*found)->content);
  if (!at) {
    return tl::unexpected(at.error());
  }
  log_.replace(header.key, row);
  log_.index(header.key, *at, header.length, head, pinned);
  ++core_.counters.evacuated;
  return {};
}

/// Moves what is wanted in the next `bytes`, as far as it is scanned.
Status Evacuation::pass(std::uint64_t bytes) {
  const std::uint64_t end = std::min(scanned_, passed_ + bytes);
  const auto first = core_.wanted.lower_bound(passed_ / block_bytes + 1);
  const auto last = core_.wanted.lower_bound(end / block_bytes + 1);
  const std::map<std::uint64_t, Row> rows(first, last);
  core_.wanted.erase(first, last);
  for (auto row = rows.begin(); row != rows.end(); ++row) {
    const Status moved = move(row->second);
    if (!moved) {
      core_.wanted.insert(row, rows.end());  // tried again, as long as the cursor is not there
      return moved;
    }
  }
  passed_ = end == core_.geometry.data_bytes() ? 0 : end;
  scanned_ = passed_ == 0 ? 0 : scanned_;
  return {};
}

Status Evacuation::make_way(std::uint64_t bytes) {
  if (core_.config.pins.empty() && core_.wanted.empty()) {
    passed_ = scanned_ = cursor();
    return {};
  }
  if (gap() == 0 || failed_writes_ != core_.counters.failed_writes) {
    // What a refused write held is at its old place, ahead of the cursor that went back.
    passed_ = scanned_ = cursor();
    failed_writes_ = core_.counters.failed_writes;
  }
  const StripeGeometry& geometry = core_.geometry;
  const std::uint64_t margin = margin_fragments * geometry.fragment_bytes;
  const std::uint64_t room = rounded_length(bytes, geometry) + margin;
  while (gap() < std::min(room, geometry.data_bytes() / 4)) {
    if (passed_ == scanned_) {
      scan();
    }
    const Status done = pass(geometry.fragment_bytes);
    if (!done) {
      return done;
    }
  }
  return {};
}

}  // namespace engine::cyclone
