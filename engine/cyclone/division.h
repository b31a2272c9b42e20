#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/cyclone/geometry.h"
#include "engine/volumes/assignment.h"
#include "engine/volumes/hosting.h"

namespace engine::cyclone {

inline constexpr std::size_t stripe_count_max = 128;
inline constexpr std::size_t hosting_bytes_max = 4096;  ///< of the rules' text

/// One volume's part of a span.
struct VolumeShare {
  volumes::VolumeTag tag = 1;
  std::uint32_t weight = 100;  ///< of all volumes' weights together
  [[nodiscard]] bool operator==(const VolumeShare&) const = default;
};

/// How a span is cut, and which objects live where: volumes one after another by their weights,
/// each of so many stripes of equal size. Part of the disk's identity, as the layout is: another
/// division clears, because an object that is looked for elsewhere, and later here again, would be
/// an old one.
struct Division {
  std::vector<VolumeShare> volumes = std::vector<VolumeShare>(1);
  std::uint32_t stripes = 1;  ///< of each volume
  volumes::Hosting hosting{1};
  [[nodiscard]] bool operator==(const Division& other) const;
};

/// Reads "1:60,2:40": tag and weight of each volume; "1,2": equal weights. Error: quotes the text.
[[nodiscard]] Result<std::vector<VolumeShare>> parse_volumes(std::string_view text);

/// A stripe's place on its span.
struct StripePlace {
  StripeGeometry geometry;
  volumes::VolumeTag volume = 1;
};

/// The stripes of a span of `span_bytes`, in order. Error: says what does not fit.
[[nodiscard]] Result<std::vector<StripePlace>> divide(std::uint64_t span_bytes,
                                                      const Layout& layout,
                                                      const Division& division);

/// Which stripe has a key: the hosting rules choose its volume, consistent hashing one of that
/// volume's stripes.
class Placement {
 public:
  Placement(const std::vector<StripePlace>& places, const Division& division);
  /// The same for all alternates of an object.
  [[nodiscard]] std::size_t stripe_of(std::string_view key) const;

 private:
  struct Volume {
    volumes::VolumeTag tag = 1;
    std::size_t first = 0;                          ///< its first stripe
    std::optional<volumes::Assignment> assignment;  ///< none: it has one stripe only
  };
  volumes::Hosting hosting_;
  std::vector<Volume> volumes_;
};

}  // namespace engine::cyclone
