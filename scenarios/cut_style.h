#pragma once

#include "faultfs/crash_model.h"
#include "scenarios/command.h"

namespace scenarios {

/// The crash state that a `power_cut` command asks for, at the end of the model's log: everything
/// volatile lost, everything kept, or a random choice per write (kept, lost, or torn between atomic
/// units) that depends on the command's seed alone. Legal for the model.
[[nodiscard]] faultfs::CrashPlan chosen_plan(const faultfs::CrashModel& model,
                                             const Command& power_cut);

}  // namespace scenarios
