#include "engine/service/lives.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

namespace engine::service {
namespace {

struct Request {
  std::uint64_t seed = 0;
  std::uint32_t slot_bytes = 0;
};

/// A message with one descriptor beside its bytes.
struct Message {
  explicit Message(Request& request) : bytes{&request, sizeof request} {
    head.msg_iov = &bytes;
    head.msg_iovlen = 1;
    head.msg_control = room.data();
    head.msg_controllen = room.size();
  }
  iovec bytes;
  msghdr head = {};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> room = {};
};

template <typename Call>
ssize_t repeat(const Call& call) {
  ssize_t done = -1;
  do {
    done = call();
  } while (done < 0 && errno == EINTR);
  return done;
}

std::optional<Life> receive(int control) {
  Request request;
  Message message(request);
  const ssize_t got = repeat([&] { return ::recvmsg(control, &message.head, MSG_CMSG_CLOEXEC); });
  const cmsghdr* part = CMSG_FIRSTHDR(&message.head);
  if (got != static_cast<ssize_t>(sizeof request) || part == nullptr ||
      part->cmsg_type != SCM_RIGHTS) {
    return std::nullopt;
  }
  Life life;
  std::memcpy(&life.socket, CMSG_DATA(part), sizeof life.socket);
  life.seed = request.seed;
  life.slot_bytes = request.slot_bytes;
  return life;
}

/// As fork, and the new process is a sibling of this one. There is one thread, so nothing has to be
/// told of it.
pid_t fork_sibling() {
  return static_cast<pid_t>(::syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0));
}

/// As a child of the harness is: leads a group, and does not outlive it.
void begin_life(int control, pid_t parent) {
  ::close(control);
  ::setpgid(0, 0);
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || ::getppid() != parent) {
    ::_exit(1);
  }
}

}  // namespace

std::optional<Life> wait_for_life(int control) {
  const pid_t parent = ::getppid();
  while (const auto life = receive(control)) {
    const pid_t pid = fork_sibling();
    if (pid == 0) {
      begin_life(control, parent);
      return life;
    }
    ::close(life->socket);
    if (repeat([&] { return ::send(control, &pid, sizeof pid, MSG_NOSIGNAL); }) !=
        static_cast<ssize_t>(sizeof pid)) {
      break;
    }
  }
  return std::nullopt;
}

Result<pid_t> ask_for_life(int control, const Life& life) {
  Request request;
  request.seed = life.seed;
  request.slot_bytes = life.slot_bytes;
  Message message(request);
  cmsghdr* part = CMSG_FIRSTHDR(&message.head);
  part->cmsg_level = SOL_SOCKET;
  part->cmsg_type = SCM_RIGHTS;
  part->cmsg_len = CMSG_LEN(sizeof life.socket);
  std::memcpy(CMSG_DATA(part), &life.socket, sizeof life.socket);
  pid_t pid = -1;
  const bool answered =
      repeat([&] { return ::sendmsg(control, &message.head, MSG_NOSIGNAL); }) > 0 &&
      repeat([&] { return ::recv(control, &pid, sizeof pid, 0); }) ==
          static_cast<ssize_t>(sizeof pid);
  if (!answered || pid <= 0) {
    return fail(Trouble::lost, "the process that makes engines does not answer");
  }
  return pid;
}

}  // namespace engine::service
