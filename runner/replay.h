#pragma once

#include <filesystem>
#include <functional>
#include <iosfwd>
#include <optional>

#include "runner/keep_task.h"

namespace runner {

struct ReplayOptions {
  std::filesystem::path file;  ///< a plan, or a case directory that holds plan.txt
  std::optional<DeviceKind>
      device;           ///< none: memory for targets that can run in this process, else fuse
  std::string program;  ///< not empty: instead of the plan's
  std::uint32_t times = 1;
  std::string commit;
  std::function<std::string(const FailureCase&, bool color)> render;
  bool color = false;
};

/// Builds the crash state of a case again, restarts the cache on it and judges, `times` times, in a
/// sandboxed worker. Prints the trace of the last violation and one line "reproduced n of m" to
/// `out`. Returns the exit code: 0 all claims held, 1 violated, 2 the file is unusable, 3
/// undecided. `out` must be the process's standard output: the worker writes to it.
[[nodiscard]] int replay(const ReplayOptions& options, std::ostream& out, std::ostream& error);

/// Prints a case without judging it: its plan, and the trace kept beside it (drawn anew in memory
/// where there is none and the target can run there). Exit code as `replay`.
[[nodiscard]] int show(const ReplayOptions& options, std::ostream& out, std::ostream& error);

// Parts that `powercut shrink` uses too.

/// The device that was asked for; else memory where the case's target can run there.
[[nodiscard]] DeviceKind device_for(const ReplayOptions& options, const CaseFile& file);

/// Calls `work` in a sandboxed worker, with a stage on `device` for it; the worker's standard
/// output is ours. Returns what `work` returned, `undecided` (after a sentence to `error`) where it
/// could not be called, and what `died` returns where the worker ended by a signal.
[[nodiscard]] int work_on_stage(DeviceKind device,
                                const std::function<int(const StageOptions&)>& work,
                                const std::function<int(int signal)>& died,
                                std::ostream& error);

}  // namespace runner
