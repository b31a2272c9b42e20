#include "runner/campaign_work.h"

#include "runner/explore_task.h"
#include "runner/keep_task.h"

namespace runner {
namespace {

StageOptions stage_options(const CampaignOptions& options,
                           const faultfs::Result<Sandbox>& sandbox,
                           int cpu) {
  StageOptions stage;
  stage.device = options.device;
  stage.pin_cpu = cpu;
  stage.scratch = sandbox ? sandbox->scratch : std::filesystem::path();
  return stage;
}

}  // namespace

nlohmann::json campaign_work(const CampaignOptions& options,
                             const nlohmann::json& task,
                             const faultfs::Result<Sandbox>& sandbox,
                             int cpu,
                             Whereabouts& where) {
  const StageOptions stage = stage_options(options, sandbox, cpu);
  if (options.device == DeviceKind::fuse && !sandbox) {
    return {{"error", sandbox.error().message}};
  }
  if (task.at("do") == "explore") {
    const double seconds_left = task.at("seconds_left");
    StageOptions searching = stage;  // what is found is confirmed with processes of its own
    searching.persistent_engine = options.persistent_engine;
    searching.renew_engine = options.renew_engine;
    searching.forked_engine = options.forked_engine;
    searching.plain_recovery = options.config.target != "engine";
    return explore(
        options, searching, {task.at("index"), task.at("crashed"), seconds_left, &where});
  }
  KeepOptions keep;
  keep.number = task.at("number");
  keep.directory = task.at("directory").get<std::string>();
  keep.known = task.at("known");
  keep.shrink = options.shrink && !keep.known;
  keep.shrink_seconds = task.at("shrink_seconds");
  keep.replays = options.config.target == "engine" ? 3 : 5;
  keep.confirm_on_fuse = sandbox.has_value() && faultfs::mount::can_mount().has_value();
  auto kept = keep_case(options, stage, task.at("failure").get<RawFailure>(), keep);
  if (!kept) {
    return {{"error", kept.error().message}};
  }
  return *kept;
}

}  // namespace runner
