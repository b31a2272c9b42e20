#include "engine/service/lives.h"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "engine/base/carrier.h"

namespace engine::service {
namespace {

struct Request {
  std::uint64_t seed = 0;
  std::uint32_t slot_bytes = 0;
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
  Carrier carrier(std::as_writable_bytes(std::span(&request, 1)));
  carrier.make_room();
  const ssize_t got = repeat([&] { return ::recvmsg(control, carrier.head(), MSG_CMSG_CLOEXEC); });
  Descriptor socket = carrier.unload();
  if (got != static_cast<ssize_t>(sizeof request) || !socket) {
    return std::nullopt;
  }
  Life life;
  life.socket = socket.release();
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
  Carrier carrier(std::as_writable_bytes(std::span(&request, 1)));
  carrier.load(life.socket);
  pid_t pid = -1;
  const bool answered =
      repeat([&] { return ::sendmsg(control, carrier.head(), MSG_NOSIGNAL); }) > 0 &&
      repeat([&] { return ::recv(control, &pid, sizeof pid, 0); }) ==
          static_cast<ssize_t>(sizeof pid);
  if (!answered || pid <= 0) {
    return fail(Trouble::lost, "the process that makes engines does not answer");
  }
  return pid;
}

}  // namespace engine::service
