#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "faultfs/base/result.h"
#include "scenarios/process/child.h"
#include "scenarios/targets/config.h"

namespace scenarios {

/// Everything one life of Squid is configured by.
struct SquidSetup {
  std::filesystem::path disk_dir, work_dir;
  std::uint64_t disk_bytes = 0;
  std::uint32_t slot_bytes = 0;
  bool disker = false;            ///< the store belongs to a process of its own
  std::uint16_t port = 0;         ///< it listens on
  std::uint16_t origin_port = 0;  ///< it fetches from
};

/// The text of squid.conf (why each line: at the head of squid_setup.cc).
[[nodiscard]] std::string squid_conf(const SquidSetup& setup);

/// Squid's program: `config.program`, or where Debian and others put it. Error: says what to
/// install.
[[nodiscard]] faultfs::Result<std::filesystem::path> find_squid(const TargetConfig& config);

/// The user Squid runs as. It refuses to be root.
struct SquidUser {
  Account account;  ///< as root: proxy, squid or nobody; otherwise ourselves
  std::string name;
  /// We are root of a user namespace that knows no other user: Squid gets a namespace below it, in
  /// which we go by the number of `account`.
  bool renamed = false;
};
[[nodiscard]] SquidUser squid_user();

/// Program, arguments and user of a Squid that serves `setup` under the service name `name`.
[[nodiscard]] ChildOptions squid_command(const std::filesystem::path& program,
                                         const SquidSetup& setup,
                                         const std::string& name);

/// Gives `work_dir` to Squid's user. Error: names the first directory on the way to `work_dir` or
/// `disk_dir` that the user cannot enter.
[[nodiscard]] faultfs::Status prepare_directories(const SquidSetup& setup);

/// Removes what a Squid called `name` left in /dev/shm, and of sockets in /run/squid, when it was
/// killed.
void remove_shared_memory(const std::string& name);

}  // namespace scenarios
