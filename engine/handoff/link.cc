#include "engine/handoff/link.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <system_error>

#include <fmt/format.h>

#include "engine/base/carrier.h"
#include "engine/base/frame.h"

namespace engine::handoff {
namespace {

constexpr std::uint32_t frame_bytes_max = 1U << 28;

struct Address {
  explicit Address(pid_t process) {
    constexpr std::size_t zero_bytes = 1;  // a first zero says: abstract
    name.sun_family = AF_UNIX;
    const std::string text = fmt::format("cache-engine-handoff-{}", process);
    text.copy(&name.sun_path[1], sizeof name.sun_path - 1);
    size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + zero_bytes + text.size());
  }
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&name); }
  sockaddr_un name = {};
  socklen_t size = 0;
};

Error lost(std::string_view what) {
  const bool slow = errno == EAGAIN || errno == EWOULDBLOCK;
  return {Trouble::lost,
          fmt::format("{}: {}",
                      what,
                      slow ? "the other instance does not answer in time"
                           : std::generic_category().message(errno))};
}

/// Bytes received; 0: the end. A descriptor that came along goes into `descriptor`.
ssize_t receive_some(int socket, std::span<std::byte> into, Descriptor& descriptor) {
  ssize_t got = -1;
  do {
    Carrier carrier(into);
    carrier.make_room();
    got = ::recvmsg(socket, carrier.head(), MSG_CMSG_CLOEXEC);
    if (got > 0) {
      Descriptor came = carrier.unload();
      if (came) {
        descriptor = std::move(came);
      }
    }
  } while (got < 0 && errno == EINTR);
  return got < 0 && errno == ECONNRESET ? 0 : got;
}

/// False: the other end closed, before the first byte or within.
Result<bool> fill(int socket, std::span<std::byte> into, Descriptor& descriptor) {
  while (!into.empty()) {
    const ssize_t got = receive_some(socket, into, descriptor);
    if (got < 0) {
      return tl::unexpected(lost("handoff"));
    }
    if (got == 0) {
      return false;
    }
    into = into.subspan(static_cast<std::size_t>(got));
  }
  return true;
}

bool same_user(int socket, ucred& peer) {
  socklen_t bytes = sizeof peer;
  return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) == 0 &&
         peer.uid == ::geteuid();
}

}  // namespace

Result<Link> Link::connect(pid_t process) {
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const Address address(process);
  if (!socket || ::connect(socket.get(), address.get(), address.size) != 0) {
    return tl::unexpected(lost(fmt::format("process {} cannot be called", process)));
  }
  Link link(std::move(socket));
  if (link.process() != process || !link.of_this_user()) {
    return fail(Trouble::lost, fmt::format("somebody else answers for process {}", process));
  }
  return link;
}

void Link::set_patience(std::chrono::milliseconds patience) {
  constexpr int thousand = 1000;
  const timeval time{patience.count() / thousand, patience.count() % thousand * thousand};
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
}

pid_t Link::process() const {
  ucred peer = {};
  static_cast<void>(same_user(socket_.get(), peer));
  return peer.pid > 0 ? peer.pid : -1;
}

bool Link::of_this_user() const {
  ucred peer = {};
  return same_user(socket_.get(), peer);
}

Status Link::send(std::span<const std::byte> frame, int descriptor) const {
  while (!frame.empty()) {
    // iovec has no const form; sendmsg only reads through it.
    Carrier carrier({const_cast<std::byte*>(frame.data()), frame.size()});
    if (descriptor >= 0) {
      carrier.load(descriptor);
    }
    const ssize_t sent = ::sendmsg(socket_.get(), carrier.head(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) {
      continue;
    }
    if (sent <= 0) {
      return tl::unexpected(lost("handoff"));
    }
    descriptor = -1;  // went with the first byte
    frame = frame.subspan(static_cast<std::size_t>(sent));
  }
  return {};
}

Result<std::optional<Message>> Link::receive() const {
  Message message;
  std::uint32_t length = 0;
  const auto begun =
      fill(socket_.get(), std::as_writable_bytes(std::span(&length, 1)), message.descriptor);
  if (!begun || !*begun) {
    return begun ? Result<std::optional<Message>>(std::nullopt) : tl::unexpected(begun.error());
  }
  if (length > frame_bytes_max) {
    return fail(Trouble::lost, "handoff: a message of impossible length");
  }
  message.frame.resize(length);
  const auto whole = fill(socket_.get(), message.frame, message.descriptor);
  if (!whole || !*whole) {
    return whole ? Result<std::optional<Message>>(std::nullopt) : tl::unexpected(whole.error());
  }
  return message;
}

Result<Listener> Listener::open() {
  constexpr int backlog = 4;
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const Address address(::getpid());
  if (!socket || ::bind(socket.get(), address.get(), address.size) != 0 ||
      ::listen(socket.get(), backlog) != 0) {
    return tl::unexpected(lost("cannot listen for the other instance"));
  }
  return Listener(std::move(socket));
}

std::optional<Link> Listener::accept() const {
  Link link(Descriptor(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC)));
  return link.of_this_user() ? std::optional(std::move(link)) : std::nullopt;
}

}  // namespace engine::handoff
