#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "faultfs/crash_model.h"
#include "faultfs/state_digest.h"
#include "scenarios/body_library.h"
#include "scenarios/command.h"
#include "scenarios/cost_clock.h"
#include "scenarios/device_faults.h"
#include "scenarios/history.h"
#include "scenarios/plain_disk.h"
#include "scenarios/targets/shared_memory.h"

namespace scenarios {

/// One run of a history without a final cut: everything needed to make its crash states.
struct Recording {
  TargetConfig config;
  faultfs::DeviceProfile profile;
  std::uint64_t seed = 0;
  std::vector<Command> commands;
  Faults faults;  ///< of the device, in the history and after each cut
  /// What they did while the history ran.
  std::vector<faultfs::FaultState> fault_states;
  History history;
  std::vector<faultfs::Image> base;       ///< the disks when the last segment began
  faultfs::WriteLog log;                  ///< of the last segment: what the device did
  std::vector<Reading> readings;          ///< of the gets during the run
  std::vector<std::uint32_t> reading_at;  ///< log size at each reading
  std::optional<Death> death;             ///< the target died during the run by itself
  /// What was in shared memory from an entry of the log on, and was left to whoever starts after a
  /// kill there; in order.
  std::vector<std::pair<std::uint32_t, std::shared_ptr<const SharedState>>> shared;
  std::vector<std::pair<std::string, std::uint64_t>> gate_refusals;  ///< of each of its lives
  std::string trouble;  ///< a restart inside the history failed: what was seen
  /// Bodies made so far, so that `examine` need not make them again; may be null. One thread.
  std::shared_ptr<BodyLibrary> bodies;
};

/// Runs `commands` on `target` over the rig's device, from blank disks, and records. Marks
/// ("put#3 k7 begin", …) go into the log. Error: trouble of the world, or a fault that does not
/// fit the device.
[[nodiscard]] faultfs::Result<Recording> record(Target& target,
                                                const Rig& rig,
                                                const TargetConfig& config,
                                                std::uint64_t seed,
                                                const std::vector<Command>& commands,
                                                const Faults& faults = {});

/// What a start after `point` finds in shared memory; null: nothing, as after every power cut.
[[nodiscard]] std::shared_ptr<const SharedState> shared_at(const Recording& recording,
                                                           const faultfs::CrashPoint& point);

/// What was seen of one crash state. Phases that were not reached (the target died, the rebuild did
/// not end) or not asked for are empty.
struct Examination {
  faultfs::CrashPoint point;
  Outcome started = Outcome::done;  ///< lost: it died, at a start or later, or never became ready
  std::string start_detail;         ///< when, and why
  bool recovery_ended = true;
  bool attached = false;                ///< the first start took over what was in shared memory
  std::vector<Reading> after_recovery;  ///< every key of the history
  std::optional<Structure> structure;
  std::vector<Reading> after_reopen;   ///< killed and started again: recovery is stable
  std::vector<Operation> traffic;      ///< further puts and purges, each answered or left open
  std::vector<Reading> after_traffic;  ///< every key of the history, then those of the traffic
  std::optional<Structure> structure_after_traffic;
  std::vector<Reading> after_last_restart;  ///< killed once more after the traffic
  std::optional<Death> death;
  std::vector<faultfs::FaultState> fault_states;  ///< what the device's faults did
  std::vector<std::pair<std::string, std::uint64_t>> gate_refusals;  ///< of all its lives, summed
};

struct ExamineOptions {
  std::uint64_t seed = 0;
  bool reopen = true;
  bool traffic = true;
  CostClock* clock = nullptr;             ///< told what the time goes to
  faultfs::WriteLog* recovery = nullptr;  ///< gets what the first start and its rebuild wrote
  PlainDisk* plain = nullptr;             ///< run on this, not on the device, where the target can
};

/// The slot size with which the cache is restarted at `point`: that of the last `clear` begun.
[[nodiscard]] std::uint32_t unit_bytes_at(const Recording& recording,
                                          const faultfs::CrashPoint& point);

/// All that `seen` says but its crash point, as one value: equal ones are judged alike.
[[nodiscard]] faultfs::Digest fingerprint(const Examination& seen);

/// Powers the rig's device on with `disks`, starts the target, asks for every key, kills and starts
/// it again, gives it more traffic and asks again. The target is killed at the end.
[[nodiscard]] faultfs::Result<Examination> examine(Target& target,
                                                   const Rig& rig,
                                                   const Recording& recording,
                                                   const faultfs::CrashPoint& point,
                                                   std::vector<faultfs::Image> disks,
                                                   const ExamineOptions& options);

/// The beginning of the same: powers on with `disks`, starts the target and lets it rebuild, then
/// kills it. Returns the log of that: what a cut inside the recovery can leave.
[[nodiscard]] faultfs::Result<faultfs::WriteLog> recover(Target& target,
                                                         const Rig& rig,
                                                         const Recording& recording,
                                                         const faultfs::CrashPoint& point,
                                                         std::vector<faultfs::Image> disks,
                                                         const ExamineOptions& options);

}  // namespace scenarios
