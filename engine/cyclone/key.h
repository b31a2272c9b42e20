#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace engine::cyclone {

/// 128 bits: the digest of an object's name, or the key of one fragment. Word 0 chooses the
/// segment, word 1 the bucket, word 2 the tag and the stripe.
struct Key {
  std::array<std::uint32_t, 4> words = {};
  [[nodiscard]] bool operator==(const Key&) const = default;

  [[nodiscard]] std::uint16_t tag() const { return words[2] & 0xfffU; }
  [[nodiscard]] std::uint64_t low() const { return words[0] | std::uint64_t{words[1]} << 32U; }
  [[nodiscard]] std::uint64_t high() const { return words[2] | std::uint64_t{words[3]} << 32U; }
};

[[nodiscard]] Key key_of(std::string_view name);
[[nodiscard]] constexpr Key make_key(std::uint64_t low, std::uint64_t high) {
  return {{static_cast<std::uint32_t>(low),
           static_cast<std::uint32_t>(low >> 32U),
           static_cast<std::uint32_t>(high),
           static_cast<std::uint32_t>(high >> 32U)}};
}

/// The key of the fragment behind the one of `key`: a permutation of all keys, so that fragments of
/// two writes never meet.
[[nodiscard]] constexpr Key next_fragment(const Key& key) {
  constexpr std::uint32_t odd = 0x9e3779b1;
  return {{key.words[3] * odd + 1,
           key.words[0] * odd + 3,
           key.words[1] * odd + 5,
           key.words[2] * odd + 7}};
}

}  // namespace engine::cyclone
