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

/// Which stripe of a volume has a key: consistent hashing over 32707 slots. Each stripe draws one
/// point on a ring for every 8 MiB it has (16 at least), from its identity; a slot belongs to the
/// first point at or above its middle. Taking a stripe away moves its slots and no others.
class Assignment {
 public:
  explicit Assignment(const std::vector<StripeFacts>& stripes);

  /// Index of the stripe of `key`; none where there is no stripe.
  [[nodiscard]] std::optional<std::size_t> stripe_of(std::string_view key) const;
  [[nodiscard]] static std::size_t slot_of(std::string_view key);
  /// Stripe of each slot.
  [[nodiscard]] std::vector<std::uint16_t> table() const;

  static constexpr std::size_t slots = 32707;
  static constexpr std::uint64_t bytes_per_point = 8ULL << 20U;
  static constexpr std::uint64_t points_min =
      16;  ///< the smallest stripe of the reference has them

 private:
  struct Point {
    std::uint64_t place = 0;
    std::uint64_t identity = 0;  ///< so that equal places do not depend on the order of the stripes
    std::uint16_t stripe = 0;
  };
  [[nodiscard]] std::uint16_t stripe_of_slot(std::size_t slot) const;

  std::vector<Point> ring_;  ///< in order
};

}  // namespace engine::volumes
