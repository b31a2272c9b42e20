#pragma once

#include <cstdint>

namespace engine {

/// SplitMix64's finalizer (Steele, Lea, Flood 2014): a well-mixed value of `seed` and `part`.
[[nodiscard]] constexpr std::uint64_t mix(std::uint64_t seed, std::uint64_t part) {
  std::uint64_t z = seed + 0x9e3779b97f4a7c15ULL * (part + 1);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

/// The engine's only randomness: a SplitMix64 stream from a seed of the configuration, the same on
/// every machine.
class Random {
 public:
  explicit constexpr Random(std::uint64_t seed) : seed_(seed) {}

  /// The next 64 bits.
  constexpr std::uint64_t next() { return mix(seed_, count_++); }

  /// A value in [0, bound); `bound` > 0.
  constexpr std::uint64_t below(std::uint64_t bound) {
    __extension__ using Wide = unsigned __int128;
    return static_cast<std::uint64_t>((static_cast<Wide>(next()) * bound) >> 64);
  }

 private:
  std::uint64_t seed_;
  std::uint64_t count_ = 0;
};

}  // namespace engine
