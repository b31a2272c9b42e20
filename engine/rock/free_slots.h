#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/base/random.h"
#include "engine/rock/config.h"

namespace engine::rock {

/// The set of free slots, and the rule by which the next one is chosen: lowest number first (as
/// Squid), last freed first, or drawn from a seed. Each order hides other mistakes.
class FreeSlots {
 public:
  FreeSlots(Allocator allocator, std::uint32_t slot_count, std::uint64_t seed);

  /// `slot` must not be in the set.
  void add(std::uint32_t slot);
  /// Removes and returns the next slot; none when the set is empty.
  [[nodiscard]] std::optional<std::uint32_t> take();
  [[nodiscard]] std::uint32_t size() const { return size_; }

 private:
  [[nodiscard]] std::uint32_t take_lowest();

  Allocator allocator_;
  Random random_;
  std::uint32_t size_ = 0;
  std::vector<std::uint64_t> bits_;  // lowest_first
  std::size_t lowest_word_ = 0;      // no bit is set before it
  std::vector<std::uint32_t> list_;  // lifo, random
};

}  // namespace engine::rock
