#pragma once

#include <memory>
#include <vector>

#include "runner/options.h"

namespace runner {

/// Runs a campaign: histories are recorded and explored by worker processes, each in a sandbox of
/// its own; failures are shrunk, replayed and kept; observers are told on this thread. With a limit
/// on states and none on time the result is the same for any number of jobs. Must be called from
/// the main thread of a process that has no other. Error: bad options, or nothing can run at all.
[[nodiscard]] faultfs::Result<RunSummary> run_campaign(const CampaignOptions& options,
                                                       const std::vector<Observer*>& observers);

}  // namespace runner
