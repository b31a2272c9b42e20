#include "runner/experiment.h"

#include <algorithm>

#include <fmt/format.h>

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

void Experiment::configure(const ExperimentOptions& options) {
  options_ = options;
  pruner_.reset();
  const bool same_again = stage_.target().traits().deterministic && recording_.faults.empty();
  if ((options.prune.image || options.prune.reads) && same_again) {
    pruner_ = std::make_unique<Pruner>(recording_, options.prune);
  }
}

scenarios::ExamineOptions Experiment::examine_options() {
  scenarios::ExamineOptions options;
  options.seed = faultfs::mix(recording_.seed, examine_part);
  if (!stage_.target().traits().deterministic) {
    // Where a start costs a twentieth of a second: no second start, which only stability needs
    // (nobody else claims it), and further traffic in one history of four.
    options.reopen = false;
    options.traffic = options.seed % 4 == 0;
  }
  options.clock = &clock_;
  return options;
}

faultfs::Status Experiment::check(const faultfs::CrashPlan& plan) {
  if (auto status = model_.check(plan.first_cuts(1)); !status) {
    return status;
  }
  if (!plan.again.empty() && !stage_.target().traits().deterministic) {
    return faultfs::fail(fmt::format(
        "{} does not write the same again, so a cut inside its recovery cannot be told; allowed: "
        "plans without \"again\"",
        recording_.config.target));
  }
  if (!plan.again.empty() && (!recording_.faults.empty() || recording_.config.shared_memory)) {
    return faultfs::fail(
        "a cut inside a recovery on a device with faults, or with shared memory; allowed: plans "
        "without \"again\"");
  }
  for (std::size_t at = 1; at <= plan.again.size(); ++at) {
    auto recovery = this->recovery(plan.first_cuts(at));
    if (!recovery) {
      return faultfs::fail(recovery.error().message);
    }
    if (auto status = (*recovery)->model.check(plan.alone(at)); !status) {
      return faultfs::fail(fmt::format("in recovery {}: {}", at, status.error().message));
    }
  }
  return {};
}

faultfs::Result<std::vector<faultfs::Image>> Experiment::disks(const faultfs::CrashPlan& plan) {
  return build(plan, nullptr);
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as cuts lie inside recoveries.
faultfs::Result<std::vector<faultfs::Image>> Experiment::build(
    const faultfs::CrashPlan& plan, std::vector<faultfs::SectorPlace>* deviating) {
  auto disks = model_.build(plan.again.empty() ? plan : plan.first_cuts(1), deviating);
  for (std::size_t at = 1; at <= plan.again.size(); ++at) {
    auto recovery = this->recovery(plan.first_cuts(at));
    if (!recovery) {
      return faultfs::fail(recovery.error().message);
    }
    disks = (*recovery)->model.build(plan.alone(at));
    if (deviating != nullptr) {
      const auto touched =
          faultfs::touched_sectors(*(*recovery)->log, (*recovery)->model.profile().sector_bytes);
      deviating->insert(deviating->end(), touched.begin(), touched.end());
    }
  }
  return disks;
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as cuts lie inside recoveries.
faultfs::Result<std::shared_ptr<Recovery>> Experiment::recovery(const faultfs::CrashPlan& plan) {
  const auto known = std::ranges::find(
      recoveries_, plan, &std::pair<faultfs::CrashPlan, std::shared_ptr<Recovery>>::first);
  if (known != recoveries_.end()) {
    std::rotate(known, known + 1, recoveries_.end());
    return recoveries_.back().second;
  }
  auto disks = build(plan, nullptr);
  if (!disks) {
    return faultfs::fail(disks.error().message);
  }
  auto log = scenarios::recover(
      stage_.target(), stage_.rig(), recording_, plan.point, *disks, examine_options());
  if (!log) {
    return faultfs::fail(log.error().message);
  }
  auto made = std::make_shared<Recovery>(std::move(*disks),
                                         std::make_shared<const faultfs::WriteLog>(std::move(*log)),
                                         recording_.profile);
  keep_recovery(plan, made);
  return made;
}

void Experiment::keep_recovery(const faultfs::CrashPlan& plan, std::shared_ptr<Recovery> recovery) {
  constexpr std::size_t recoveries_max = faultfs::cuts_again_max + 2;
  if (recoveries_.size() == recoveries_max) {
    recoveries_.erase(recoveries_.begin());
  }
  recoveries_.emplace_back(plan, std::move(recovery));
}

/// With a pruner every place that differs between crash states is watched: then what was read tells
/// all that mattered.
void Experiment::watch(const std::vector<faultfs::SectorPlace>& places, bool prunes) {
  if (prunes) {
    stage_.rig().device.keep_watching(pruner_->digests().places());
  } else {
    stage_.rig().device.watch(places);
  }
}

// NOLINTNEXTLINE(readability-function-size): which state, its disks, what to note.
faultfs::Result<Pruner::Run> Experiment::execute(const faultfs::CrashPlan& plan,
                                                 const std::vector<faultfs::Image>& disks,
                                                 const std::vector<faultfs::SectorPlace>& watch,
                                                 bool prunes) {
  Experiment::watch(watch, prunes);
  if (stage_.options().renew_engine) {
    clock_.enter(scenarios::CostPart::kill);
    stage_.target().renew();
  }
  scenarios::ExamineOptions options = examine_options();
  faultfs::WriteLog recovery;
  options.recovery = options_.depth > 0 ? &recovery : nullptr;
  // Nothing to log, nothing to watch: any file will do. What breaks is tried again on the device.
  const bool unseen = watch.empty() && options_.depth == 0 && !anew_;
  options.plain = unseen ? stage_.plain() : nullptr;
  auto seen =
      scenarios::examine(stage_.target(), stage_.rig(), recording_, plan.point, disks, options);
  if (!seen) {
    return faultfs::fail(seen.error().message);
  }
  return Pruner::Run{std::make_shared<scenarios::Examination>(std::move(*seen)),
                     std::make_shared<const std::vector<faultfs::SectorPlace>>(
                         stage_.rig().device.watched_reads()),
                     options_.depth > 0
                         ? std::make_shared<const faultfs::WriteLog>(std::move(recovery))
                         : nullptr};
}

void Experiment::judge(const Pruner::Run& run,
                       const faultfs::CrashPlan& plan,
                       bool shared,
                       StateResult& result) {
  clock_.enter(scenarios::CostPart::judge);
  run.seen->point = plan.point;
  // After a kill that a power cut followed, no more is owed than after the power cut alone.
  for (const faultfs::Cut& cut : plan.again) {
    if (cut.point.kind == faultfs::CutKind::power_cut) {
      run.seen->point.kind = faultfs::CutKind::power_cut;
    }
  }
  result.seen = run.seen;
  result.reads = run.reads;
  if (shared && pruner_->held_before(*run.seen, run.seen->point)) {
    result.judgement = {};
    return;
  }
  result.judgement = judge_.judge(*run.seen);
  if (shared && result.judgement.verdict == properties::Verdict::holds) {
    pruner_->note_held(*run.seen, run.seen->point);
  }
}

faultfs::Result<StateResult> Experiment::run(const faultfs::CrashPlan& plan,
                                             const std::vector<faultfs::SectorPlace>& watch) {
  clock_.enter(scenarios::CostPart::build);
  std::vector<faultfs::SectorPlace> deviating;
  auto disks = build(plan, pruner_ != nullptr ? &deviating : nullptr);
  if (!disks) {
    return faultfs::fail(disks.error().message);
  }
  StateResult result;
  std::optional<faultfs::LogDigests::State> state;
  const Pruner::Run* known = nullptr;
  const std::uint32_t unit_bytes =
      pruner_ != nullptr ? scenarios::unit_bytes_at(recording_, plan.point) : 0;
  // What a start finds in shared memory after a kill is no part of the disks.
  if (pruner_ != nullptr && scenarios::shared_at(recording_, plan.point) == nullptr) {
    state = pruner_->state(model_.limit(plan.point), std::move(deviating), *disks);
    known = pruner_->find(*state, unit_bytes);
  }
  Pruner::Run run;
  if (known != nullptr) {
    run = *known;
    result.executed = false;
  } else {
    auto made = execute(plan, *disks, watch, state.has_value());
    if (!made) {
      return faultfs::fail(made.error().message);
    }
    run = std::move(*made);
  }
  const bool shared = pruner_ != nullptr && (known != nullptr || pruner_->share(run));
  judge(run, plan, shared, result);
  // On a mount what goes wrong may be the world's, and must not speak for others.
  const bool speaks = result.judgement.verdict == properties::Verdict::holds ||
                      stage_.options().device == DeviceKind::memory;
  if (result.executed && state && shared && speaks) {
    pruner_->add(*state, unit_bytes, run);
  }
  if (plan.again.size() < options_.depth && run.recovery != nullptr &&
      changes_disks(*run.recovery)) {
    result.recovery =
        std::make_shared<Recovery>(std::move(*disks), run.recovery, recording_.profile);
    keep_recovery(plan, result.recovery);
  }
  clock_.enter(scenarios::CostPart::other);
  return result;
}

faultfs::Result<StateResult> Experiment::run_anew(const faultfs::CrashPlan& plan) {
  std::unique_ptr<Pruner> pruner = std::move(pruner_);
  anew_ = true;
  auto result = run(plan);
  anew_ = false;
  pruner_ = std::move(pruner);
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
