/// The completeness proof of Squid's rock store, as a preset reproduces it (facts: Squid's
/// RockRebuild.cc; ours is written from its description).
///
/// All slots of a key found so far form one entry. Its size is the sum of their payloads. The walk
/// starts at the inode, or where none was seen at the slot found last, and goes on by `next` while
/// fewer bytes were walked than that size. Each slot on the way must be in use, *by any entry*, and
/// not proven before; at the end `next` must say "none" and the bytes walked must be the size. A
/// chain of one slot knows its size and becomes readable at once; a further slot of its key, of
/// whatever version, then makes the entry invalid.
///
/// Not compared, because Squid does not: versions, owners, indices; nor is an inode asked for.
#include <utility>

#include "engine/rock/rebuild.h"

namespace engine::rock {

Status Rebuild::load_by_sum(std::uint32_t number, std::uint32_t slot) {
  Entry& entry = core_.entries[number];
  const SlotHeader& header = loaded_[slot].header;
  entry.state = EntryState::loading;
  if (header.has(flag_inode)) {
    entry.body_inode = static_cast<std::int32_t>(slot);
  }
  const bool knows_its_size = header.has(flag_inode) && header.has(flag_tail);
  if (!knows_its_size) {
    return {};
  }
  // Other slots of the key make it overflow the size it knows.
  return entry.list_count > 1 ? refuse_entry(number, Gate::entry_contradiction)
                              : judge_by_sum(number);
}

bool Rebuild::sum_holds(const Entry& entry, std::uint32_t start) {
  std::uint64_t size_bytes = 0;
  for (std::int32_t at = entry.list; at != no_slot;) {
    const LoadedSlot& slot = loaded_[static_cast<std::uint32_t>(at)];
    size_bytes += slot.header.payload_bytes;
    at = slot.next_in_list;
  }
  walk_ = Walk{std::move(walk_.slots)};
  walk_.slots.clear();
  const SlotHeader& head = loaded_[start].header;
  std::int32_t at = static_cast<std::int32_t>(start);
  while (walk_.payload_bytes < size_bytes) {
    if (at == no_slot || !proof_.mapped(at) || loaded_[static_cast<std::uint32_t>(at)].finalized) {
      return false;
    }
    LoadedSlot& slot = loaded_[static_cast<std::uint32_t>(at)];
    slot.finalized = true;
    walk_.slots.push_back(static_cast<std::uint32_t>(at));
    walk_.payload_bytes += slot.header.payload_bytes;
    at = slot.header.next;
  }
  walk_.prefix_count = head.has(flag_inode) ? 1 : 0;
  if (walk_.slots.size() > 1 && head.has(flag_inode) && !head.has(flag_prefix_end)) {
    walk_.prefix_count = 2;
  }
  walk_.body_bytes = walk_.payload_bytes - head.meta_bytes;
  return at == no_slot && walk_.payload_bytes == size_bytes;
}

Status Rebuild::judge_by_sum(std::uint32_t number) {
  const Entry& entry = core_.entries[number];
  const auto start =
      static_cast<std::uint32_t>(entry.body_inode == no_slot ? entry.list : entry.body_inode);
  if (!sum_holds(entry, start)) {
    return refuse_entry(number, Gate::entry_contradiction);
  }
  publish(number, start, walk_);
  return {};
}

}  // namespace engine::rock
