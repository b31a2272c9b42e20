#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <string>
#include <vector>

#include "faultfs/faults/expression.h"
#include "faultfs/tree/tree.h"

namespace runner {

/// What `powercut tree` is to do: any program, on an ordinary directory tree.
struct TreeRun {
  faultfs::tree::TreeProfile profile;
  std::string profile_words;     ///< "--profile … --names …", for the line that replays
  std::filesystem::path import;  ///< the tree the program begins on; empty: an empty one
  std::string run;               ///< shell command: the program, its directory is the tree
  std::vector<faultfs::faults::Expression> faults;  ///< while the program runs
  std::filesystem::path recording;                  ///< instead of a run: what `ctl log save` wrote
  std::string check;           ///< shell command: ends with 0 where the tree is as it may be
  std::filesystem::path plan;  ///< only this crash state of the recording
  bool live = false;           ///< run the program anew for each cut, and cut it there
  std::uint64_t seed = 0;
  std::uint32_t states_per_point = 10;
  std::uint32_t points_max = 0;  ///< at most so many crash points, spread evenly; 0: all
  double check_seconds = 20;     ///< a check that takes longer has failed
  double run_seconds = 120;
  bool stop_at_first = false;
  std::filesystem::path out;  ///< where cases are kept
};

/// Runs the program once on a mounted tree, and then, for each request of it, cuts there: builds
/// crash states, shows each under the mount, and runs the check on it. The check reads on its
/// standard input what the program had written to its standard output before the cut. Prints
/// failures, shrunk, and ends with what was not explored. Returns the exit code (0, 1, 3). Needs
/// the right to mount, and takes it in a sandbox; call it from the main thread of a process that
/// has one.
[[nodiscard]] int explore_tree(const TreeRun& run, std::ostream& out, std::ostream& error);

}  // namespace runner
