#pragma once

#include <memory>

#include "scenarios/targets/target.h"

namespace scenarios {

/// nginx with a proxy_cache on ext4, on a loop device on one disk of the rig (how: nginx.cc).
[[nodiscard]] faultfs::Result<std::unique_ptr<Target>> make_nginx(const TargetConfig& config,
                                                                  const Rig& rig);

/// Ok where that can be run. Error: says what is missing, or what to install.
[[nodiscard]] faultfs::Status nginx_available(const TargetConfig& config);

}  // namespace scenarios
