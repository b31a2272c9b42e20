#pragma once

#include <memory>

#include "scenarios/targets/target.h"

namespace scenarios {

/// Traffic Server 9.2 on one disk of the rig, unmodified (how: trafficserver.cc).
[[nodiscard]] faultfs::Result<std::unique_ptr<Target>> make_traffic_server(
    const TargetConfig& config, const Rig& rig);

/// Ok where Traffic Server can be started. Error: says what to install.
[[nodiscard]] faultfs::Status traffic_server_available(const TargetConfig& config);

}  // namespace scenarios
