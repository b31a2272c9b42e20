#pragma once

#include <nlohmann/json.hpp>

#include "runner/options.h"
#include "runner/pool.h"

namespace runner {

/// Answers one task of a campaign, inside a worker: explores a history, or shrinks and keeps a
/// failure. The answer is {"error": why} for trouble of the world.
[[nodiscard]] nlohmann::json campaign_work(const CampaignOptions& options,
                                           const nlohmann::json& task,
                                           const faultfs::Result<Sandbox>& sandbox,
                                           int cpu,
                                           Whereabouts& where);

}  // namespace runner
