#include "engine/service/wire.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace engine::service {

void FrameWriter::number(const void* value, std::size_t size_bytes) {
  const std::size_t at = into_.size();
  into_.resize(at + size_bytes);
  std::memcpy(&into_[at], value, size_bytes);
}

void FrameWriter::text(std::string_view text) {
  u32(static_cast<std::uint32_t>(text.size()));
  raw(std::as_bytes(std::span(text)));
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
  const auto bytes = take(u32());
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool send_all(int socket, std::span<const std::byte> first, std::span<const std::byte> second) {
  while (!first.empty() || !second.empty()) {
    // iovec has no const form; sendmsg only reads through it.
    std::array<iovec, 2> parts = {iovec{const_cast<std::byte*>(first.data()), first.size()},
                                  iovec{const_cast<std::byte*>(second.data()), second.size()}};
    msghdr message = {};
    message.msg_iov = parts.data();
    message.msg_iovlen = parts.size();
    const ssize_t sent = ::sendmsg(socket, &message, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) {
      continue;
    }
    if (sent <= 0) {
      return false;
    }
    const auto count = static_cast<std::size_t>(sent);
    const std::size_t of_first = std::min(count, first.size());
    first = first.subspan(of_first);
    second = second.subspan(count - of_first);
  }
  return true;
}

bool receive_all(int socket, std::span<std::byte> into) {
  while (!into.empty()) {
    const ssize_t got = ::recv(socket, into.data(), into.size(), 0);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      return false;
    }
    into = into.subspan(static_cast<std::size_t>(got));
  }
  return true;
}

}  // namespace engine::service
