#pragma once

#include <cstdint>
#include <functional>

#include "runner/prober.h"

namespace runner {

struct ShrinkOptions {
  std::uint64_t states_max = 60000;  ///< crash states to spend; the same on every machine
  double seconds_max =
      120;  ///< a bound for slow targets; reaching it makes the result depend on the machine
  /// Told of every smaller case that still breaks the property; an error ends the shrinking.
  std::function<faultfs::Status(const std::vector<scenarios::Command>& commands,
                                const faultfs::CrashPlan& plan)>
      smaller = {};
};

struct Shrunk {
  std::vector<scenarios::Command> commands;
  faultfs::CrashPlan plan;
  bool each_fate_needed = false;  ///< undoing any one fate made the claim hold
  bool finished = false;          ///< no further step helps; false: a bound was reached
  std::uint64_t states = 0;
};

/// Makes a failing case smaller and keeps it failing: commands are dropped and sizes cut, then
/// faults are dropped or made to fire once (`prober.faults()` are those that are left), then
/// fates are dropped or made whole, then sectors, then the crash point moves earlier. Each accepted
/// step was seen to break the property, so the result never passes. `log_size` is that of the log
/// `plan` belongs to. `keep_commands`: only the plan shrinks (a kept recording cannot be made
/// anew).
[[nodiscard]] faultfs::Result<Shrunk> shrink(Prober& prober,
                                             std::vector<scenarios::Command> commands,
                                             const Hint& failing,
                                             const ShrinkOptions& options,
                                             bool keep_commands = false);

}  // namespace runner
