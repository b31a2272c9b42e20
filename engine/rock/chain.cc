#include "engine/rock/chain.h"

#include <algorithm>

namespace engine::rock {

bool ChainProof::mapped(std::int32_t slot) const {
  const auto at = static_cast<std::uint32_t>(slot);
  return std::as_const(loaded_)[at].loaded && core_.slots[at].kind == UnitUse::Kind::entry;
}

std::optional<Gate> ChainProof::refuse_step(const SlotHeader& head,
                                            const SlotHeader& header,
                                            const Expected& expected) const {
  if (!core_.gates.on(Gate::owner_check)) {
    return std::nullopt;
  }
  if (header.key != head.key || header.index != expected.index) {
    return Gate::owner_check;
  }
  const WriteId& write = expected.prefix ? head.write : head.chain;
  if (core_.gates.on(Gate::write_id) && (header.write != write || header.chain != head.chain)) {
    return Gate::write_id;
  }
  return std::nullopt;
}

std::optional<Gate> ChainProof::refuse_end(const SlotHeader& head,
                                           const SlotHeader& last,
                                           const Walk& walk) const {
  if (!core_.gates.on(Gate::tail_required) || !head.has(flag_inode)) {
    return std::nullopt;  // of a chain without its inode nobody knows how long it should be
  }
  const bool told_by_head = head.is_update() && head.body_bytes != walk.body_bytes;
  if (told_by_head || last.body_bytes != walk.body_bytes ||
      last.suffix_digest != walk.suffix_digest) {
    return Gate::tail_required;
  }
  return std::nullopt;
}

std::optional<Gate> ChainProof::walk_from(std::uint32_t start, Walk& walk) {
  ++stamp_;
  walk = Walk{std::move(walk.slots)};
  walk.slots.clear();
  const SlotHeader& head = loaded_[start].header;
  Expected expected{head.index, head.has(flag_inode)};
  std::int32_t next = static_cast<std::int32_t>(start);
  const SlotHeader* last = nullptr;
  while (last == nullptr || !last->has(flag_tail)) {
    if (next == no_slot || !mapped(next)) {
      if (core_.gates.on(Gate::tail_required) || last == nullptr) {
        return Gate::tail_required;
      }
      break;
    }
    LoadedSlot& here = loaded_[static_cast<std::uint32_t>(next)];
    if (here.stamp == stamp_) {
      return Gate::chain_loop;
    }
    if (const auto refused = refuse_step(head, here.header, expected)) {
      return refused;
    }
    here.stamp = stamp_;
    last = &here.header;
    walk.slots.push_back(static_cast<std::uint32_t>(next));
    walk.payload_bytes += last->payload_bytes;
    ++expected.index;
    if (expected.prefix) {
      ++walk.prefix_count;
      if (last->has(flag_prefix_end)) {
        expected = {1, false};
      }
    } else {
      walk.suffix_digest = add_to_digest(walk.suffix_digest, last->payload_checksum);
    }
    next = last->next;
  }
  walk.body_bytes =
      walk.payload_bytes - std::min<std::uint64_t>(head.meta_bytes, walk.payload_bytes);
  return refuse_end(head, *last, walk);
}

}  // namespace engine::rock
