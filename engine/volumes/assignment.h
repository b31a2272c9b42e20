#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace engine::volumes {

/// A stripe as the choice sees it.
struct StripeFacts {
  std::string identity;  ///< stays the same as long as the stripe does
  std::uint64_t size_bytes = 0;
};

/// Which stripe of a volume has a key: consistent hashing over a table of 32707 slots. Each stripe
/// draws one point on a ring for every 8 MiB it has, from its identity; a slot belongs to the first
/// point at or above its middle. Taking a stripe away moves its slots and no others.
class Assignment {
 public:
  explicit Assignment(std::vector<StripeFacts> stripes);

  /// Index of the stripe of `key`; none where there is no stripe.
  [[nodiscard]] std::optional<std::size_t> stripe_of(std::string_view key) const;
  [[nodiscard]] static std::size_t slot_of(std::string_view key);
  [[nodiscard]] const std::vector<std::uint16_t>& table() const { return table_; }

  static constexpr std::size_t slots = 32707;
  static constexpr std::uint64_t bytes_per_point = 8ULL << 20U;

 private:
  std::vector<std::uint16_t> table_;  ///< stripe of each slot
};

}  // namespace engine::volumes
