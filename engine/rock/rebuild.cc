/// How a store is read back.
///
/// Every slot's first sector is read once, in ascending order, a slice per tick, while the store
/// serves. A slot is *empty* (never written, or invalidated), *refused* by itself (checksum,
/// instance, bounds), or *loaded*: put on the list of its key. A chain becomes readable when the
/// proof of completeness holds (chain.h): during the scan where its slots seem to be all there,
/// else at the end.
///
/// *Contradiction.* Two slots of one key contradict each other when they belong to different bodies
/// (chain ids), or claim the same place. Then the entry is not readable until the scan has ended.
/// Policy `whole_entry`, the documented rule: every version of it is refused. Policy
/// `newest_complete`: the newest complete body stays. One exception serves both: a version stored
/// while an earlier rebuild had not found all older slots of its key says so in its inode (it
/// *overrides*); it was acknowledged, and a kill must not take it. Where it is complete and nothing
/// newer is there, the older slots are superseded and do not contradict it.
///
/// *Header updates.* Within one body the prefix with the highest write id that is complete wins,
/// the others are superseded. An update is written while the old prefix is still valid, so a cut
/// may leave a new one whose header is whole and whose payload is not: where more than one head
/// could be meant, the payload of the chosen chain is verified first. An update never costs a
/// durable object.
///
/// *What is refused or superseded* is invalidated on the medium and may be reused after a barrier,
/// so that a free slot is durably empty and recovering again, from any cut in between, finds the
/// same or less. Slots found for a key that traffic has stored since the opening are superseded,
/// after a barrier: as long as a still older version may turn up, nothing that hides it goes before
/// what replaces it is durable.
///
/// Not done here: payload is not read where only one version exists; the first get does that.
#include "engine/rock/rebuild.h"

#include <algorithm>
#include <array>
#include <tuple>

namespace engine::rock {

Rebuild::Rebuild(Core& core)
    : core_(core),
      loaded_(core.geometry.slot_count),
      proof_(core, loaded_),
      findings_(core.geometry.slot_count) {
  report_.units_total = core.geometry.slot_count;
}

Status Rebuild::step(std::uint64_t slices) {
  const std::uint64_t ahead = std::uint64_t{std::max(core_.config.rebuild_slice_slots, 1U)} *
                              std::min<std::uint64_t>(slices, UINT32_MAX);
  window_end_ = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(core_.geometry.slot_count, next_slot_ + ahead));
  window_bytes_ = 0;
  Status done;
  for (; slices > 0 && done && core_.rebuilding; --slices) {
    done = slice();
  }
  return done;
}

Status Rebuild::slice() {
  ++report_.ticks;
  const std::uint32_t count = core_.geometry.slot_count;
  const std::uint32_t slice = std::max(core_.config.rebuild_slice_slots, 1U);
  for (std::uint32_t done = 0; done < slice && next_slot_ < count; ++done) {
    const Status scanned = scan(next_slot_++);
    if (!scanned) {
      return scanned;
    }
  }
  return next_slot_ < count ? Status{} : end_scan();
}

Status Rebuild::finish() {
  return step(UINT64_MAX);
}

void Rebuild::decide(std::uint32_t slot, Verdict verdict, Gate gate) {
  const std::array<std::uint64_t*, 5> count = {
      nullptr, &report_.empty, &report_.loaded, &report_.refused, &report_.superseded};
  SlotFinding& finding = findings_[slot];
  if (finding.verdict == Verdict::unscanned) {
    ++report_.scanned;
  } else {
    --*count.at(static_cast<std::size_t>(finding.verdict));
  }
  finding = {verdict, gate};
  ++*count.at(static_cast<std::size_t>(verdict));
}

std::optional<Gate> Rebuild::refuse_alone(const DecodedSlot& slot, std::uint32_t at) const {
  const SlotHeader& header = slot.header;
  if (core_.gates.on(Gate::slot_header_checksum) && !slot.checksum_ok) {
    return Gate::slot_header_checksum;
  }
  if (!slot.magic_ok) {
    return Gate::slot_bounds;
  }
  if (header.state == SlotState::free) {
    return std::nullopt;
  }
  if (core_.gates.on(Gate::slot_instance) && header.instance != core_.instance) {
    return Gate::slot_instance;
  }
  const auto count = static_cast<std::int32_t>(core_.geometry.slot_count);
  const bool inode = header.has(flag_inode);
  const bool inside = header.next >= no_slot && header.next < count && header.first >= 0 &&
                      header.first < count && header.payload_bytes > 0 &&
                      header.payload_bytes <= core_.geometry.capacity() &&
                      header.index < core_.geometry.slot_count &&
                      header.meta_bytes <= (inode ? header.payload_bytes : 0) &&
                      (!inode || (header.index == 0 && header.first == static_cast<int>(at)));
  return inside ? std::nullopt : std::optional(Gate::slot_bounds);
}

bool Rebuild::in_window(std::uint32_t slot) const {
  const std::uint64_t offset_bytes = core_.geometry.offset(slot);
  return offset_bytes >= window_at_ &&
         offset_bytes + first_sector_bytes <= window_at_ + window_bytes_;
}

/// The device is asked where holes are only when all that the last request read was empty, because
/// asking costs as much as reading.
bool Rebuild::known_blank(std::uint32_t slot) {
  const std::uint64_t offset_bytes = core_.geometry.offset(slot);
  if (perhaps_blank_ && offset_bytes >= blank_until_ && !in_window(slot)) {
    blank_until_ = core_.device.blank_until(offset_bytes);
    perhaps_blank_ = false;
  }
  return offset_bytes + first_sector_bytes <= blank_until_;
}

/// Reads several slots in one request where that is cheaper. What cannot be read so is read alone.
Status Rebuild::read_first_sector(std::uint32_t slot) {
  const std::uint64_t offset_bytes = core_.geometry.offset(slot);
  Status read;
  if (!in_window(slot)) {
    const std::uint64_t wanted = core_.geometry.offset(window_end_ - 1) + first_sector_bytes;
    const std::uint64_t cheap = core_.device.cheap_read_bytes();
    window_at_ = offset_bytes;
    window_blank_ = true;
    window_bytes_ = cheap >= 2 * std::uint64_t{core_.geometry.slot_bytes}
                        ? std::min(cheap, wanted - offset_bytes)
                        : first_sector_bytes;
    window_.resize(std::max(window_.size(), window_bytes_));
    ++core_.counters.slot_reads;
    read = core_.device.read(offset_bytes, std::span(window_).first(window_bytes_));
    if (!read && window_bytes_ > first_sector_bytes) {
      window_bytes_ = first_sector_bytes;
      read = core_.device.read(offset_bytes, std::span(window_).first(window_bytes_));
    }
  }
  sector_ = std::span(window_).subspan(offset_bytes - window_at_, first_sector_bytes);
  return read;
}

void Rebuild::found_empty(std::uint32_t slot) {
  decide(slot, Verdict::empty);
  core_.release(slot);
}

Status Rebuild::scan(std::uint32_t slot) {
  if (known_blank(slot)) {
    found_empty(slot);
    return {};
  }
  const Status read = read_first_sector(slot);
  if (!read) {
    window_bytes_ = 0;
    // Neither free nor mapped for this life. The trouble is told once, and the scan goes on.
    ++core_.counters.unreadable_slots;
    core_.slots[slot].kind = UnitUse::Kind::quarantine;
    decide(slot, Verdict::refused, Gate::slot_bounds);
    return read;
  }
  const DecodedSlot decoded = decode_slot(sector_);
  window_blank_ = window_blank_ && decoded.blank;
  perhaps_blank_ = window_blank_;
  if (decoded.blank) {
    found_empty(slot);
    return {};
  }
  if (const auto gate = refuse_alone(decoded, slot)) {
    return refuse(slot, SlotHeader{}, *gate);
  }
  if (decoded.header.state == SlotState::free) {
    found_empty(slot);
    return {};
  }
  return load(slot, decoded.header);
}

Status Rebuild::refuse(std::uint32_t slot, const SlotHeader& header, Gate gate) {
  decide(slot, Verdict::refused, gate);
  core_.gates.refuse(gate);
  return put_aside(slot, header);
}

Status Rebuild::supersede_slot(std::uint32_t slot) {
  decide(slot, Verdict::superseded);
  return put_aside(slot, loaded_[slot].header);
}

/// The version stored since the opening must be there for good before the one just found goes:
/// there may be a still older one, not found yet, which a cut would bring back.
Status Rebuild::supersede_found(std::uint32_t slot, const Entry& entry) {
  const bool durably = core_.gates.on(Gate::durable_invalidation);
  const Status durable = durably ? core_.make_durable(entry) : Status{};
  if (!durable) {
    decide(slot, Verdict::superseded);
    core_.slots[slot].kind = UnitUse::Kind::quarantine;  // as found, and out of use for this life
    return durable;
  }
  return supersede_slot(slot);
}

/// With gates off two chains may share a slot: traffic may have freed and reused it already.
Status Rebuild::put_aside(std::uint32_t slot, const SlotHeader& header) {
  loaded_[slot].loaded = false;
  const SlotUse& use = core_.slots[slot];
  const bool as_found = use.kind == UnitUse::Kind::unscanned ||
                        (use.kind == UnitUse::Kind::entry && !core_.entries[use.owner].since_start);
  return as_found ? core_.invalidate(slot, header) : Status{};
}

Status Rebuild::refuse_entry(std::uint32_t entry, Gate gate) {
  Status outcome;
  for (std::int32_t at = core_.entries[entry].list; at != no_slot;) {
    const auto slot = static_cast<std::uint32_t>(at);
    at = loaded_[slot].next_in_list;
    const Status done = refuse(slot, loaded_[slot].header, gate);
    outcome = outcome ? done : outcome;
  }
  core_.drop_entry(entry, EntryState::refused);
  return outcome;
}

Status Rebuild::supersede(std::uint32_t entry) {
  Status outcome;
  for (std::int32_t at = core_.entries[entry].list; at != no_slot;) {
    const auto slot = static_cast<std::uint32_t>(at);
    at = loaded_[slot].next_in_list;
    const Status done = supersede_slot(slot);
    outcome = outcome ? done : outcome;
  }
  return outcome;
}

Status Rebuild::load(std::uint32_t slot, const SlotHeader& header) {
  const auto known = core_.find(header.key);
  const std::uint32_t number = known ? *known : core_.add_entry(header.key);
  Entry& entry = core_.entries[number];
  if (entry.since_start || entry.state == EntryState::retired) {
    loaded_[slot].header = header;
    return supersede_found(slot, entry);
  }
  if (entry.state == EntryState::refused) {
    return refuse(slot, header, Gate::entry_contradiction);
  }
  const bool contradiction = entry.list_count > 0 && contradicts(entry, header);
  const bool was_readable = entry.state == EntryState::readable;
  add_to_list(number, slot, header);
  if (core_.config.byte_sum_proof) {
    return was_readable || contradiction ? refuse_entry(number, Gate::entry_contradiction)
                                         : load_by_sum(number, slot);
  }
  entry.state = EntryState::loading;
  entry.contested = entry.contested || contradiction;
  return looks_complete(entry) ? judge(number, false) : Status{};
}

void Rebuild::add_to_list(std::uint32_t number, std::uint32_t slot, const SlotHeader& header) {
  Entry& entry = core_.entries[number];
  loaded_[slot] = LoadedSlot{header, entry.list, 0, true, false};
  core_.slots[slot] = {UnitUse::Kind::entry, header.next, header.payload_bytes, number};
  entry.list = static_cast<std::int32_t>(slot);
  ++entry.list_count;
  decide(slot, Verdict::loaded);
  if (header.has(flag_inode)) {
    entry.head_seen = true;
    entry.body_inode = header.is_update() ? entry.body_inode : static_cast<std::int32_t>(slot);
    const std::string_view text = key_text(sector_);
    if (entry.text.empty() && key_digest(text) == header.key) {
      entry.text = text;
    }
  }
  if (header.has(flag_tail)) {
    entry.count_expected = header.index + 1;
  }
}

bool Rebuild::contradicts(const Entry& entry, const SlotHeader& header) const {
  const SlotHeader& other = loaded_[static_cast<std::uint32_t>(entry.list)].header;
  if (core_.gates.on(Gate::write_id) && header.chain != other.chain) {
    return true;
  }
  if (!core_.gates.on(Gate::update_supersedes)) {
    const bool two_ids = core_.gates.on(Gate::write_id) && header.write != other.write;
    return two_ids || (header.has(flag_inode) && entry.head_seen);
  }
  return header.has(flag_inode) && !header.is_update() && entry.body_inode != no_slot;
}

bool Rebuild::looks_complete(const Entry& entry) const {
  return !entry.contested && entry.head_seen && entry.count_expected == entry.list_count;
}

void Rebuild::collect_heads(const Entry& entry) {
  heads_.clear();
  for (std::int32_t at = entry.list; at != no_slot;
       at = loaded_[static_cast<std::uint32_t>(at)].next_in_list) {
    if (loaded_[static_cast<std::uint32_t>(at)].header.has(flag_inode)) {
      heads_.push_back(static_cast<std::uint32_t>(at));
    }
  }
  const auto newer = [this](std::uint32_t left, std::uint32_t right) {
    const SlotHeader& a = loaded_[left].header;
    const SlotHeader& b = loaded_[right].header;
    return std::tie(a.chain, a.write, left) > std::tie(b.chain, b.write, right);
  };
  std::sort(heads_.begin(), heads_.end(), newer);
  if (!heads_.empty() || core_.gates.on(Gate::inode_required)) {
    return;
  }
  std::uint32_t lowest = static_cast<std::uint32_t>(entry.list);
  for (std::int32_t at = entry.list; at != no_slot;) {
    const auto slot = static_cast<std::uint32_t>(at);
    if (loaded_[slot].header.index < loaded_[lowest].header.index) {
      lowest = slot;
    }
    at = loaded_[slot].next_in_list;
  }
  heads_.push_back(lowest);
}

bool Rebuild::payload_holds(const Walk& walk) {
  if (!core_.gates.on(Gate::slot_payload_checksum)) {
    return true;
  }
  for (const std::uint32_t slot : walk.slots) {
    const SlotHeader& header = loaded_[slot].header;
    const auto read = core_.read_slot(slot, header.payload_bytes);
    if (!read || payload_checksum(core_.scratch, header.payload_bytes) != header.payload_checksum) {
      return false;
    }
  }
  return true;
}

std::optional<std::uint32_t> Rebuild::choose_head(Gate& reason) {
  bool first = true;
  for (const std::uint32_t head : heads_) {
    auto refused = proof_.walk_from(head, walk_);
    if (!refused && heads_.size() > 1 && !payload_holds(walk_)) {
      refused = Gate::slot_payload_checksum;
    }
    if (!refused) {
      return head;
    }
    reason = first ? *refused : reason;
    first = false;
  }
  return std::nullopt;
}

/// Whether slots off the chosen chain make the whole entry invalid.
bool Rebuild::contradiction_stands(const Entry& entry, std::uint32_t head) const {
  if (core_.config.policy == ContradictionPolicy::newest_complete) {
    return false;
  }
  const SlotHeader& chosen = loaded_[head].header;
  if (entry.contested && !chosen.has(flag_overrides)) {
    return true;
  }
  for (std::int32_t at = entry.list; at != no_slot;) {
    const auto slot = static_cast<std::uint32_t>(at);
    const SlotHeader& header = loaded_[slot].header;
    at = loaded_[slot].next_in_list;
    const bool same_body = header.chain == chosen.chain || !core_.gates.on(Gate::write_id);
    const bool another_prefix = header.has(flag_inode) || header.is_update();
    if (!proof_.came_by(slot) && (same_body ? !another_prefix : header.chain > chosen.chain)) {
      return true;
    }
  }
  return false;
}

Status Rebuild::put_aside_rest(const Entry& entry, std::uint32_t head, Gate reason) {
  const SlotHeader& chosen = loaded_[head].header;
  Status outcome;
  for (std::int32_t at = entry.list; at != no_slot;) {
    const auto slot = static_cast<std::uint32_t>(at);
    const SlotHeader& header = loaded_[slot].header;
    at = loaded_[slot].next_in_list;
    if (proof_.came_by(slot)) {
      continue;
    }
    const bool older = std::tie(header.chain, header.write) < std::tie(chosen.chain, chosen.write);
    if (older && header.chain == chosen.chain) {
      core_.gates.refuse(Gate::update_supersedes);
    }
    const Status done = older ? supersede_slot(slot) : refuse(slot, header, reason);
    outcome = outcome ? done : outcome;
  }
  return outcome;
}

Status Rebuild::judge(std::uint32_t number, bool at_end) {
  const Entry& entry = core_.entries[number];
  if (core_.config.byte_sum_proof) {
    return judge_by_sum(number);
  }
  collect_heads(entry);
  Gate reason = Gate::inode_required;
  const auto head = choose_head(reason);
  const bool whole = core_.config.policy == ContradictionPolicy::whole_entry;
  if (!at_end && (!head || walk_.slots.size() != entry.list_count)) {
    return {};  // more of it may come
  }
  if (!head && whole && entry.contested) {
    core_.gates.refuse(reason);  // it would have been refused without the contradiction too
    return refuse_entry(number, Gate::entry_contradiction);
  }
  if (!head) {
    return refuse_entry(number, reason);
  }
  if (contradiction_stands(entry, *head)) {
    return refuse_entry(number, Gate::entry_contradiction);
  }
  const Status done = put_aside_rest(entry, *head, reason);
  publish(number, *head, walk_);
  return done;
}

void Rebuild::publish(std::uint32_t number, std::uint32_t head, const Walk& walk) {
  Entry& entry = core_.entries[number];
  const SlotHeader& header = loaded_[head].header;
  entry.write = header.write;
  entry.chain = header.chain;
  entry.first = static_cast<std::int32_t>(head);
  entry.slot_count = static_cast<std::uint32_t>(walk.slots.size());
  entry.prefix_count = walk.prefix_count;
  entry.first_index = header.index;
  entry.meta_bytes = header.meta_bytes;
  entry.body_bytes = walk.body_bytes;
  entry.state = EntryState::readable;
  entry.verified = false;
  entry.list = no_slot;
  entry.list_count = 0;
  for (const std::uint32_t slot : walk.slots) {
    const SlotHeader& own = loaded_[slot].header;
    core_.slots[slot] = {UnitUse::Kind::entry, own.next, own.payload_bytes, number};
    if (own.key == header.key) {
      loaded_[slot].next_in_list = entry.list;
      entry.list = static_cast<std::int32_t>(slot);
      ++entry.list_count;
    }
  }
  core_.slots[walk.slots.back()].next = no_slot;
}

Status Rebuild::end_scan() {
  for (; next_entry_ < core_.entries.size(); ++next_entry_) {
    if (core_.entries[next_entry_].state == EntryState::loading) {
      const Status done = judge(next_entry_, true);
      if (!done) {
        return done;
      }
    }
  }
  if (core_.in_quarantine()) {
    const Status done = core_.flush();
    if (!done) {
      return done;
    }
  }
  core_.rebuilding = false;
  report_.finished = true;
  for (std::uint32_t number = 0; number < core_.entries.size(); ++number) {
    const EntryState state = core_.entries[number].state;
    if (state == EntryState::readable) {
      report_.entries += core_.entries[number].since_start ? 0 : 1;
    } else if (state != EntryState::vacant) {
      core_.drop_entry(number, EntryState::vacant);
    }
  }
  loaded_ = LoadedSlots();
  return {};
}

}  // namespace engine::rock
