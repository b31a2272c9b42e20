// How a child begins. Starting a cache is part of every crash state, so it has to be quick however
// big the harness has grown: a fork copies page tables (57 ms at 1 GiB), a vfork does not (0.4 ms).
// Between vfork and exec the child borrows our memory, so what runs there (`Launch`) makes system
// calls only: no allocation, no lock, no exception, and no libc call that talks to other threads
// (setresuid does; the bare system call does not).
//
// The child starts from nothing: default signals, an empty mask, /dev/null as input, only the
// descriptors asked for, a process group of its own, and the wish to die when we do. A change of
// user clears that wish, so it is made last; a program that changes its user itself loses it again.
#include "scenarios/process/child.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <csignal>
#include <fstream>
#include <limits>
#include <system_error>
#include <tuple>

#define BOOST_POSIX_HAS_VFORK 1  // its own guess asks for a POSIX of before 2008
#include <boost/process/args.hpp>
#include <boost/process/child.hpp>
#include <boost/process/env.hpp>
#include <boost/process/environment.hpp>
#include <boost/process/error.hpp>
#include <boost/process/exe.hpp>
#include <boost/process/extend.hpp>
#include <boost/process/posix.hpp>
#include <fmt/format.h>

#include "faultfs/base/check.h"

namespace scenarios {
namespace {

std::string error_text(int error) {
  return std::generic_category().message(error);
}

/// A descriptor that closes itself.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number), error_(number < 0 ? errno : 0) {}
  ~Descriptor() {
    if (number_ >= 0) {
      ::close(number_);
    }
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  [[nodiscard]] int number() const { return number_; }
  /// Why there is none, where there is none.
  [[nodiscard]] int error() const { return error_; }

 private:
  int number_;
  int error_;
};

/// The child's own first steps, between vfork and exec. Its members live in the parent's memory, so
/// what the child writes into `step_` and `error_` is how it reports.
class Launch : public boost::process::extend::handler {
 public:
  Launch(const ChildOptions& options, const std::array<int, 3>& standard)
      : pin_cpu_(options.pin_cpu),
        run_as_(options.run_as),
        core_dir_(options.core_dir.string()),
        parent_(::getpid()) {
    descriptors_ = {{standard[0], 0}, {standard[1], 1}, {standard[2], 2}};
    descriptors_.insert(descriptors_.end(), options.descriptors.begin(), options.descriptors.end());
    for (const auto& [ours, theirs] : descriptors_) {
      kept_.push_back(theirs);
      free_from_ = std::max({free_from_, ours + 1, theirs + 1});
    }
    std::sort(kept_.begin(), kept_.end());
  }

  template <typename Executor>
  void on_exec_setup(Executor& /*executor*/) const {
    steps();
  }

  template <typename Executor>
  void on_error(Executor& executor, const std::error_code& error) const {
    error_ = error.value();
    step_ = "executed";
    failed_pid_ = executor.pid;
  }

  [[nodiscard]] const char* failed_step() const { return step_; }
  [[nodiscard]] int failed_error() const { return error_; }
  [[nodiscard]] pid_t failed_pid() const { return failed_pid_; }

 private:
  void require(bool done, const char* step) const {
    if (!done) {
      error_ = errno;
      step_ = step;
      ::_exit(127);
    }
  }

  void steps() const {
    ::setpgid(0, 0);
    require(place_descriptors(), "given its descriptors");
    close_the_rest();
    if (pin_cpu_ >= 0) {
      cpu_set_t cpus;
      CPU_ZERO(&cpus);
      CPU_SET(static_cast<std::size_t>(pin_cpu_), &cpus);
      require(::sched_setaffinity(0, sizeof cpus, &cpus) == 0, "pinned to its CPU");
    }
    if (run_as_) {
      require(become(*run_as_), "made to run as another user");
    }
    may_leave_a_core();
    require(::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0, "tied to this process");
    require(::getppid() == parent_, "tied to this process");
    forget_signals();
  }

  /// In two moves, because a number wanted may be one that is still to be moved.
  [[nodiscard]] bool place_descriptors() const {
    for (auto& [ours, theirs] : descriptors_) {
      ours = ::fcntl(ours, F_DUPFD_CLOEXEC, free_from_);
      if (ours < 0) {
        return false;
      }
    }
    return std::all_of(descriptors_.begin(), descriptors_.end(), [](const auto& pair) {
      return ::dup2(pair.first, pair.second) == pair.second;
    });
  }

  void close_the_rest() const {
    unsigned next = 0;
    for (const int kept : kept_) {
      const auto number = static_cast<unsigned>(kept);
      if (number > next) {
        ::close_range(next, number - 1, 0);
      }
      next = number + 1;
    }
    ::close_range(next, std::numeric_limits<unsigned>::max(), 0);
  }

  void may_leave_a_core() const {
    rlimit size = {};
    if (core_dir_.empty() || ::getrlimit(RLIMIT_CORE, &size) != 0) {
      return;
    }
    size.rlim_cur = size.rlim_max;
    ::setrlimit(RLIMIT_CORE, &size);
    require(::chdir(core_dir_.c_str()) == 0, "moved to its directory");
  }

  [[nodiscard]] static bool become(const Account& account) {
    return ::syscall(SYS_setgroups, 0, nullptr) == 0 &&
           ::syscall(SYS_setresgid, account.group, account.group, account.group) == 0 &&
           ::syscall(SYS_setresuid, account.user, account.user, account.user) == 0;
  }

  static void forget_signals() {
    struct sigaction standard = {};
    standard.sa_handler = SIG_DFL;
    for (int signal = 1; signal < NSIG; ++signal) {
      ::sigaction(signal, &standard, nullptr);
    }
    sigset_t none;
    ::sigemptyset(&none);
    ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
  }

  mutable std::vector<std::pair<int, int>> descriptors_;
  std::vector<int> kept_;
  int free_from_ = 3;
  int pin_cpu_;
  std::optional<Account> run_as_;
  std::string core_dir_;
  pid_t parent_;
  mutable const char* step_ = nullptr;
  mutable int error_ = 0;
  mutable pid_t failed_pid_ = 0;
};

/// No signal reaches us, or the child in our memory, while this lives.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

pid_t reap(pid_t pid, int options, int& status) {
  pid_t got = -1;
  do {
    got = ::waitpid(pid, &status, options);
  } while (got < 0 && errno == EINTR);
  return got;
}

class Process : public Child {
 public:
  explicit Process(pid_t pid)
      : pid_(pid), handle_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {
    POWERCUT_CHECK(handle_.number() >= 0, "no handle of child {}: {}", pid, error_text(errno));
  }
  ~Process() override {
    if (!ended_) {
      end_now();
    }
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  [[nodiscard]] pid_t pid() const override { return pid_; }
  [[nodiscard]] std::optional<Exit> poll() override {
    if (!ended_) {
      collect(WNOHANG);
    }
    return ended_;
  }
  [[nodiscard]] std::optional<Exit> wait(double seconds) override;
  void send(int signal) override {
    if (!poll()) {
      ::kill(pid_, signal);
    }
  }
  Exit kill() override { return ended_ ? *ended_ : end_now(); }

 private:
  Exit end_now() {
    ::kill(pid_, SIGKILL);
    ::kill(-pid_, SIGKILL);  // what it started, as far as that stayed in its group
    return collect(0);
  }
  Exit collect(int options);

  pid_t pid_;
  Descriptor handle_;
  std::optional<Exit> ended_;
};

Exit Process::collect(int options) {
  int status = 0;
  const pid_t got = reap(pid_, options, status);
  POWERCUT_CHECK(got >= 0, "child {} was reaped by someone else: {}", pid_, error_text(errno));
  if (got == 0) {
    return {};
  }
  ended_ = WIFSIGNALED(status) ? Exit{WTERMSIG(status), 0} : Exit{0, WEXITSTATUS(status)};
  return *ended_;
}

std::optional<Exit> Process::wait(double seconds) {
  using Clock = std::chrono::steady_clock;
  const auto until = Clock::now() + std::chrono::duration<double>(seconds);
  while (!poll()) {
    const auto left = std::chrono::duration<double, std::milli>(until - Clock::now()).count();
    if (left <= 0) {
      return std::nullopt;
    }
    pollfd end = {handle_.number(), POLLIN, 0};
    ::poll(&end, 1, static_cast<int>(std::min(std::ceil(left), 1e6)));
  }
  return ended_;
}

faultfs::Status check_program(const std::filesystem::path& program) {
  const auto refuse = [&](std::string_view reason) {
    return faultfs::fail(fmt::format("cannot start {}: {}", program.string(), reason));
  };
  std::error_code error;
  const auto status = std::filesystem::status(program, error);
  if (!std::filesystem::exists(status)) {
    return refuse(error && status.type() == std::filesystem::file_type::none
                      ? error.message()
                      : std::string("there is no such file"));
  }
  if (!std::filesystem::is_regular_file(status)) {
    return refuse("it is not a program file");
  }
  if (::access(program.c_str(), X_OK) != 0) {
    return refuse("it is not executable");
  }
  return {};
}

Descriptor open_or_null(const std::filesystem::path& path, int flags) {
  const char* const place = path.empty() ? "/dev/null" : path.c_str();
  return Descriptor(::open(place, flags | O_CLOEXEC, 0644));
}

faultfs::Result<pid_t> launch(const ChildOptions& options, Launch& steps) {
  namespace process = boost::process;
  process::environment environment = boost::this_process::environment();
  for (const auto& [name, value] : options.environment) {
    environment[name] = value;
  }
  std::error_code error;
  pid_t pid = 0;
  {
    const SignalsBlocked blocked;
    process::child child(process::exe = options.program.string(),
                         process::args = options.arguments,
                         environment,
#ifndef __clang_analyzer__  // it finds fault with Boost's own lines after vfork
                         process::posix::use_vfork,
#endif
                         process::error(error),
                         steps);
    pid = child.id();
    child.detach();
  }
  if (!error && steps.failed_step() == nullptr) {
    return pid;
  }
  const char* step = steps.failed_step() != nullptr ? steps.failed_step() : "started";
  const int reason = steps.failed_error() != 0 ? steps.failed_error() : error.value();
  const pid_t failed = steps.failed_pid() != 0 ? steps.failed_pid() : pid;
  int status = 0;
  if (failed > 0) {
    reap(failed, 0, status);
  }
  return faultfs::fail(fmt::format("cannot start {}: it could not be {}: {}",
                                   options.program.string(),
                                   step,
                                   error_text(reason)));
}

std::vector<std::filesystem::path> cores_in(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename().string();
    if (name == "core" || name.starts_with("core.")) {
      found.push_back(entry.path());
    }
  }
  return found;
}

}  // namespace

std::filesystem::path core_in(const std::filesystem::path& directory) {
  const auto all = cores_in(directory);
  return all.empty() ? std::filesystem::path() : all.front();
}

void remove_cores(const std::filesystem::path& directory) {
  std::error_code ignored;
  for (const auto& core : cores_in(directory)) {
    std::filesystem::remove(core, ignored);
  }
}

std::string why_no_core() {
  std::string pattern;
  std::getline(std::ifstream("/proc/sys/kernel/core_pattern"), pattern);
  rlimit size = {};
  if (::getrlimit(RLIMIT_CORE, &size) == 0 && size.rlim_max == 0) {
    return "the limit on cores is 0 (ulimit -Hc)";
  }
  return pattern.starts_with("core")
             ? std::string()
             : fmt::format("cores go elsewhere (kernel.core_pattern is {})", pattern);
}

faultfs::Result<std::unique_ptr<Child>> Child::start(const ChildOptions& options) {
  if (auto checked = check_program(options.program); !checked) {
    return faultfs::fail(checked.error().message);
  }
  POWERCUT_CHECK(
      options.pin_cpu < CPU_SETSIZE, "CPU {} of at most {}", options.pin_cpu, CPU_SETSIZE);
  const Descriptor input = open_or_null(options.input, O_RDONLY);
  const Descriptor output = open_or_null(options.output, O_WRONLY | O_APPEND | O_CREAT);
  const Descriptor errors = open_or_null(options.errors.empty() ? options.output : options.errors,
                                         O_WRONLY | O_APPEND | O_CREAT);
  for (const auto& [descriptor, name, path] : {std::tuple(&input, "input", &options.input),
                                               std::tuple(&output, "output", &options.output),
                                               std::tuple(&errors, "errors", &options.errors)}) {
    if (descriptor->number() < 0) {
      return faultfs::fail(fmt::format("cannot start {}: its {} {} cannot be opened: {}",
                                       options.program.string(),
                                       name,
                                       path->string(),
                                       error_text(descriptor->error())));
    }
  }
  Launch steps(options, {input.number(), output.number(), errors.number()});
  return launch(options, steps).map([](pid_t pid) -> std::unique_ptr<Child> {
    return std::make_unique<Process>(pid);
  });
}

std::unique_ptr<Child> Child::adopt(pid_t pid) {
  return std::make_unique<Process>(pid);
}

}  // namespace scenarios
