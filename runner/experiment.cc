#include "runner/experiment.h"

#include <algorithm>

#include "faultfs/base/check.h"
#include "faultfs/base/random.h"
#include "scenarios/generate.h"

namespace runner {
namespace {

/// Parts of a history's seed.
enum SeedPart : std::uint64_t { examine_part = 1000 };

/// Properties that can be judged of a single get in the middle of a run: the recall floor waits for
/// the rebuild, and stability for a second one.
bool judges_single_reading(const properties::Property& property) {
  return property.name() != "recall_floor" && property.name() != "recovery_stable";
}

}  // namespace

Experiment::Experiment(Stage& stage, scenarios::Recording recording)
    : stage_(stage),
      recording_(std::move(recording)),
      model_(recording_.base, recording_.log, recording_.profile),
      claimed_(properties::claimed(recording_.config, recording_.profile)) {}

faultfs::Result<std::unique_ptr<Experiment>> Experiment::record(
    Stage& stage,
    const scenarios::TargetConfig& config,
    const faultfs::DeviceProfile& profile,
    std::uint64_t seed,
    const std::vector<scenarios::Command>& commands) {
  auto recording = scenarios::record(stage.target(), stage.rig(), config, seed, commands);
  if (!recording) {
    return faultfs::fail(recording.error().message);
  }
  recording->profile = profile;
  return std::unique_ptr<Experiment>(new Experiment(stage, std::move(*recording)));
}

std::unique_ptr<Experiment> Experiment::resume(Stage& stage, scenarios::Recording recording) {
  return std::unique_ptr<Experiment>(new Experiment(stage, std::move(recording)));
}

faultfs::Result<StateResult> Experiment::run(const faultfs::CrashPlan& plan) {
  scenarios::ExamineOptions options;
  options.seed = faultfs::mix(recording_.seed, examine_part);
  auto seen = scenarios::examine(
      stage_.target(), stage_.rig(), recording_, plan.point, model_.build(plan), options);
  if (!seen) {
    return faultfs::fail(seen.error().message);
  }
  StateResult result;
  result.seen = std::move(*seen);
  result.judgement = properties::judge({recording_, model_, result.seen}, claimed_);
  return result;
}

properties::Judgement Experiment::judge_run() const {
  properties::Judgement total;
  std::vector<const properties::Property*> judged;
  std::ranges::copy_if(claimed_, std::back_inserter(judged), [](const auto* property) {
    return judges_single_reading(*property);
  });
  for (std::size_t index = 0; index < recording_.readings.size(); ++index) {
    scenarios::Examination seen;
    // A get in the middle of a run sees what a kill right there would leave: all that completed.
    seen.point = {faultfs::CutKind::kill, recording_.reading_at[index], false};
    seen.after_recovery = {recording_.readings[index]};
    auto judgement = properties::judge({recording_, model_, seen}, judged);
    total.verdict = std::max(total.verdict, judgement.verdict);
    std::ranges::move(judgement.violations, std::back_inserter(total.violations));
  }
  return total;
}

std::vector<scenarios::Command> commands_of(const CaseFile& file) {
  if (!file.commands.empty()) {
    return file.commands;
  }
  for (const auto& scenario : scenarios::named_scenarios()) {
    if (scenario.name == file.scenario) {
      return scenario.commands;
    }
  }
  POWERCUT_CHECK(false, "scenario {} has no commands", file.scenario);
}

}  // namespace runner
