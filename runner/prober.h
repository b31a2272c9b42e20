#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runner/experiment.h"

namespace runner {

struct ProberOptions {
  StageOptions stage;
  /// Each recording is tried, and each crash state run, in a forked child, so that a cache in this
  /// process that crashes is only a finding (`process_survives`). Memory device only, while this
  /// process has one thread.
  bool isolate = false;
  std::uint64_t states_per_search = 600;  ///< crash states tried for one list of commands
  /// Searches end here, finding nothing: a bound for slow targets.
  std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max();
};

/// A crash state seen before, and the log it was in: searches begin near it.
struct Hint {
  faultfs::CrashPlan plan;
  std::uint32_t log_size = 0;
};

/// Asks one question again and again, for the shrinker and the replayer: does this case still break
/// this property? Recordings are kept while the commands stay the same, so that questions about
/// the plan alone cost only a restart of the cache.
class Prober {
 public:
  /// `recording`: a kept one, for targets that would not write the same log again; or none.
  Prober(ProberOptions options,
         scenarios::TargetConfig config,
         faultfs::DeviceProfile profile,
         std::uint64_t seed,
         std::string property,
         std::optional<scenarios::Recording> recording = std::nullopt);
  ~Prober();
  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;
  Prober(Prober&&) = delete;
  Prober& operator=(Prober&&) = delete;

  /// From now on the device has these faults. At first it has none, or those of the recording
  /// given.
  void put_faults(scenarios::Faults faults) { faults_ = std::move(faults); }
  [[nodiscard]] const scenarios::Faults& faults() const { return faults_; }

  /// A crash state of `commands` that breaks the property, with the size of its log; none where the
  /// search, of `states_max` states at most, finds none.
  [[nodiscard]] faultfs::Result<std::optional<Hint>> search(
      const std::vector<scenarios::Command>& commands,
      const Hint& hint,
      std::uint64_t states_max = UINT64_MAX);

  /// True when `plan` is legal for the recording of `commands` and breaks the property.
  [[nodiscard]] faultfs::Result<bool> breaks(const std::vector<scenarios::Command>& commands,
                                             const faultfs::CrashPlan& plan);

  /// The experiment of `commands`: that in which they last broke the property, or the last one
  /// asked for, or a new recording. A target that is not deterministic may not fail again in a new
  /// one, so what failed is kept. Owned by the prober; valid until the next call with other
  /// commands.
  [[nodiscard]] faultfs::Result<Experiment*> experiment(
      const std::vector<scenarios::Command>& commands);

  /// Its target overwrites what is oldest, so how much was put matters more than what.
  [[nodiscard]] bool writes_in_a_circle() const;

  /// Crash states run so far.
  [[nodiscard]] std::uint64_t states() const { return states_; }

 private:
  struct Recorded {
    std::vector<scenarios::Command> commands;
    scenarios::Faults faults;
    std::unique_ptr<Experiment> experiment;
  };
  [[nodiscard]] bool deterministic() const;
  /// Remembers the experiment of `commands`, in which `plan` breaks the property.
  Hint found(const std::vector<scenarios::Command>& commands, const faultfs::CrashPlan& plan);
  faultfs::Result<bool> breaks_here(Experiment& experiment,
                                    const faultfs::CrashPlan& plan,
                                    std::shared_ptr<Recovery>* recovery = nullptr);
  [[nodiscard]] bool late() const;
  /// `recorded` is of these commands, and of the faults there are now.
  [[nodiscard]] bool is_of(const Recorded& recorded,
                           const std::vector<scenarios::Command>& commands) const;
  [[nodiscard]] bool dies_recording(const std::vector<scenarios::Command>& commands);

  ProberOptions options_;
  scenarios::TargetConfig config_;
  faultfs::DeviceProfile profile_;
  std::uint64_t seed_;
  std::string property_;
  scenarios::Faults faults_;
  std::unique_ptr<Stage> stage_;
  Recorded failing_;  ///< the last one in which a search succeeded, or the one given
  Recorded trial_;
  std::uint64_t states_ = 0;
};

/// The disk as it was at each kill and clean stop inside a recorded history: a kill there. What was
/// answered wrongly after one of them, while recording, is answered wrongly again on that state, if
/// it came from the disk.
[[nodiscard]] std::vector<faultfs::CrashPlan> restart_points(const faultfs::WriteLog& log);

/// True when `judgement` says that `property` is violated.
[[nodiscard]] bool violates(const properties::Judgement& judgement, std::string_view property);

}  // namespace runner
