#pragma once

#include <cstdint>
#include <map>
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

  /// What alternates of one object take of their head: to be told of all operations before any of
  /// them begins.
  void expect(const scenarios::Operation& operation);
  void begin(const scenarios::Operation& operation);
  void end(const scenarios::Operation& operation);
  /// True where the log cannot have come round to what `put` wrote.
  /// The same of what is pinned, however often it came round since.
  [[nodiscard]] bool holds(scenarios::PutNumber put) const;

 private:
  struct Cost {
    std::uint64_t bytes = 0, rows = 0;
  };
  struct Begun {
    scenarios::PutNumber put = 0;
    scenarios::Key key = 0;
    std::size_t log = 0;
    Cost before;  ///< written before it began, for certain
    Cost own;
    bool open = true;
    bool stays = false;  ///< pinned, and there when it ended
  };
  /// What pinned keys cost in one log.
  struct Pinned {
    std::map<scenarios::Key, Cost> puts, updates;  ///< the largest of each
    std::uint64_t rows = 0;                        ///< of all that were ever written
  };
  [[nodiscard]] bool is_pinned(scenarios::Key key) const {
    return key < scenarios::pinned_keys(config_);
  }
  [[nodiscard]] std::uint64_t pinned_bytes(std::size_t log) const;
  [[nodiscard]] std::uint64_t moved_bytes_max(std::size_t log) const;
  [[nodiscard]] bool pins_fit(std::size_t log) const;
  [[nodiscard]] bool holds_by_age(const Begun& begun) const;
  /// The most that a key ever had in its object's head.
  struct Share {
    scenarios::Key key = 0;
    std::uint64_t header_bytes = 0, body_bytes = 0;
  };
  /// Of the other alternates of a key's object, and of all of them.
  struct HeadShares {
    std::uint64_t others_bytes = 0, all_bytes = 0, body_bytes = 0;
  };
  [[nodiscard]] HeadShares shares_of(scenarios::Key key) const;
  [[nodiscard]] Cost cost_of(const scenarios::Operation& operation) const;
  [[nodiscard]] Cost own_cost_of(const scenarios::Operation& operation) const;
  void add(const scenarios::Operation& operation, std::size_t log, bool open);

  scenarios::TargetConfig config_;
  scenarios::LogGeometry geometry_;
  std::vector<Cost> totals_;    ///< of each log
  std::vector<Pinned> pinned_;  ///< of each log
  std::vector<Begun> begun_;
  std::vector<Share> shares_;
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
