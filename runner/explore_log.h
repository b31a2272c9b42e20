#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <string>

namespace runner {

/// What `powercut explore` was asked for.
struct ExploreLogOptions {
  std::filesystem::path recording;  ///< a directory that `mount --record` or `log record` wrote
  std::string check;                ///< for the shell; {} is where the disks of a crash state lie
  std::string explorer = "mixed";
  std::uint32_t deviations_max = 2;  ///< explorer bounded
  std::uint64_t seed = 1;
  std::uint64_t states_max = 200;
  double check_seconds = 60;    ///< a check that takes longer is a violation
  std::uint32_t cases_max = 8;  ///< kept; the run ends then
  std::filesystem::path out = "run";
  std::filesystem::path plan;  ///< this crash state only; empty: those of the explorer
};

/// Makes crash states of a recorded log, offline, and runs a program on each that says whether it
/// is fine: exit code 0 holds, 125 cannot say, 126 and 127 are no check at all, all else is a
/// violation. Violations are tried twice, shrunk and kept below `out`. Returns the exit code of
/// `powercut`.
[[nodiscard]] int explore_log(const ExploreLogOptions& options,
                              std::ostream& out,
                              std::ostream& error);

}  // namespace runner
