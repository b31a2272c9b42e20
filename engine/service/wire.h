#pragma once

/// The protocol between `cache-engine serve` and its clients: over a local stream socket, one
/// request, one answer, each a frame
///
///     | length of the rest, u32 | verb (request) or outcome (answer), u8 | fields ... |
///
/// Numbers are little-endian; a text is its length (u32) and its bytes; what follows the last field
/// of `append`, of `put` and of the answer to `get` is raw body bytes. A client may send several
/// requests before it takes their answers, which come in the same order. Outcome 0 is ok; else it
/// is 1 + the `Trouble`, and the only field is the message. Not modelled: versions (client and
/// server are built together) and peers on other machines.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace engine::service {

using Bytes = std::vector<std::byte>;

enum class Verb : std::uint8_t {
  begin_put = 1,
  append,
  commit,
  abort,
  get,
  update_header,
  purge,
  sync,
  tick,
  close,
  inspect,
  stats,
  reopen,
  put,
  verify,
  purge_all,
};

/// Longer frames end the connection; a longer object is read in ranges.
inline constexpr std::uint32_t frame_bytes_max = 1U << 30;
inline constexpr std::uint32_t frame_head_bytes = sizeof(std::uint32_t);

/// Builds one frame behind what is in a buffer. The length is filled in by `finish`.
class FrameWriter {
 public:
  explicit FrameWriter(Bytes& into) : into_(into), begin_(into.size()) {
    into_.resize(begin_ + frame_head_bytes);
  }
  void u8(std::uint8_t value) { into_.push_back(std::byte{value}); }
  void u32(std::uint32_t value) { number(&value, sizeof value); }
  void u64(std::uint64_t value) { number(&value, sizeof value); }
  void text(std::string_view text);
  void raw(std::span<const std::byte> bytes);
  /// `following`: bytes that are sent behind the buffer as part of this frame, then the last one.
  void finish(std::size_t following = 0);

 private:
  void number(const void* value, std::size_t size_bytes);
  Bytes& into_;
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
  [[nodiscard]] std::span<const std::byte> rest() const { return rest_; }
  [[nodiscard]] bool whole() const { return whole_; }

 private:
  [[nodiscard]] std::span<const std::byte> take(std::size_t size_bytes);
  std::span<const std::byte> rest_;
  bool whole_ = true;
};

/// Sends both parts, in one request where the kernel takes them. False: the peer is gone or does
/// not take them in time.
[[nodiscard]] bool send_all(int socket,
                            std::span<const std::byte> first,
                            std::span<const std::byte> second = {});
/// Fills `into`. False: the peer is gone or silent.
[[nodiscard]] bool receive_all(int socket, std::span<std::byte> into);

}  // namespace engine::service
