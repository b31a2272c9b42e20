#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "runner/experiment.h"
#include "runner/options.h"

namespace runner {

/// A violation as it was first seen, before shrinking.
struct RawFailure {
  CaseFile file;                    ///< expects its property to be violated
  std::uint32_t log_size = 0;       ///< of the log its plan belongs to
  std::string recording_directory;  ///< where its recording was kept; empty: it can be made again
  bool isolate = false;             ///< the cache crashed the process it ran in
};

/// What exploring one history gave.
struct ExploreResult {
  std::uint64_t index = 0;
  std::string profile;
  double covered = 0;  ///< crash states the executed ones stand for
  std::uint64_t states = 0, held = 0, violated = 0, undecided = 0;
  std::uint64_t executed = 0;        ///< of `states`; earlier runs stand for the others
  std::uint64_t first_violated = 0;  ///< number of the first state that was; 0: none
  std::uint64_t nested = 0;          ///< of `states`: with cuts inside recoveries
  std::map<std::string, PropertyCount> properties;
  std::map<std::string, std::uint64_t> undecided_why;
  std::map<std::string, std::uint64_t> gate_refusals;
  std::map<std::string, FaultCount> faults;  ///< by the words in which they were asked for
  std::vector<std::string> unexplored;
  std::vector<RawFailure> failures;  ///< the first of each property
  std::string trouble;               ///< the world's; the history counts as undecided
  Cost cost;
};

/// Where a worker is, for the parent to read when the worker dies.
struct Whereabouts {
  std::uint64_t index = 0;
  std::uint64_t state = 0;  ///< crash states begun; 0: recording
};

/// Which history, and how far.
struct ExploreTask {
  std::uint64_t index = 0;
  /// Numbers of states in which an earlier worker died; they are not run again but reported as
  /// failures of `process_survives`.
  std::vector<std::uint64_t> crashed = {};
  double seconds_max = 1e9;            ///< the states that are not run by then are left out
  Whereabouts* whereabouts = nullptr;  ///< kept up to date; may be null
};

/// Records a history, then runs the explorer's plans. Failures of properties are collected, one of
/// each. A violation counts when a second try shows it too; one that does not come again is
/// undecided.
[[nodiscard]] ExploreResult explore(const CampaignOptions& options,
                                    const StageOptions& stage_options,
                                    const ExploreTask& task);

void to_json(nlohmann::json& json, const ExploreResult& result);
void from_json(const nlohmann::json& json, ExploreResult& result);
void to_json(nlohmann::json& json, const RawFailure& failure);
void from_json(const nlohmann::json& json, RawFailure& failure);

}  // namespace runner
