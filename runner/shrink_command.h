#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <optional>

#include "runner/replay.h"

namespace runner {

struct ShrinkCommandOptions {
  ReplayOptions replay;              ///< the case, its device and program, and how a trace is drawn
  double seconds_max = 1e9;          ///< what is smallest by then is kept
  std::uint64_t states_max = 60000;  ///< crash states to spend
};

/// Makes the case smaller and writes it back to its file after every step that still breaks its
/// claim, so that an interrupted shrinking goes on where it was when it is called again. The file
/// as it was at first is kept beside it as `NAME.found`. Prints what was left out. Exit code: 1 the
/// case is as small as it gets or met a bound (it is violated still), 0 it does not fail here and
/// was left as it is, 2 the file is unusable, 3 undecided.
[[nodiscard]] int shrink_command(const ShrinkCommandOptions& options,
                                 std::ostream& out,
                                 std::ostream& error);

}  // namespace runner
