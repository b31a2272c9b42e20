#pragma once

#include <memory>

#include "scenarios/targets/target.h"

namespace scenarios {

/// The project's own cache engine: in this process where the rig has no directory of disks, else as
/// a `cache-engine` process. `config` must pass `check`; the rig is kept by reference. Error: the
/// program is not found.
[[nodiscard]] faultfs::Result<std::unique_ptr<Target>> make_engine(const TargetConfig& config,
                                                                   const Rig& rig);

/// The `cache-engine` that would be run: `config.program`, else the one built beside this program.
/// Error: says where it was looked for.
[[nodiscard]] faultfs::Result<std::filesystem::path> find_engine_program(
    const TargetConfig& config);

}  // namespace scenarios
