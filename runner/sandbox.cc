// Three processes stand between the harness and a worker, all forks of one another:
//
//   keeper   a child of the harness. Enters the namespaces, and waits. The kernel kills it when the
//            harness dies.
//   init     number 1 of the new process namespace; reaps orphans. Killed when the keeper dies.
//   When
//            it ends, however that happens, the kernel kills every process of the namespace.
//   worker   an ordinary process in there: signals have their usual meaning, abort() aborts. It
//   does
//            the work. Init ends as it ends, and the keeper after init.
//
// When the last process of the mount namespace is gone, so are its mounts: the FUSE device (closing
// its descriptor also frees clients that wait in it), and the private /dev/shm with all shared
// memory and scratch files. Nobody has to clean up, so nobody can fail to.

#include "runner/sandbox.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <system_error>

#include <fmt/format.h>

namespace runner {
namespace {

using faultfs::fail;
using faultfs::Result;
using faultfs::Status;

constexpr const char* shared_memory = "/dev/shm";
constexpr int signal_code = 128;  ///< init tells the keeper "the worker died of a signal" so

tl::unexpected<faultfs::Error> trouble(const std::string& what) {
  return fail(fmt::format("{}: {}", what, std::generic_category().message(errno)));
}

Status write_text(const char* file, const std::string& text) {
  const int descriptor = open(file, O_WRONLY | O_CLOEXEC);
  if (descriptor < 0) {
    return trouble(file);
  }
  const auto written = write(descriptor, text.data(), text.size());
  const int error = errno;
  close(descriptor);
  if (written != static_cast<ssize_t>(text.size())) {
    errno = error;
    return trouble(file);
  }
  return {};
}

constexpr int own_namespaces = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC;

/// Namespaces for a process without the right to make them: as root of a new user namespace.
Status unshare_as_user() {
  const uid_t user = geteuid();
  const gid_t group = getegid();
  if (unshare(CLONE_NEWUSER | own_namespaces) != 0) {
    return trouble(
        "namespaces cannot be made (needs root with CAP_SYS_ADMIN, or unprivileged user "
        "namespaces): unshare");
  }
  Status user_map = write_text("/proc/self/uid_map", fmt::format("0 {} 1", user));
  if (!user_map) {
    return user_map;
  }
  // A group map may be written only by those who gave up setgroups. Old kernels lack the file.
  (void)write_text("/proc/self/setgroups", "deny");
  return write_text("/proc/self/gid_map", fmt::format("0 {} 1", group));
}

/// Private mounts, with an empty /dev/shm.
Status make_mounts(const SandboxOptions& options, Sandbox& sandbox) {
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    return trouble("mounts cannot be made private: mount /");
  }
  std::string settings = "mode=1777";
  if (options.shared_memory_bytes_max > 0) {
    settings += fmt::format(",size={}", options.shared_memory_bytes_max);
  }
  const unsigned long flags = MS_NOSUID | MS_NODEV;
  if (mount("powercut", shared_memory, "tmpfs", flags, settings.c_str()) != 0) {
    return trouble("no private shared memory: mount /dev/shm");
  }
  sandbox.scratch = std::filesystem::path(shared_memory) / "powercut-scratch";
  sandbox.mount_directory = sandbox.scratch / "mnt";
  sandbox.work_directory = sandbox.scratch / "work";
  for (const auto& directory : {sandbox.scratch, sandbox.mount_directory, sandbox.work_directory}) {
    // Others may look inside: a cache may run as a user of its own.
    if (mkdir(directory.c_str(), 0755) != 0 || chmod(directory.c_str(), 0755) != 0) {
      return trouble(directory.string());
    }
  }
  return {};
}

Status loopback_up() {
  const int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (any < 0) {
    return trouble("no loopback network: socket");
  }
  ifreq request{};
  std::strncpy(request.ifr_name, "lo", IFNAMSIZ - 1);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  const int set = ioctl(any, SIOCSIFFLAGS, &request);
  const int error = errno;
  close(any);
  if (set != 0) {
    errno = error;
    return trouble("no loopback network: bringing up lo");
  }
  return {};
}

Result<Sandbox> make_namespaces(const SandboxOptions& options) {
  Sandbox sandbox;
  if (unshare(own_namespaces) != 0) {
    const Status made = unshare_as_user();
    if (!made) {
      return fail(made.error().message);
    }
    sandbox.user_namespace = true;
  }
  Status made = make_mounts(options, sandbox);
  if (made) {
    made = loopback_up();
  }
  if (!made) {
    return fail(made.error().message);
  }
  // Last, because it concerns the children of this process: after a failure above there may be
  // some.
  if (unshare(CLONE_NEWPID) != 0) {
    return trouble("no process namespace: unshare");
  }
  return sandbox;
}

void die_with_parent() {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/// The keeper: ends as init ends; takes the sandbox down on SIGTERM.
[[noreturn]] void keep(pid_t init, const sigset_t& awaited) {
  close_range(3, ~0U, 0);
  int status = 0;
  while (waitpid(init, &status, WNOHANG) == 0) {
    if (sigwaitinfo(&awaited, nullptr) == SIGTERM) {
      kill(init, SIGKILL);
    }
  }
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : signal_code + WTERMSIG(status);
  if (code > signal_code) {
    const int signal_number = code - signal_code;
    sigset_t none;
    sigemptyset(&none);
    signal(signal_number, SIG_DFL);
    prctl(PR_SET_DUMPABLE, 0);  // the worker has dumped core, if anybody
    pthread_sigmask(SIG_SETMASK, &none, nullptr);
    kill(getpid(), signal_number);
  }
  _exit(code);
}

/// Init: reaps everything until the worker ends.
[[noreturn]] void reap(pid_t worker) {
  close_range(3, ~0U, 0);
  while (true) {
    int status = 0;
    const pid_t ended = wait(&status);
    if (ended == worker) {
      _exit(WIFEXITED(status) ? WEXITSTATUS(status) : signal_code + WTERMSIG(status));
    }
    if (ended < 0 && errno != EINTR) {
      _exit(EXIT_FAILURE);
    }
  }
}

/// In a new init: becomes it, and returns in the worker.
void become_worker(int keeper, Sandbox& sandbox) {
  prctl(PR_SET_NAME, "powercut-init");
  die_with_parent();
  pollfd ended{keeper, POLLIN, 0};
  if (::poll(&ended, 1, 0) != 0) {
    _exit(EXIT_FAILURE);  // the keeper died before it could take us along
  }
  close(keeper);
  if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0) {
    sandbox.notes.push_back("/proc shows the processes outside the sandbox: mount /proc: " +
                            std::generic_category().message(errno));
  }
  const pid_t worker = fork();
  if (worker < 0) {
    _exit(EXIT_FAILURE);
  }
  if (worker > 0) {
    reap(worker);
  }
  prctl(PR_SET_NAME, "powercut-worker");
}

}  // namespace

Result<Sandbox> enter_sandbox(const SandboxOptions& options) {
  Result<Sandbox> sandbox = make_namespaces(options);
  if (!sandbox) {
    return sandbox;
  }
  die_with_parent();  // again: a user namespace may have undone it
  // By number: the declaration in glibc 2.36 has C++ linkage.
  const int keeper = static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0));
  if (keeper < 0) {
    return trouble("pidfd_open");
  }
  sigset_t awaited;
  sigset_t before;
  sigemptyset(&awaited);
  sigaddset(&awaited, SIGCHLD);
  sigaddset(&awaited, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &awaited, &before);
  const pid_t init = fork();
  if (init < 0) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return trouble("fork");
  }
  if (init > 0) {
    keep(init, awaited);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  become_worker(keeper, *sandbox);
  if (options.pin_cpu >= 0) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(static_cast<unsigned>(options.pin_cpu), &cpus);
    if (sched_setaffinity(0, sizeof cpus, &cpus) != 0) {
      sandbox->notes.push_back(fmt::format("not pinned to CPU {}", options.pin_cpu));
    }
  }
  return sandbox;
}

}  // namespace runner
