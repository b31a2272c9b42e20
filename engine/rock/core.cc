#include "engine/rock/core.h"

#include <algorithm>

#include "engine/base/random.h"

namespace engine::rock {

Core::Core(block::Device& target, Config settings, Geometry layout, bool inspection_only)
    : device(target),
      config(std::move(settings)),
      geometry(layout),
      read_only(inspection_only),
      gates(config.gates_off),
      slots(layout.slot_count),
      free(config.allocator, layout.slot_count, mix(config.seed, 2)),
      scratch(layout.slot_bytes) {}

WriteId Core::next_write_id() {
  return {std::uint64_t{epoch} << 32 | ++counter_, nonce};
}

std::optional<std::uint32_t> Core::find(const Digest& key) const {
  const auto found = index_.find(key);
  return found == index_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<std::uint32_t> Core::find_readable(const Digest& key) const {
  const auto number = find(key);
  return number && entries[*number].state == EntryState::readable ? number : std::nullopt;
}

std::uint32_t Core::add_entry(const Digest& key) {
  std::uint32_t number = 0;
  if (vacant_.empty()) {
    number = static_cast<std::uint32_t>(entries.size());
    entries.emplace_back();
  } else {
    number = vacant_.back();
    vacant_.pop_back();
    entries[number] = Entry{};
  }
  entries[number].key = key;
  index_.emplace(key, number);
  return number;
}

void Core::drop_entry(std::uint32_t number, EntryState state) {
  Entry& entry = entries[number];
  if (rebuilding) {
    const Digest key = entry.key;
    entry = Entry{};
    entry.key = key;
    entry.state = state;
    return;
  }
  index_.erase(entry.key);
  entry = Entry{};
  vacant_.push_back(number);
}

SlotHeader Core::header_at(const Entry& entry, std::uint32_t place, std::uint32_t slot) const {
  const bool in_prefix = place < entry.prefix_count;
  const bool last = place + 1 == entry.slot_count;
  SlotHeader header;
  header.instance = instance;
  header.key = entry.key;
  header.chain = entry.chain;
  header.write = in_prefix ? entry.write : entry.chain;
  header.payload_bytes = slots[slot].payload_bytes;
  header.next = slots[slot].next;
  header.first = entry.first;
  header.index = in_prefix                 ? place
                 : entry.prefix_count == 0 ? place + entry.first_index
                                           : place - entry.prefix_count + 1;
  if (place == 0 && in_prefix) {
    header.flags |= flag_inode;
    header.meta_bytes = entry.meta_bytes;
  }
  if (place + 1 == entry.prefix_count) {
    header.flags |= flag_prefix_end;
  }
  if (last) {
    header.flags |= flag_tail;
  }
  if (last || (in_prefix && entry.write != entry.chain)) {
    header.body_bytes = entry.body_bytes;
  }
  return header;
}

Status Core::write(std::uint64_t offset_bytes, std::span<const std::byte> from) {
  dirty_ = true;
  return device.write(offset_bytes, from, block::WriteMode::cached);
}

Status Core::write_slot(std::uint32_t slot, const SlotHeader& header, std::span<std::byte> bytes) {
  clear_unused(bytes, header.payload_bytes);
  encode_slot(header, bytes);
  ++counters.slot_writes;
  return write(geometry.offset(slot), bytes.first(used_bytes(header.payload_bytes)));
}

Result<DecodedSlot> Core::read_slot(std::uint32_t slot, std::uint32_t payload_bytes) {
  const auto into = std::span(scratch).first(used_bytes(payload_bytes));
  if (is_ahead(slot)) {
    const std::size_t at = std::size_t{slot - ahead_first_} * geometry.slot_bytes;
    std::ranges::copy(std::span(ahead_).subspan(at, into.size()), into.begin());
    return decode_slot(into);
  }
  ++counters.slot_reads;
  const Status done = device.read(geometry.offset(slot), into);
  if (!done) {
    return tl::unexpected(done.error());
  }
  return decode_slot(into);
}

void Core::read_ahead(std::uint32_t slot, std::uint32_t count) {
  // More bytes between the slots than in them would cost more than the requests do.
  constexpr std::uint32_t sparse = 3;
  ahead_count_ = 0;
  const std::uint32_t slots_max = device.cheap_read_bytes() / geometry.slot_bytes;
  std::uint32_t first = slot;
  std::uint32_t last = slot;
  std::uint32_t wanted = 1;
  for (std::int32_t next = slots[slot].next; next != no_slot && wanted < count; ++wanted) {
    const auto at = static_cast<std::uint32_t>(next);
    const std::uint32_t low = std::min(first, at);
    const std::uint32_t high = std::max(last, at);
    if (high - low >= slots_max) {
      break;
    }
    first = low;
    last = high;
    next = slots[at].next;
  }
  const std::uint32_t span = last - first + 1;
  if (wanted < 2 || span > sparse * wanted) {
    return;
  }
  ahead_.resize(std::max<std::size_t>(ahead_.size(), std::size_t{span} * geometry.slot_bytes));
  const std::size_t bytes =
      std::size_t{span - 1} * geometry.slot_bytes + used_bytes(slots[last].payload_bytes);
  if (device.read(geometry.offset(first), std::span(ahead_).first(bytes))) {
    ++counters.slot_reads;
    ahead_first_ = first;
    ahead_count_ = span;
  }
}

Status Core::invalidate(std::uint32_t slot, SlotHeader was) {
  SlotUse& use = slots[slot];
  if (use.kind == UnitUse::Kind::free || use.kind == UnitUse::Kind::quarantine) {
    return {};
  }
  use.kind = UnitUse::Kind::quarantine;
  use.owner = 0;
  if (read_only) {
    return {};
  }
  if (!gates.on(Gate::durable_invalidation)) {
    release(slot);
    return {};
  }
  gates.refuse(Gate::durable_invalidation);
  ++counters.invalidations;
  std::array<std::byte, first_sector_bytes> sector = {};
  was.state = SlotState::free;
  was.instance = instance;
  encode_slot(was, sector);
  // Where the device refuses, the slot's content is unknown: it stays out of use for this life.
  const Status written = write(geometry.offset(slot), sector);
  if (written) {
    quarantine_.push_back(slot);
  }
  return written;
}

Status Core::free_chain(const Entry& entry, UnitUse::Kind kind, std::uint64_t owner) {
  Status outcome;
  auto slot = entry.first;
  for (std::uint32_t place = 0; place < entry.slot_count && slot != no_slot; ++place) {
    const auto here = static_cast<std::uint32_t>(slot);
    slot = slots[here].next;
    if (slots[here].kind == kind && slots[here].owner == owner) {
      const Status done = invalidate(here, header_at(entry, place, here));
      outcome = outcome ? done : outcome;
    }
  }
  return outcome;
}

void Core::release(std::uint32_t slot) {
  slots[slot].kind = UnitUse::Kind::free;
  slots[slot].owner = 0;
  free.add(slot);
}

std::optional<std::uint32_t> Core::take_free() {
  const auto slot = free.take();
  if (slot) {
    slots[*slot] = SlotUse{UnitUse::Kind::upload, no_slot, 0, 0};
  }
  return slot;
}

Status Core::flush() {
  ++counters.barriers;
  const Status done = device.flush();
  if (!done) {
    return done;
  }
  dirty_ = false;
  ++barriers_done_;
  for (const std::uint32_t slot : quarantine_) {
    release(slot);
  }
  quarantine_.clear();
  return {};
}

Status Core::make_durable(const Entry& entry) {
  return barriers_done_ < entry.durable_after ? flush() : Status{};
}

}  // namespace engine::rock
