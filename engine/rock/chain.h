#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "engine/rock/core.h"

namespace engine::rock {

/// What the rebuild knows of one slot.
struct LoadedSlot {
  SlotHeader header;
  std::int32_t next_in_list = no_slot;  ///< of the same key
  std::uint32_t stamp = 0;              ///< number of the last walk that came by
  bool loaded = false;
  bool finalized = false;  ///< byte sum proof: a walk has proven it
};

/// The slots a rebuild knows something of, by number. A store is mostly empty: the others take four
/// bytes each.
class LoadedSlots {
 public:
  LoadedSlots() = default;
  explicit LoadedSlots(std::uint32_t slot_count) : place_(slot_count, 0) {}

  /// Makes room for `slot` where there is none yet, which moves the others.
  LoadedSlot& operator[](std::uint32_t slot) {
    if (place_[slot] == 0) {
      rows_.emplace_back();
      place_[slot] = static_cast<std::uint32_t>(rows_.size());
    }
    return rows_[place_[slot] - 1];
  }
  const LoadedSlot& operator[](std::uint32_t slot) const {
    return place_[slot] == 0 ? nothing_ : rows_[place_[slot] - 1];
  }

 private:
  std::vector<std::uint32_t> place_;  // 1 + the row
  std::vector<LoadedSlot> rows_;
  LoadedSlot nothing_;
};

/// A chain as a walk found it.
struct Walk {
  std::vector<std::uint32_t> slots;  ///< in order
  std::uint32_t prefix_count = 0;
  std::uint64_t payload_bytes = 0;
  std::uint64_t suffix_digest = 0;
  std::uint64_t body_bytes = 0;
};

/// The proof of completeness: from a head by `next` over slots that are each this entry's (key,
/// write or chain id, the expected index) to a slot flagged tail, whose body length and digest
/// agree with what was walked. Reads no payload.
class ChainProof {
 public:
  ChainProof(const Core& core, LoadedSlots& loaded) : core_(core), loaded_(loaded) {}

  /// Walks from `start` into `walk`. Empty: complete. Else the gate that refused it.
  [[nodiscard]] std::optional<Gate> walk_from(std::uint32_t start, Walk& walk);
  /// True when the last walk came by `slot`.
  [[nodiscard]] bool came_by(std::uint32_t slot) const {
    return std::as_const(loaded_)[slot].stamp == stamp_;
  }
  /// A fresh mark for walks of another kind.
  std::uint32_t new_stamp() { return ++stamp_; }
  /// True when a rebuild found the slot in use and nobody has freed it since.
  [[nodiscard]] bool mapped(std::int32_t slot) const;

 private:
  struct Expected {
    std::uint32_t index = 0;
    bool prefix = true;
  };
  [[nodiscard]] std::optional<Gate> refuse_step(const SlotHeader& head,
                                                const SlotHeader& header,
                                                const Expected& expected) const;
  [[nodiscard]] std::optional<Gate> refuse_end(const SlotHeader& head,
                                               const SlotHeader& last,
                                               const Walk& walk) const;

  const Core& core_;
  LoadedSlots& loaded_;
  std::uint32_t stamp_ = 0;
};

}  // namespace engine::rock
