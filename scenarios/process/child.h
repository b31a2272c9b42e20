#pragma once

#include <sys/types.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "faultfs/base/result.h"

namespace scenarios {

/// The user a child runs as.
struct Account {
  uid_t user = 0;
  gid_t group = 0;
};

/// What to start, and how.
struct ChildOptions {
  std::filesystem::path program = {};       ///< absolute, executable
  std::vector<std::string> arguments = {};  ///< without the program's name
  /// Set besides what this process has.
  std::vector<std::pair<std::string, std::string>> environment = {};
  std::filesystem::path input = {};  ///< standard input; empty: /dev/null
  /// Standard output and error are appended here; empty: /dev/null.
  std::filesystem::path output = {};
  std::filesystem::path errors = {};  ///< standard error, if it goes elsewhere
  /// (ours, number in the child, > 2); all others are closed.
  std::vector<std::pair<int, int>> descriptors = {};
  int pin_cpu = -1;  ///< CPU it runs on; -1: not pinned
  /// The child is this user from its first instruction on; needs root.
  std::optional<Account> run_as = std::nullopt;
  /// It begins in this directory and may leave its core there; empty: in ours, and leaves none.
  std::filesystem::path core_dir = {};
};

/// The core file that a child left in `directory`; empty: none (see `why_no_core`).
[[nodiscard]] std::filesystem::path core_in(const std::filesystem::path& directory);
/// Removes the cores there.
void remove_cores(const std::filesystem::path& directory);
/// Why cores are not left in a child's directory on this machine; empty: they are.
[[nodiscard]] std::string why_no_core();

/// How a child ended.
struct Exit {
  int signal = 0;  ///< 0: it exited
  int code = 0;
};

/// A child process, started with Boost.Process (the one place that includes it). It leads a process
/// group of its own, so a Ctrl-C reaches the harness alone. It is killed, with its group, when this
/// object goes, and by the kernel when the thread that started it ends or this process dies. One
/// thread at a time.
class Child {
 public:
  /// Error: names the program and the reason (missing, not executable …).
  [[nodiscard]] static faultfs::Result<std::unique_ptr<Child>> start(const ChildOptions& options);
  /// A child of this process that it did not start itself (CLONE_PARENT).
  [[nodiscard]] static std::unique_ptr<Child> adopt(pid_t pid);
  virtual ~Child() = default;
  [[nodiscard]] virtual pid_t pid() const = 0;
  /// Set once it has ended; reaps it.
  [[nodiscard]] virtual std::optional<Exit> poll() = 0;
  /// Waits up to `seconds` for its end.
  [[nodiscard]] virtual std::optional<Exit> wait(double seconds) = 0;
  /// Sends `signal` (no effect after its end).
  virtual void send(int signal) = 0;
  /// SIGKILL to its process group, and reap. Returns how it ended.
  virtual Exit kill() = 0;

 protected:
  Child() = default;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
};

}  // namespace scenarios
