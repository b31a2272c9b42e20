#include "faultfs/base/bytes.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <utility>

#include <fmt/format.h>

namespace faultfs {

namespace {

constexpr std::array<std::pair<char, std::uint64_t>, 3> size_units = {
    {{'G', 1024_MiB}, {'M', 1_MiB}, {'K', 1_KiB}}};
constexpr std::string_view blanks = " \t\r\n\v\f";

/// The whole of `text` as an unsigned number in `base`; false when it is not one.
bool read_digits(std::string_view text, int base, std::uint64_t& value) {
  const char* end = text.data() + text.size();
  auto [stop, trouble] = std::from_chars(text.data(), end, value, base);
  return trouble == std::errc() && stop == end && !text.empty();
}

}  // namespace

std::string size_text(std::uint64_t size_bytes) {
  for (auto [letter, unit_bytes] : size_units) {
    if (size_bytes != 0 && size_bytes % unit_bytes == 0) {
      return fmt::format("{}{}", size_bytes / unit_bytes, letter);
    }
  }
  return fmt::format("{}", size_bytes);
}

Result<std::uint64_t> parse_size(std::string_view text) {
  std::string_view digits = text;
  std::uint64_t unit_bytes = 1;
  for (auto [letter, bytes] : size_units) {
    if (!text.empty() && text.back() == letter) {
      unit_bytes = bytes;
      digits.remove_suffix(1);
    }
  }
  std::uint64_t count = 0;
  if (!read_digits(digits, 10, count)) {
    return fail(
        fmt::format("\"{}\" is not a size; allowed: 1000, 64K, 1M, 2G (powers of 1024)", text));
  }
  if (count > std::numeric_limits<std::uint64_t>::max() / unit_bytes) {
    return fail(fmt::format("the size \"{}\" is too large; it must be below 2^64 bytes", text));
  }
  return count * unit_bytes;
}

Result<std::uint64_t> parse_number(std::string_view text) {
  bool hexadecimal = text.starts_with("0x") || text.starts_with("0X");
  std::uint64_t value = 0;
  if (!read_digits(hexadecimal ? text.substr(2) : text, hexadecimal ? 16 : 10, value)) {
    return fail(fmt::format(
        "\"{}\" is not a number; allowed: decimal or 0x and hexadecimal digits, below 2^64", text));
  }
  return value;
}

std::vector<std::string_view> words(std::string_view line) {
  std::vector<std::string_view> found;
  std::size_t begin = line.find_first_not_of(blanks);
  while (begin != std::string_view::npos && line[begin] != '#') {
    std::size_t end = std::min(line.find_first_of(blanks, begin), line.size());
    found.push_back(line.substr(begin, end - begin));
    begin = line.find_first_not_of(blanks, end);
  }
  return found;
}

}  // namespace faultfs
