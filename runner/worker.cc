// Workers: forked, told apart by name (powercut-keeper …), bound to their parent by the kernel.

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <iostream>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "runner/processes.h"
#include "runner/sandbox.h"

namespace runner {
namespace {

using faultfs::fail;
using faultfs::Result;
using faultfs::Status;

WorkerEnd end_of(int status) {
  return WIFSIGNALED(status) ? WorkerEnd{WTERMSIG(status), 0} : WorkerEnd{0, WEXITSTATUS(status)};
}

void close_all_but(int descriptor) {
  const auto kept = static_cast<unsigned>(descriptor);
  if (kept > 3) {
    close_range(3, kept - 1, 0);
  }
  close_range(kept + 1, ~0U, 0);
}

/// In the new child, before anything else of it runs.
void bind_to_parent(pid_t parent, const std::string& parent_identity) {
  prctl(PR_SET_NAME, "powercut-keeper");
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) {
    _exit(EXIT_FAILURE);  // it died before we could ask to die with it
  }
  setsid();  // a Ctrl-C is for the parent, which decides what becomes of its workers
  // NOLINTNEXTLINE(concurrency-mt-unsafe): freshly forked, there is one thread
  setenv(owner_variable, parent_identity.c_str(), 1);
}

}  // namespace

Result<Worker> start_worker(const SandboxOptions& options,
                            const std::function<int(const Result<Sandbox>&, int)>& work) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return fail("a worker cannot be started: socketpair: " +
                std::generic_category().message(errno));
  }
  // What is buffered now would otherwise be written twice.
  std::cout.flush();
  std::fflush(nullptr);
  const pid_t parent = getpid();
  const std::string identity = identity_of(parent);
  const pid_t child = fork();
  if (child < 0) {
    const int error = errno;
    close(ends[0]);
    close(ends[1]);
    return fail("a worker cannot be started: fork: " + std::generic_category().message(error));
  }
  if (child > 0) {
    close(ends[1]);
    return Worker(child, ends[0]);
  }
  bind_to_parent(parent, identity);
  close_all_but(ends[1]);
  const Result<Sandbox> sandbox = enter_sandbox(options);
  const int code = work(sandbox, ends[1]);
  std::cout.flush();
  std::fflush(nullptr);
  _exit(code);
}

Status can_sandbox() {
  const auto report = [](const Result<Sandbox>& sandbox, int descriptor) {
    const std::string text = sandbox ? "" : sandbox.error().message;
    const auto sent = send(descriptor, text.data(), text.size(), MSG_NOSIGNAL);
    return sandbox && sent == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
  };
  Result<Worker> worker = start_worker({}, report);
  if (!worker) {
    return fail(worker.error().message);
  }
  std::string text;
  std::array<char, 512> part{};
  ssize_t got = 0;
  while ((got = read(worker->descriptor(), part.data(), part.size())) > 0) {
    text.append(part.data(), static_cast<std::size_t>(got));
  }
  const WorkerEnd end = worker->wait();
  if (end == WorkerEnd{}) {
    return {};
  }
  return fail(text.empty() ? fmt::format("a sandbox ended with code {}, signal {}, and no reason",
                                         end.code,
                                         end.signal)
                           : text);
}

Worker::Worker(Worker&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      end_(std::exchange(other.end_, std::nullopt)) {}

Worker& Worker::operator=(Worker&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(end_, other.end_);
  return *this;
}

Worker::~Worker() {
  if (pid_ > 0) {
    kill();
  }
  if (descriptor_ >= 0) {
    close(descriptor_);
  }
}

std::optional<WorkerEnd> Worker::poll() {
  int status = 0;
  if (!end_ && waitpid(pid_, &status, WNOHANG) == pid_) {
    end_ = end_of(status);
  }
  return end_;
}

WorkerEnd Worker::wait() {
  int status = 0;
  while (!end_) {
    if (waitpid(pid_, &status, 0) == pid_) {
      end_ = end_of(status);
    }
  }
  return *end_;
}

WorkerEnd Worker::kill() {
  // The keeper kills the sandbox on SIGTERM, and ends after it. A worker without a sandbox dies of
  // it. The process group takes in what such a worker started.
  if (!poll()) {
    ::kill(pid_, SIGTERM);
  }
  for (int tries = 0; !poll(); ++tries) {
    if (tries == 4000) {
      ::kill(-pid_, SIGKILL);
      ::kill(pid_, SIGKILL);
      return wait();
    }
    const timespec pause{0, 500'000};
    nanosleep(&pause, nullptr);
  }
  ::kill(-pid_, SIGKILL);
  return *end_;
}

}  // namespace runner
