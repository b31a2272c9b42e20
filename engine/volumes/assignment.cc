#include "engine/volumes/assignment.h"

#include <xxhash.h>

#include <algorithm>
#include <tuple>

#include "engine/base/random.h"

namespace engine::volumes {

Assignment::Assignment(const std::vector<StripeFacts>& stripes) {
  for (std::size_t stripe = 0; stripe < stripes.size(); ++stripe) {
    const std::string& identity = stripes[stripe].identity;
    const std::uint64_t seed = XXH3_64bits(identity.data(), identity.size());
    Random random(seed);
    const std::uint64_t points =
        std::max<std::uint64_t>(stripes[stripe].size_bytes / bytes_per_point, points_min);
    for (std::uint64_t n = 0; n < points; ++n) {
      ring_.push_back({random.next(), seed, static_cast<std::uint16_t>(stripe)});
    }
  }
  std::sort(ring_.begin(), ring_.end(), [](const Point& a, const Point& b) {
    return std::tuple(a.place, a.identity) < std::tuple(b.place, b.identity);
  });
}

std::uint16_t Assignment::stripe_of_slot(std::size_t slot) const {
  constexpr std::uint64_t width = UINT64_MAX / slots;
  const std::uint64_t middle = slot * width + width / 2;
  const auto at = std::lower_bound(
      ring_.begin(), ring_.end(), middle, [](const Point& point, std::uint64_t place) {
        return point.place < place;
      });
  return at == ring_.end() ? ring_.front().stripe : at->stripe;  // above the last: the ring closes
}

std::vector<std::uint16_t> Assignment::table() const {
  std::vector<std::uint16_t> table(ring_.empty() ? 0 : slots);
  for (std::size_t slot = 0; slot < table.size(); ++slot) {
    table[slot] = stripe_of_slot(slot);
  }
  return table;
}

std::size_t Assignment::slot_of(std::string_view key) {
  const XXH128_hash_t hash = XXH3_128bits(key.data(), key.size());
  const auto word = static_cast<std::uint32_t>(hash.high64);
  return (word >> 12U) % slots;
}

std::optional<std::size_t> Assignment::stripe_of(std::string_view key) const {
  return ring_.empty() ? std::nullopt : std::optional<std::size_t>(stripe_of_slot(slot_of(key)));
}

}  // namespace engine::volumes
