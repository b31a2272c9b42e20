#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "faultfs/base/result.h"

namespace faultfs {

using Bytes = std::vector<std::byte>;
using ByteView = std::span<const std::byte>;
using MutableByteView = std::span<std::byte>;

inline namespace literals {
constexpr std::uint64_t operator""_KiB(unsigned long long n) {
  return n * 1024;
}
constexpr std::uint64_t operator""_MiB(unsigned long long n) {
  return n * 1024 * 1024;
}
}  // namespace literals

/// `65536` as "64K", `1048576` as "1M", `1000` as "1000": exact, and parsed back by `parse_size`.
[[nodiscard]] std::string size_text(std::uint64_t size_bytes);

/// Reads "1000", "64K", "1M", "2G" (powers of 1024). Error: names the text and the allowed forms.
[[nodiscard]] Result<std::uint64_t> parse_size(std::string_view text);

/// Reads a decimal or 0x-prefixed unsigned number. Error: names the text.
[[nodiscard]] Result<std::uint64_t> parse_number(std::string_view text);

/// The blank-separated words of `line`, up to a `#` that begins a word (a comment).
[[nodiscard]] std::vector<std::string_view> words(std::string_view line);

}  // namespace faultfs
