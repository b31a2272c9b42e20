#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace engine {

/// The length of what follows, which begins a frame; all numbers in a frame are little-endian.
inline constexpr std::uint32_t frame_head_bytes = sizeof(std::uint32_t);

/// Builds one frame behind what is in a buffer. The length is filled in by `finish`.
class FrameWriter {
 public:
  explicit FrameWriter(std::vector<std::byte>& into) : into_(into), begin_(into.size()) {
    into_.resize(begin_ + frame_head_bytes);
  }
  void u8(std::uint8_t value) { into_.push_back(std::byte{value}); }
  void u32(std::uint32_t value) { number(&value, sizeof value); }
  void u64(std::uint64_t value) { number(&value, sizeof value); }
  void text(std::string_view text);
  /// As `text`.
  void bytes(std::span<const std::byte> bytes);
  void raw(std::span<const std::byte> bytes);
  /// `following`: bytes that are sent behind the buffer as part of this frame, then the last one.
  void finish(std::size_t following = 0);

 private:
  void number(const void* value, std::size_t size_bytes);
  std::vector<std::byte>& into_;
  std::size_t begin_;
};

/// Reads the fields of a frame. After a field that is not there all further ones are empty and
/// `whole` is false.
class FrameReader {
 public:
  explicit FrameReader(std::span<const std::byte> frame) : rest_(frame) {}
  [[nodiscard]] std::uint8_t u8();
  [[nodiscard]] std::uint32_t u32();
  [[nodiscard]] std::uint64_t u64();
  [[nodiscard]] std::string_view text();
  [[nodiscard]] std::span<const std::byte> bytes() { return take(u32()); }
  [[nodiscard]] std::span<const std::byte> rest() const { return rest_; }
  [[nodiscard]] bool whole() const { return whole_; }

 private:
  [[nodiscard]] std::span<const std::byte> take(std::size_t size_bytes);
  std::span<const std::byte> rest_;
  bool whole_ = true;
};

}  // namespace engine
