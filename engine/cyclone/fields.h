#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace engine::cyclone {

static_assert(std::endian::native == std::endian::little, "the disk format is little-endian");

/// The number of type `Number` at `at`, which lies inside `bytes`.
template <typename Number>
[[nodiscard]] Number load(std::span<const std::byte> bytes, std::size_t at) {
  Number value = 0;
  std::memcpy(&value, bytes.subspan(at, sizeof value).data(), sizeof value);
  return value;
}

template <typename Number>
void store(std::span<std::byte> bytes, std::size_t at, Number value) {
  std::memcpy(bytes.subspan(at, sizeof value).data(), &value, sizeof value);
}

[[nodiscard]] constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}

}  // namespace engine::cyclone
