#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "properties/allowed.h"
#include "scenarios/targets/log_geometry.h"

namespace properties {

/// How much a store that is one circular log, or several, has had to write since each put began to
/// the log of its key. Counts more
/// rather than less. The rules are at the head of log_demand.cc.
class LogDemand {
 public:
  LogDemand(const scenarios::TargetConfig& config, const scenarios::LogGeometry& geometry);

  void begin(const scenarios::Operation& operation);
  void end(const scenarios::Operation& operation);
  /// True where the log cannot have come round to what `put` wrote.
  [[nodiscard]] bool holds(scenarios::PutNumber put) const;

 private:
  struct Cost {
    std::uint64_t bytes = 0, rows = 0;
  };
  struct Begun {
    scenarios::PutNumber put = 0;
    std::size_t log = 0;
    Cost before;  ///< written before it began, for certain
    Cost own;
    bool open = true;
  };
  [[nodiscard]] Cost cost_of(const scenarios::Operation& operation) const;

  scenarios::TargetConfig config_;
  scenarios::LogGeometry geometry_;
  std::vector<Cost> totals_;  ///< of each log
  std::vector<Begun> begun_;
};

/// The demand of everything that had begun at `point`; none where the target is no log.
[[nodiscard]] std::optional<LogDemand> log_demand_at(const scenarios::Recording& recording,
                                                     const faultfs::CrashPoint& point);

/// Takes `must` from the keys that the log may have come round to in the traffic after recovery;
/// `demand` is that of the crash point.
void release_lapped_by_traffic(const std::vector<scenarios::Operation>& traffic,
                               LogDemand demand,
                               std::vector<KeyAnswers>& answers);

}  // namespace properties
