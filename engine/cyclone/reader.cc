// A read believes nothing: the row gives a place and a rough size, the document there says what it
// is, and its checksums say whether that is so. A document of another key is no surprise (tags have
// 12 bits, and the log overwrites): it is passed over. Of several heads of one key the one written
// last counts, and none from before everything was purged: a disk that loses what it promised may
// show one in a place where a newer one was written. A part that is missing or damaged makes the
// whole object a miss, before a byte of it is handed out.
#include "engine/cyclone/reader.h"

#include <algorithm>

#include "engine/alternate.h"

namespace engine::cyclone {
namespace {

void clear(GetReply& reply) {
  reply.hit = false;
  reply.header.clear();
  reply.body.clear();
  reply.body_bytes = 0;
  reply.parts.clear();
}

/// Where a document lies: what `Reader::still` compares.
std::uint64_t place_of(std::uint64_t data_offset, bool phase) {
  return data_offset / block_bytes * 2 + (phase ? 1 : 0);
}

}  // namespace

Reader::Reader(Core& core, Log& log) : core_(core), log_(log) {}

/// Whole sectors of the document at `row`, as far as they lie in the data area.
std::span<std::byte> Reader::extent(const Row& row, std::uint64_t bytes_max) {
  const StripeGeometry& geometry = core_.geometry;
  if (row.empty() || row.data_offset() + geometry.sector_bytes > geometry.data_bytes()) {
    core_.gates.refuse(Gate::row_bounds);
    return {};
  }
  const std::uint64_t room =
      std::min<std::uint64_t>(geometry.data_bytes() - row.data_offset(), geometry.fragment_bytes);
  const std::uint64_t wanted = rounded_length(std::min(row.size_bytes(), bytes_max), geometry);
  return core_.scratch.bytes().first(
      std::min(wanted, room / geometry.sector_bytes * geometry.sector_bytes));
}

std::optional<Found> Reader::judge(const DecodedDocument& decoded,
                                   std::span<const std::byte> bytes) {
  Gates& gates = core_.gates;
  const DocumentHeader& header = decoded.header;
  if (!decoded.magic_ok || (gates.on(Gate::document_header) && !decoded.checksum_ok)) {
    gates.refuse(Gate::document_header);
    return std::nullopt;
  }
  if (!lengths_possible(header, core_.geometry) || header.length > bytes.size()) {
    gates.refuse(Gate::document_bounds);
    return std::nullopt;
  }
  const auto parts = bytes.first(header.length).subspan(document_header_bytes);
  if (gates.on(Gate::document_body) && content_checksum(parts) != header.content_checksum) {
    gates.refuse(Gate::document_body);
    return std::nullopt;
  }
  return Found{header, 0, false, parts.first(header.meta_bytes), parts.subspan(header.meta_bytes)};
}

/// What a get used and the cursor comes to soon is to be moved.
void Reader::note_hot(const Found& found) {
  constexpr std::size_t noted_max = 4096;
  const std::uint64_t lap = core_.geometry.data_bytes();
  const std::uint64_t zone = lap / 100 * core_.config.hit_evacuate_percent;
  const Window window = log_.window();
  const std::uint64_t ahead = (found.data_offset + lap - window.head) % lap;
  if (zone == 0 || ahead > zone || core_.wanted.size() >= noted_max) {
    return;
  }
  Row row;
  row.offset_blocks = found.data_offset / block_bytes + 1;
  row.set_size(found.header.length);
  row.head = found.header.kind == DocumentKind::head;
  row.phase = window.phase == (found.data_offset < window.head);
  core_.wanted.emplace(row.offset_blocks, row);
}

Result<std::optional<Found>> Reader::read(const Row& row) {
  const auto bytes = extent(row, UINT64_MAX);
  if (bytes.empty()) {
    return std::optional<Found>();
  }
  const Status done = log_.read(row.data_offset(), bytes);
  if (!done) {
    return tl::unexpected(done.error());
  }
  auto found = judge(decode_document(bytes), bytes);
  if (found) {
    found->data_offset = row.data_offset();
    found->phase = row.phase;
  }
  return found;
}

Result<std::optional<DocumentHeader>> Reader::read_header(const Row& row) {
  const auto bytes = extent(row, core_.geometry.sector_bytes);
  if (bytes.empty()) {
    return std::optional<DocumentHeader>();
  }
  const Status done = log_.read(row.data_offset(), bytes);
  if (!done) {
    return tl::unexpected(done.error());
  }
  const DecodedDocument decoded = decode_document(bytes);
  const bool whole =
      decoded.magic_ok && (decoded.checksum_ok || !core_.gates.on(Gate::document_header));
  return whole ? std::optional(decoded.header) : std::nullopt;
}

Status Reader::heads_of(const Key& key, std::vector<Row>& into) {
  core_.directory.candidates(key, log_.window(), into);
  Status outcome;
  std::erase_if(into, [&](const Row& row) {
    const auto header = row.head ? read_header(row) : std::optional<DocumentHeader>();
    if (!header) {
      outcome = tl::unexpected(header.error());
      return true;
    }
    return !*header || (*header)->kind != DocumentKind::head || (*header)->first_key != key;
  });
  return outcome;
}

Result<std::optional<Found>> Reader::find_head(const Key& key, std::string_view object) {
  core_.directory.candidates(key, log_.window(), rows_);
  std::erase_if(rows_, [](const Row& row) { return !row.head; });
  std::optional<Found> newest;
  const Row* newest_row = nullptr;
  for (const Row& row : rows_) {
    auto found = read(row);
    if (!found) {
      return found;
    }
    Vector vector;
    if (!*found || !decode_vector((*found)->meta, vector)) {
      continue;
    }
    const DocumentHeader& header = (*found)->header;
    const bool same = header.kind == DocumentKind::head && header.first_key == key &&
                      (object.empty() || vector.object == object);
    if (!same && core_.gates.on(Gate::document_key)) {
      core_.gates.refuse(Gate::document_key);
      continue;
    }
    if (header.serial < core_.header.purge_epoch && core_.gates.on(Gate::purge_epoch)) {
      core_.gates.refuse(Gate::purge_epoch);
      continue;
    }
    if (!newest || header.serial > newest->header.serial) {
      newest = *found;
      newest_row = &row;
    }
  }
  if (newest && newest_row != &rows_.back()) {
    return read(*newest_row);  // the buffer holds another one by now
  }
  return newest;
}

Result<std::optional<Found>> Reader::find_fragment(const Key& first_key,
                                                   const Key& key,
                                                   std::uint64_t body_offset) {
  core_.directory.candidates(key, log_.window(), fragment_rows_);
  for (const Row& row : fragment_rows_) {
    if (row.head) {
      continue;
    }
    auto found = read(row);
    if (!found || !*found) {
      if (!found) {
        return found;
      }
      continue;
    }
    const DocumentHeader& header = (*found)->header;
    const bool same = header.kind == DocumentKind::fragment && header.first_key == first_key &&
                      header.key == key && header.body_offset == body_offset;
    if (same || !core_.gates.on(Gate::document_key)) {
      return found;
    }
    core_.gates.refuse(Gate::document_key);
  }
  return std::optional<Found>();
}

/// False where a fragment is missing, or is not as long as it must be.
Result<bool> Reader::read_fragments(const Key& first_key,
                                    const Alternate& alternate,
                                    ByteRange range,
                                    GetReply& reply) {
  const std::uint64_t each = alternate.fragment_content_bytes;
  const std::uint64_t end = range.offset_bytes + range.size_bytes;
  Key key = alternate.earliest;
  for (std::uint64_t at = 0; at < reply.body_bytes; at += each, key = next_fragment(key)) {
    const std::uint64_t length = std::min(each, reply.body_bytes - at);
    if (at + length <= range.offset_bytes || at >= end) {
      continue;
    }
    const auto found = find_fragment(first_key, key, at);
    if (!found) {
      return tl::unexpected(found.error());
    }
    if (!*found || (*found)->content.size() != length) {
      if (core_.gates.on(Gate::fragment_required)) {
        core_.gates.refuse(Gate::fragment_required);
        return false;
      }
      continue;
    }
    note_hot(**found);
    reply.parts.push_back(place_of((*found)->data_offset, (*found)->phase));
    const std::uint64_t from = std::max(at, range.offset_bytes);
    const auto part = (*found)->content.subspan(from - at, std::min(at + length, end) - from);
    reply.body.insert(reply.body.end(), part.begin(), part.end());
  }
  return true;
}

bool Reader::still(std::string_view name, std::span<const std::uint64_t> parts) {
  const auto lies_there = [this](const Key& key, std::uint64_t place, bool head) {
    core_.directory.candidates(key, log_.window(), rows_);
    return std::any_of(rows_.begin(), rows_.end(), [&](const Row& row) {
      return row.head == head && place_of(row.data_offset(), row.phase) == place;
    });
  };
  if (core_.recovering || parts.empty() || !lies_there(key_of(object_of(name)), parts[0], true)) {
    return false;
  }
  constexpr std::size_t first_fragment = 3;
  Key key = parts.size() < first_fragment ? Key{} : make_key(parts[1], parts[2]);
  for (std::size_t n = first_fragment; n < parts.size(); ++n, key = next_fragment(key)) {
    if (!lies_there(key, parts[n], false)) {
      return false;
    }
  }
  return true;
}

/// Null where the object has no such alternate.
const Alternate* Reader::choose(const Vector& vector, std::string_view name) {
  const Alternate* chosen = vector.find(name);
  if (chosen == nullptr) {
    core_.gates.refuse(Gate::document_key);
    chosen = core_.gates.on(Gate::document_key) ? nullptr : vector.alternates.data();
  }
  return chosen;
}

/// False where it is not wholly there.
Result<bool> Reader::read_body(const Found& head,
                               const Alternate& alternate,
                               ByteRange range,
                               GetReply& reply) {
  range.offset_bytes = std::min(range.offset_bytes, reply.body_bytes);
  range.size_bytes = std::min(range.size_bytes, reply.body_bytes - range.offset_bytes);
  if (alternate.resident) {
    const bool whole = head.content.size() == reply.body_bytes;
    const auto part = whole ? head.content.subspan(range.offset_bytes, range.size_bytes)
                            : std::span<const std::byte>();
    reply.body.assign(part.begin(), part.end());
    return whole;
  }
  if (reply.body_bytes > core_.geometry.data_bytes()) {
    core_.gates.refuse(Gate::document_bounds);
    return false;
  }
  reply.parts.insert(reply.parts.end(), {alternate.earliest.low(), alternate.earliest.high()});
  return read_fragments(Key(head.header.first_key), alternate, range, reply);
}

Status Reader::get(std::string_view name, ByteRange range, GetReply& reply) {
  ++core_.counters.gets;
  clear(reply);
  const std::string_view object = object_of(name);
  const auto head = core_.recovering ? Result<std::optional<Found>>(std::nullopt)
                                     : find_head(key_of(object), object);
  if (!head) {
    return tl::unexpected(head.error());
  }
  Vector vector;
  const Alternate* alternate =
      *head && decode_vector((*head)->meta, vector) ? choose(vector, alternate_of(name)) : nullptr;
  Result<bool> whole = false;
  if (alternate != nullptr) {
    reply.parts.push_back(place_of((*head)->data_offset, (*head)->phase));
    reply.header = alternate->header;
    reply.body_bytes = alternate->object_bytes;
    whole = read_body(**head, *alternate, range, reply);
  }
  if (whole && *whole) {
    note_hot(**head);
    ++core_.counters.hits;
    reply.hit = true;
    return {};
  }
  clear(reply);
  ++core_.counters.misses;
  return whole ? Status{} : tl::unexpected(whole.error());
}

}  // namespace engine::cyclone
