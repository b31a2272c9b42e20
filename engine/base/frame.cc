#include "engine/base/frame.h"

#include <cstring>

namespace engine {

void FrameWriter::number(const void* value, std::size_t size_bytes) {
  const std::size_t at = into_.size();
  into_.resize(at + size_bytes);
  std::memcpy(&into_[at], value, size_bytes);
}

void FrameWriter::text(std::string_view text) {
  bytes(std::as_bytes(std::span(text)));
}

void FrameWriter::bytes(std::span<const std::byte> bytes) {
  u32(static_cast<std::uint32_t>(bytes.size()));
  raw(bytes);
}

void FrameWriter::raw(std::span<const std::byte> bytes) {
  into_.insert(into_.end(), bytes.begin(), bytes.end());
}

void FrameWriter::finish(std::size_t following) {
  const auto length =
      static_cast<std::uint32_t>(into_.size() - begin_ - frame_head_bytes + following);
  std::memcpy(&into_[begin_], &length, sizeof length);
}

std::span<const std::byte> FrameReader::take(std::size_t size_bytes) {
  if (!whole_ || size_bytes > rest_.size()) {
    whole_ = false;
    rest_ = {};
    return {};
  }
  const auto taken = rest_.first(size_bytes);
  rest_ = rest_.subspan(size_bytes);
  return taken;
}

std::uint8_t FrameReader::u8() {
  const auto bytes = take(1);
  return bytes.empty() ? std::uint8_t{0} : std::to_integer<std::uint8_t>(bytes.front());
}

std::uint32_t FrameReader::u32() {
  std::uint32_t value = 0;
  const auto bytes = take(sizeof value);
  if (!bytes.empty()) {
    std::memcpy(&value, bytes.data(), sizeof value);
  }
  return value;
}

std::uint64_t FrameReader::u64() {
  std::uint64_t value = 0;
  const auto bytes = take(sizeof value);
  if (!bytes.empty()) {
    std::memcpy(&value, bytes.data(), sizeof value);
  }
  return value;
}

std::string_view FrameReader::text() {
  const auto text = bytes();
  return {reinterpret_cast<const char*>(text.data()), text.size()};
}

}  // namespace engine
