#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "properties/judge.h"
#include "properties/property.h"
#include "runner/case_file.h"
#include "runner/stage.h"

namespace runner {

/// What one crash state showed.
struct StateResult {
  scenarios::Examination seen;
  properties::Judgement judgement;
  std::vector<faultfs::SectorPlace> reads;  ///< of the watched places, first read first
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

  /// Makes and judges the crash state of `plan`, which must be legal, and notes which of
  /// `watch` the cache reads.
  [[nodiscard]] faultfs::Result<StateResult> run(
      const faultfs::CrashPlan& plan, const std::vector<faultfs::SectorPlace>& watch = {});

  /// What the time of `run` went to so far.
  [[nodiscard]] const scenarios::CostClock& clock() const { return clock_; }

  /// What the target logged in the life of the last `run`.
  [[nodiscard]] std::string target_log() const { return stage_.target().log_text(); }

  /// Judges what was seen while recording: the gets of the run, and a death in it.
  [[nodiscard]] properties::Judgement judge_run();

 private:
  Experiment(Stage& stage, scenarios::Recording recording);

  Stage& stage_;
  scenarios::Recording recording_;
  faultfs::CrashModel model_;
  std::vector<const properties::Property*> claimed_;
  properties::Judge judge_;
  scenarios::CostClock clock_;
  std::optional<properties::Judgement> run_judgement_;  // judged once
};

/// The writes of a recording that matter most in its target's own format
/// (scenarios/formats/write_notes.h).
[[nodiscard]] std::vector<std::vector<std::uint32_t>> weighty_entries(
    const scenarios::Recording& recording);

/// The commands a case runs: its own, or those of its named scenario.
[[nodiscard]] std::vector<scenarios::Command> commands_of(const CaseFile& file);

}  // namespace runner
