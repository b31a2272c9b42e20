#include "runner/experiment.h"

#include "faultfs/base/check.h"
#include "faultfs/base/random.h"
#include "scenarios/formats/write_notes.h"
#include "scenarios/generate.h"

namespace runner {
namespace {

/// Parts of a history's seed.
enum SeedPart : std::uint64_t { examine_part = 1000 };

}  // namespace

Experiment::Experiment(Stage& stage, scenarios::Recording recording)
    : stage_(stage),
      recording_(std::move(recording)),
      model_(recording_.base, recording_.log, recording_.profile),
      claimed_(properties::claimed(recording_.config, recording_.profile, recording_.faults)),
      judge_(recording_, model_, claimed_) {}

// NOLINTNEXTLINE(readability-function-size): on what, which cache, its device, and what it does.
faultfs::Result<std::unique_ptr<Experiment>> Experiment::record(
    Stage& stage,
    const scenarios::TargetConfig& config,
    const faultfs::DeviceProfile& profile,
    std::uint64_t seed,
    const std::vector<scenarios::Command>& commands,
    const scenarios::Faults& faults) {
  auto recording = scenarios::record(stage.target(), stage.rig(), config, seed, commands, faults);
  if (!recording) {
    return faultfs::fail(recording.error().message);
  }
  recording->profile = profile;
  return std::unique_ptr<Experiment>(new Experiment(stage, std::move(*recording)));
}

std::unique_ptr<Experiment> Experiment::resume(Stage& stage, scenarios::Recording recording) {
  return std::unique_ptr<Experiment>(new Experiment(stage, std::move(recording)));
}

faultfs::Result<StateResult> Experiment::run(const faultfs::CrashPlan& plan,
                                             const std::vector<faultfs::SectorPlace>& watch) {
  scenarios::ExamineOptions options;
  options.seed = faultfs::mix(recording_.seed, examine_part);
  if (!stage_.target().traits().deterministic) {
    // Where a start costs a twentieth of a second: no second start, which only stability needs
    // (nobody else claims it), and further traffic in one history of four.
    options.reopen = false;
    options.traffic = options.seed % 4 == 0;
  }
  stage_.rig().device.watch(watch);
  options.clock = &clock_;
  clock_.enter(scenarios::CostPart::build);
  auto disks = model_.build(plan);
  auto seen = scenarios::examine(
      stage_.target(), stage_.rig(), recording_, plan.point, std::move(disks), options);
  if (!seen) {
    return faultfs::fail(seen.error().message);
  }
  StateResult result;
  result.seen = std::move(*seen);
  result.reads = stage_.rig().device.watched_reads();
  clock_.enter(scenarios::CostPart::judge);
  result.judgement = judge_.judge(result.seen);
  clock_.enter(scenarios::CostPart::other);
  return result;
}

properties::Judgement Experiment::judge_run() {
  if (!run_judgement_) {
    run_judgement_ = judge_.judge_run();
  }
  return *run_judgement_;
}

std::vector<std::vector<std::uint32_t>> weighty_entries(const scenarios::Recording& recording) {
  return scenarios::formats::weighty_entries(
      scenarios::formats::note_writes(recording.config, recording.base, recording.log));
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
