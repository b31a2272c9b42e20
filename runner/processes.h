#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace runner {

/// The environment variable that says whose child a process is: `identity_of` the harness.
inline constexpr const char* owner_variable = "POWERCUT_OWNER";

/// "pid:start": one process for ever, though pids are used again. Empty when it does not exist.
[[nodiscard]] std::string identity_of(pid_t process);

/// True while the process of `identity` lives (a zombie does not).
[[nodiscard]] bool lives(const std::string& identity);

/// What /proc says of a process; fields that may not be read are empty.
struct Process {
  pid_t pid = -1;
  pid_t parent = -1;
  std::string name;  ///< of its main thread, 15 characters at most
  std::string program;
  std::string owner;  ///< value of `owner_variable`
  bool zombie = false;
};

/// All processes of this process namespace, ascending.
[[nodiscard]] std::vector<Process> all_processes();

}  // namespace runner
