#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "properties/judge.h"
#include "properties/property.h"
#include "runner/case_file.h"
#include "runner/pruning.h"
#include "runner/recovery.h"
#include "runner/stage.h"

namespace runner {

/// What one crash state showed.
struct StateResult {
  std::shared_ptr<const scenarios::Examination> seen;  ///< may be shared with equal ones
  properties::Judgement judgement;
  /// The watched places that were read, first read first; perhaps others among them.
  std::shared_ptr<const std::vector<faultfs::SectorPlace>> reads;
  std::shared_ptr<Recovery> recovery;  ///< what the first start wrote, where that was asked for
  bool executed = true;                ///< false: an earlier run stands for this one
};

struct ExperimentOptions {
  PruneOptions prune = PruneOptions::none();
  std::uint32_t depth = 0;  ///< `StateResult::recovery` is wanted of plans with fewer cuts inside
                            ///< recoveries, where something was written
};

/// One recorded history on one stage, and its crash states: build the image, restart the cache,
/// judge. `stage` must outlive it.
class Experiment {
 public:
  /// Runs `commands` on a device with `faults` and records them. Error: trouble of the world.
  [[nodiscard]] static faultfs::Result<std::unique_ptr<Experiment>> record(
      Stage& stage,
      const scenarios::TargetConfig& config,
      const faultfs::DeviceProfile& profile,
      std::uint64_t seed,
      const std::vector<scenarios::Command>& commands,
      const scenarios::Faults& faults = {});

  /// Takes a recording made earlier (a case's kept log and base image).
  [[nodiscard]] static std::unique_ptr<Experiment> resume(Stage& stage,
                                                          scenarios::Recording recording);

  [[nodiscard]] const scenarios::Recording& recording() const { return recording_; }
  [[nodiscard]] faultfs::CrashModel& model() { return model_; }
  [[nodiscard]] const std::vector<const properties::Property*>& claimed() const { return claimed_; }

  /// From now on. Pruning is for deterministic targets on devices without faults; for others it is
  /// ignored.
  void configure(const ExperimentOptions& options);

  /// Ok when every cut of `plan` is legal: the first for the recorded log, the others for those of
  /// the recoveries, which are run for it. Error: names the write and the reason.
  [[nodiscard]] faultfs::Status check(const faultfs::CrashPlan& plan);

  /// The disks as `plan`, which must be legal, leaves them. Error: trouble of the world.
  [[nodiscard]] faultfs::Result<std::vector<faultfs::Image>> disks(const faultfs::CrashPlan& plan);

  /// What the cache wrote when it recovered from `plan`, which must be legal.
  [[nodiscard]] faultfs::Result<std::shared_ptr<Recovery>> recovery(const faultfs::CrashPlan& plan);

  /// Makes and judges the crash state of `plan`, which must be legal, and notes which of
  /// `watch` the cache reads.
  [[nodiscard]] faultfs::Result<StateResult> run(
      const faultfs::CrashPlan& plan, const std::vector<faultfs::SectorPlace>& watch = {});
  /// The same, and the cache is run whatever is known, and on the device.
  [[nodiscard]] faultfs::Result<StateResult> run_anew(const faultfs::CrashPlan& plan);

  /// What the time of `run` went to so far.
  [[nodiscard]] const scenarios::CostClock& clock() const { return clock_; }

  /// What the target logged in the life of the last `run`.
  [[nodiscard]] std::string target_log() const { return stage_.target().log_text(); }

  /// Judges what was seen while recording: the gets of the run, and a death in it.
  [[nodiscard]] properties::Judgement judge_run();

 private:
  Experiment(Stage& stage, scenarios::Recording recording);
  /// The disks of `plan`, and the sectors in which they may differ from "all kept".
  [[nodiscard]] faultfs::Result<std::vector<faultfs::Image>> build(
      const faultfs::CrashPlan& plan, std::vector<faultfs::SectorPlace>* deviating);
  [[nodiscard]] scenarios::ExamineOptions examine_options();
  void keep_recovery(const faultfs::CrashPlan& plan, std::shared_ptr<Recovery> recovery);
  [[nodiscard]] faultfs::Result<Pruner::Run> execute(const faultfs::CrashPlan& plan,
                                                     const std::vector<faultfs::Image>& disks,
                                                     const std::vector<faultfs::SectorPlace>& watch,
                                                     bool prunes);
  void watch(const std::vector<faultfs::SectorPlace>& places, bool prunes);
  void judge(const Pruner::Run& run,
             const faultfs::CrashPlan& plan,
             bool shared,
             StateResult& result);

  Stage& stage_;
  scenarios::Recording recording_;
  faultfs::CrashModel model_;
  std::vector<const properties::Property*> claimed_;
  properties::Judge judge_;
  scenarios::CostClock clock_;
  std::optional<properties::Judgement> run_judgement_;  // judged once
  ExperimentOptions options_;
  bool anew_ = false;  ///< the state is run on the device, whatever the options say
  std::unique_ptr<Pruner> pruner_;
  /// The recoveries asked for last, the latest at the end.
  std::vector<std::pair<faultfs::CrashPlan, std::shared_ptr<Recovery>>> recoveries_;
};

/// The writes of a recording that matter most in its target's own format
/// (scenarios/formats/write_notes.h).
[[nodiscard]] std::vector<std::vector<std::uint32_t>> weighty_entries(
    const scenarios::Recording& recording);

/// The commands a case runs: its own, or those of its named scenario.
[[nodiscard]] std::vector<scenarios::Command> commands_of(const CaseFile& file);

}  // namespace runner
