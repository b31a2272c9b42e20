#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "runner/explorer.h"
#include "runner/observer.h"
#include "runner/pruning.h"
#include "runner/stage.h"

namespace runner {

/// The scenario in which history number n is killed after the store number n + 1 that the cache
/// makes into shared memory (scenarios/targets/store_trap.h).
inline constexpr const char* store_kills = "store_kills";

/// What `powercut run` was asked for. Empty strings and zeros mean "vary": every value that fits is
/// taken in turn from history to history.
struct CampaignOptions {
  scenarios::TargetConfig config;  ///< allocator, policy empty: vary; see the flags below
  bool vary_slot = true;           ///< engine: slot sizes in turn; otherwise `config.slot_bytes`
  std::string profile;  ///< empty: every profile in turn (targets but the engine: every honest one)
  scenarios::Faults faults;  ///< of the device, in every history; beside those of its scenario
  DeviceKind device = DeviceKind::memory;
  bool persistent_engine = false;  ///< engine on fuse: one process for many lives
  bool forked_engine = true;       ///< its processes are copies of one: see scenarios::Rig
  bool renew_engine = false;       ///< … but a new one for each crash state
  std::string explorer = "mixed";
  std::uint32_t deviations_max = 2;  ///< explorer bounded
  std::uint32_t depth = 0;           ///< cuts inside recoveries, one inside another
  PruneOptions prune;                ///< crash states that need not be run
  /// generated, all (named ones first), store_kills, or one name
  std::string scenario = "generated";
  bool overwrites = true;      ///< false: distinct keys only (the control)
  bool purges_of_all = false;  ///< generated histories have them
  bool handoffs = false;       ///< the same
  std::uint64_t seed = 0;
  std::uint64_t states_max = 0;          ///< 0: no limit
  double seconds_max = 0;                ///< 0: no limit
  std::uint32_t states_per_history = 0;  ///< 0: by target and device
  int jobs = 0;                          ///< 0: one per CPU
  bool stop_at_first = false;            ///< end after the first kept case
  bool shrink = true;                    ///< false: cases are kept as they were found
  std::filesystem::path out = "run";  ///< a numbered directory is made below it when a case is kept
  std::string command_line;
  std::string commit;
  /// Called in a worker before each crash state; for tests, whose workers die here.
  std::function<void(std::uint64_t index, std::uint64_t state)> before_state;
  /// Renders a failure, without and with colour; `reports` gives it (runner sees no report).
  std::function<std::string(const FailureCase&, bool color)> render;
};

/// One history of a campaign: everything that decides what it does.
struct HistoryPlan {
  std::uint64_t index = 0;
  std::string scenario;
  scenarios::TargetConfig config;
  faultfs::DeviceProfile profile;
  std::uint64_t seed = 0;
  std::vector<scenarios::Command> commands;
  scenarios::Faults faults;               ///< those that draw have a seed of this history
  std::vector<std::string> faults_asked;  ///< the same, in the words of the user
};

/// The profiles a campaign goes through.
[[nodiscard]] std::vector<faultfs::DeviceProfile> profiles_of(const CampaignOptions& options);

/// History number `index` of the campaign without its commands; a function of its arguments alone,
/// so that any worker may run it.
[[nodiscard]] HistoryPlan plan_history(const CampaignOptions& options, std::uint64_t index);

/// Adds the commands to `plan`, for a target that can do `traits`.
void plan_commands(const CampaignOptions& options,
                   const scenarios::Traits& traits,
                   HistoryPlan& plan);

/// The faults of every history of this campaign: the user's, and those of a scenario that is asked
/// for by name.
[[nodiscard]] scenarios::Faults faults_of(const CampaignOptions& options);

/// Ok where there is a scenario of the name that is asked for, and it fits the target and the
/// device. Error: the names there are, or what it needs.
[[nodiscard]] faultfs::Status check_scenario(const CampaignOptions& options);

/// Workers when nobody says: one for each CPU; three where the target is a process, whose starts
/// are mostly waits for timers of its own; six for Traffic Server, whose recordings wait for
/// directory syncs.
[[nodiscard]] int default_jobs(const CampaignOptions& options);

/// Crash states given to each history.
[[nodiscard]] std::uint32_t states_per_history(const CampaignOptions& options);

}  // namespace runner
