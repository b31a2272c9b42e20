#include "engine/volumes/assignment.h"

#include <xxhash.h>

#include <algorithm>
#include <tuple>

#include "engine/base/random.h"

namespace engine::volumes {
namespace {

struct Point {
  std::uint64_t place = 0;
  std::uint64_t identity = 0;  ///< so that equal places do not depend on the order of the stripes
  std::uint16_t stripe = 0;
};

}  // namespace

Assignment::Assignment(std::vector<StripeFacts> stripes) {
  std::vector<Point> ring;
  for (std::size_t stripe = 0; stripe < stripes.size(); ++stripe) {
    const std::string& identity = stripes[stripe].identity;
    const std::uint64_t seed = XXH3_64bits(identity.data(), identity.size());
    Random random(seed);
    const std::uint64_t points =
        std::max<std::uint64_t>(stripes[stripe].size_bytes / bytes_per_point, 1);
    for (std::uint64_t n = 0; n < points; ++n) {
      ring.push_back({random.next(), seed, static_cast<std::uint16_t>(stripe)});
    }
  }
  if (ring.empty()) {
    return;
  }
  std::sort(ring.begin(), ring.end(), [](const Point& a, const Point& b) {
    return std::tuple(a.place, a.identity) < std::tuple(b.place, b.identity);
  });
  table_.resize(slots);
  constexpr std::uint64_t width = UINT64_MAX / slots;
  std::size_t at = 0;
  for (std::size_t slot = 0; slot < slots; ++slot) {
    const std::uint64_t middle = slot * width + width / 2;
    while (at < ring.size() && ring[at].place < middle) {
      ++at;
    }
    table_[slot] = ring[at == ring.size() ? 0 : at].stripe;  // above the last one: the ring closes
  }
}

std::size_t Assignment::slot_of(std::string_view key) {
  const XXH128_hash_t hash = XXH3_128bits(key.data(), key.size());
  const auto word = static_cast<std::uint32_t>(hash.high64);
  return (word >> 12U) % slots;
}

std::optional<std::size_t> Assignment::stripe_of(std::string_view key) const {
  return table_.empty() ? std::nullopt : std::optional<std::size_t>(table_[slot_of(key)]);
}

}  // namespace engine::volumes
