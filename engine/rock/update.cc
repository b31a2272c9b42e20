#include "engine/rock/update.h"

#include <algorithm>

#include <fmt/format.h>

namespace engine::rock {

Result<bool> Updater::update(std::string_view key, std::string_view header) {
  const std::uint32_t header_bytes_max = core_.geometry.slot_bytes / 4;
  if (header.size() > header_bytes_max) {
    return fail(Trouble::invalid,
                fmt::format("a header of {} bytes; allowed with slots of {}: at most {}",
                            header.size(),
                            core_.geometry.slot_bytes,
                            header_bytes_max));
  }
  const auto number = core_.find_readable(key_digest(key));
  if (!number || core_.entries[*number].prefix_count == 0) {
    return false;
  }
  const auto meta_bytes =
      static_cast<std::uint32_t>(metadata_fixed_bytes + key.size() + header.size());
  const auto whole = read_old_prefix(*number, meta_bytes);
  if (!whole || !*whole) {
    return whole;
  }
  encode_metadata({key, header, 0}, content_);
  Prefix prefix;
  const auto reserved = reserve(*number, prefix);
  if (!reserved || !*reserved) {
    return reserved;
  }
  prefix.object = core_.entries[*number];
  prefix.object.write = core_.next_write_id();
  prefix.object.meta_bytes = meta_bytes;
  prefix.object.text = key;
  const Status done = exchange(*number, prefix);
  if (!done) {
    return tl::unexpected(done.error());
  }
  ++core_.counters.updates;
  return true;
}

Result<bool> Updater::read_old_prefix(std::uint32_t number, std::uint32_t meta_bytes) {
  const Entry& entry = core_.entries[number];
  content_.assign(meta_bytes, std::byte{});
  std::int32_t next = entry.first;
  for (std::uint32_t place = 0; place < entry.prefix_count; ++place) {
    const auto slot = static_cast<std::uint32_t>(next);
    const auto judged = next == no_slot ? std::optional(Gate::slot_bounds)
                                        : reader_.read_judged(entry, place, slot);
    if (!judged) {
      return tl::unexpected(judged.error());
    }
    if (*judged) {
      const Status done = reader_.reject(number, **judged);
      return done ? Result<bool>(false) : tl::unexpected(done.error());
    }
    const std::uint32_t payload_bytes = core_.slots[slot].payload_bytes;
    const std::uint32_t skip = place == 0 ? std::min(entry.meta_bytes, payload_bytes) : 0;
    const std::size_t before = content_.size();
    content_.resize(before + payload_bytes - skip);
    take_payload(core_.scratch, skip, std::span(content_).subspan(before));
    next = core_.slots[slot].next;
  }
  return true;
}

/// Reserving may evict other objects and, while the rebuild runs, find that this one is contested:
/// then there is nothing to update any more.
Result<bool> Updater::reserve(std::uint32_t number, Prefix& prefix) {
  const std::uint32_t capacity = core_.geometry.capacity();
  const std::size_t count = (content_.size() + capacity - 1) / capacity;
  const WriteId before = core_.entries[number].write;
  core_.entries[number].pinned = true;
  Status done;
  while (done && prefix.slots.size() < count) {
    const auto slot = space_.take();
    if (slot) {
      prefix.slots.insert(prefix.slots.begin(), *slot);  // the next one is reserved first
    } else {
      done = tl::unexpected(slot.error());
    }
  }
  Entry& entry = core_.entries[number];
  entry.pinned = false;
  const bool still_there = entry.state == EntryState::readable && entry.write == before;
  if (done && still_there) {
    return true;
  }
  for (const std::uint32_t slot : prefix.slots) {
    core_.release(slot);
  }
  return done ? Result<bool>(false) : tl::unexpected(done.error());
}

Status Updater::write_prefix(Prefix& prefix, std::int32_t suffix) {
  buffer_.resize(core_.geometry.slot_bytes);
  const std::uint32_t capacity = core_.geometry.capacity();
  std::span<const std::byte> rest = content_;
  for (std::uint32_t place = 0; place < prefix.slots.size(); ++place) {
    const std::uint32_t slot = prefix.slots[place];
    const auto part = std::min<std::size_t>(rest.size(), capacity);
    const bool end = place + 1 == prefix.slots.size();
    const std::int32_t next = end ? suffix : static_cast<std::int32_t>(prefix.slots[place + 1]);
    core_.slots[slot] = {UnitUse::Kind::upload, next, static_cast<std::uint32_t>(part), UINT64_MAX};
    SlotHeader header = core_.header_at(prefix.object, place, slot);
    header.flags |= place == 0 && core_.rebuilding ? flag_overrides : 0U;
    put_payload(buffer_, 0, rest.first(part));
    header.payload_checksum = payload_checksum(buffer_, header.payload_bytes);
    const Status done = core_.write_slot(slot, header, buffer_);
    if (!done) {
      return done;
    }
    rest = rest.subspan(part);
  }
  return {};
}

Status Updater::exchange(std::uint32_t number, Prefix& prefix) {
  Entry& old = core_.entries[number];
  std::vector<std::uint32_t> old_slots;
  auto suffix = old.first;
  for (std::uint32_t place = 0; place < old.prefix_count && suffix != no_slot; ++place) {
    old_slots.push_back(static_cast<std::uint32_t>(suffix));
    suffix = core_.slots[static_cast<std::uint32_t>(suffix)].next;
  }
  Entry& object = prefix.object;
  object.prefix_count = static_cast<std::uint32_t>(prefix.slots.size());
  object.slot_count += object.prefix_count - old.prefix_count;
  object.first = static_cast<std::int32_t>(prefix.slots.front());
  object.since_start = true;
  object.durable_after = core_.next_barrier();
  Status done = write_prefix(prefix, suffix);
  if (done && core_.gates.on(Gate::durable_invalidation)) {
    done = core_.flush();  // the new prefix first: no cut may find neither
  }
  if (!done) {
    // What the new slots hold is unknown; the old object stays.
    for (std::uint32_t place = 0; place < prefix.slots.size(); ++place) {
      const std::uint32_t slot = prefix.slots[place];
      (void)core_.invalidate(slot, core_.header_at(object, place, slot));
    }
    return done;
  }
  const Entry before = std::exchange(old, std::move(object));
  for (const std::uint32_t slot : prefix.slots) {
    core_.slots[slot].kind = UnitUse::Kind::entry;
    core_.slots[slot].owner = number;
  }
  for (std::uint32_t place = 0; place < old_slots.size(); ++place) {
    const std::uint32_t slot = old_slots[place];
    if (core_.slots[slot].kind != UnitUse::Kind::entry || core_.slots[slot].owner != number) {
      continue;
    }
    const Status freed = core_.invalidate(slot, core_.header_at(before, place, slot));
    done = done ? freed : done;
  }
  return done;
}

}  // namespace engine::rock
