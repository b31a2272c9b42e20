#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string>

#include <fmt/format.h>

#include "faultfs/base/bytes.h"

namespace scenarios::formats {

static_assert(std::endian::native == std::endian::little, "both formats are the host's own");

/// The number of type `Number` at `at`; zero where that is not wholly inside `bytes`.
template <typename Number>
[[nodiscard]] Number field(faultfs::ByteView bytes, std::uint64_t at) {
  Number value = 0;
  if (at <= bytes.size() && sizeof value <= bytes.size() - at) {
    std::memcpy(&value, bytes.data() + at, sizeof value);
  }
  return value;
}

/// `bytes` from `at` on, at most `size` of them; what lies outside is left out.
[[nodiscard]] inline faultfs::ByteView part(faultfs::ByteView bytes,
                                            std::uint64_t at,
                                            std::uint64_t size) {
  const std::uint64_t begin = std::min<std::uint64_t>(at, bytes.size());
  return bytes.subspan(begin, std::min<std::uint64_t>(size, bytes.size() - begin));
}

/// A key of 128 bits.
using KeyHash = std::array<std::uint8_t, 16>;

[[nodiscard]] inline KeyHash key_hash(faultfs::ByteView bytes, std::uint64_t at) {
  KeyHash key{};
  const faultfs::ByteView found = part(bytes, at, key.size());
  std::memcpy(key.data(), found.data(), found.size());
  return key;
}

/// "3cf2a71d2b485ba7…": enough of a key to tell it from others.
[[nodiscard]] inline std::string to_text(const KeyHash& key) {
  std::string text;
  for (std::size_t i = 0; i < 8; ++i) {
    text += fmt::format("{:02x}", key[i]);
  }
  return text;
}

/// The printable characters `bytes` begin with, up to the first other one.
[[nodiscard]] inline std::string printable(faultfs::ByteView bytes) {
  std::string text;
  for (const std::byte byte : bytes) {
    const auto character = std::to_integer<unsigned char>(byte);
    if (character < 0x20 || character > 0x7e) {
      break;
    }
    text += static_cast<char>(character);
  }
  return text;
}

}  // namespace scenarios::formats
