#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <span>

#include "engine/base/descriptor.h"

namespace engine {

/// The head of one message over a local socket, for sendmsg and recvmsg, that may carry a
/// descriptor beside its bytes. Refers to them and to itself: it stays where it is.
class Carrier {
 public:
  explicit Carrier(std::span<std::byte> data) : bytes_{data.data(), data.size()} {
    head_.msg_iov = &bytes_;
    head_.msg_iovlen = 1;
    head_.msg_control = room_.data();
    head_.msg_controllen = 0;
  }
  Carrier(const Carrier&) = delete;
  Carrier& operator=(const Carrier&) = delete;
  Carrier(Carrier&&) = delete;
  Carrier& operator=(Carrier&&) = delete;
  ~Carrier() = default;

  [[nodiscard]] msghdr* head() { return &head_; }
  /// To send a copy of `descriptor`.
  void load(int descriptor) {
    make_room();
    cmsghdr* const part = CMSG_FIRSTHDR(&head_);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof descriptor);
    std::memcpy(CMSG_DATA(part), &descriptor, sizeof descriptor);
  }
  /// Before it is received into.
  void make_room() { head_.msg_controllen = room_.size(); }
  /// What came with the bytes, if anything did.
  [[nodiscard]] Descriptor unload() {
    const cmsghdr* const part = CMSG_FIRSTHDR(&head_);
    int descriptor = -1;
    if (part != nullptr && part->cmsg_type == SCM_RIGHTS) {
      std::memcpy(&descriptor, CMSG_DATA(part), sizeof descriptor);
    }
    return Descriptor(descriptor);
  }

 private:
  iovec bytes_;
  msghdr head_ = {};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> room_ = {};
};

}  // namespace engine
