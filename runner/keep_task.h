#pragma once

#include <filesystem>
#include <nlohmann/json_fwd.hpp>

#include "runner/explore_task.h"
#include "runner/shrink.h"

namespace runner {

/// What to do with a raw failure.
struct KeepOptions {
  std::uint32_t number = 0;         ///< of the case
  std::filesystem::path directory;  ///< made, and filled
  bool shrink = true;
  bool known = false;            ///< an earlier run kept it: written again only if it still fails
  double shrink_seconds = 60;    ///< at most; what is smallest by then is kept
  std::uint32_t replays = 3;     ///< 5 for targets that are not deterministic
  bool confirm_on_fuse = false;  ///< found in memory: run it once more on a mounted device
};

/// Replays the failure, shrinks it and replays it again, renders its trace, and writes the case
/// directory: trace.txt, plan.txt, writes.log, before.img, crash.img, history.jsonl, target.log. A
/// failure that no replay shows again is not shrunk; of a known one nothing is written then. Runs
/// in a worker.
[[nodiscard]] faultfs::Result<FailureCase> keep_case(const CampaignOptions& options,
                                                     const StageOptions& stage_options,
                                                     const RawFailure& failure,
                                                     const KeepOptions& keep);

/// Fills what a failure trace shows from one run of `file` on `experiment`: recording, observation,
/// first violation of `property` (or any). False when nothing is violated.
[[nodiscard]] faultfs::Result<bool> observe(Experiment& experiment,
                                            const CaseFile& file,
                                            FailureCase& failure,
                                            bool with_stack = true);

/// To and from the worker's socket: everything but the recording and the examination.
void to_json(nlohmann::json& json, const FailureCase& failure);
void from_json(const nlohmann::json& json, FailureCase& failure);

}  // namespace runner
