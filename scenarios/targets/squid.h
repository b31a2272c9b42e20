#pragma once

#include <memory>

#include "faultfs/base/result.h"
#include "scenarios/targets/target.h"

namespace scenarios {

/// Why Squid cannot run here ("squid is not installed: apt-get install squid …"), or ok.
[[nodiscard]] faultfs::Status squid_available(const TargetConfig& config);

/// Squid 5 or later with a rock store, unmodified, on `rig.disk_dir`, whose file must be called
/// `rock` and be whole MiB long. Error: trouble of the world (no port, a directory that Squid's
/// user cannot enter, a program that is missing).
[[nodiscard]] faultfs::Result<std::unique_ptr<Target>> make_squid(const TargetConfig& config,
                                                                  const Rig& rig);

}  // namespace scenarios
