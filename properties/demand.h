#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "properties/allowed.h"

namespace properties {

/// How much of a store objects may need at once, in allocation units. Counts more rather than less,
/// so "it never exceeded the capacity" is certain. The rules are at the head of demand.cc.
class Demand {
 public:
  explicit Demand(const scenarios::Recording& recording);

  /// A put or update begins to take units.
  void begin(const scenarios::Operation& operation);
  /// An operation is over: an acknowledged put frees the version it replaced, one given up all it
  /// had taken; a purge frees what the key held, a purge of everything or a clear what every key
  /// held.
  void end(const scenarios::Operation& operation, bool acknowledged);
  /// A power cut: uploads are gone, and a key may hold the largest version it ever had.
  void power_cut();
  /// Starts over from what a cache was seen to hold after recovery.
  void restart_with(const std::vector<std::pair<scenarios::Key, Version>>& seen);

  /// Of some disk, or of one of them.
  [[nodiscard]] bool exceeds_capacity();
  [[nodiscard]] bool exceeds_capacity(std::size_t disk);
  [[nodiscard]] std::size_t disks() const;
  /// Which of the disks a key lives on.
  [[nodiscard]] std::size_t home_of(scenarios::Key key);
  /// An upload other than that of `key` is open.
  [[nodiscard]] bool others_open(scenarios::Key key) const;

 private:
  struct Holding {
    scenarios::Key key = 0;
    std::uint64_t stored = 0, largest = 0, upload = 0;  // units
    bool open = false;
  };
  Holding& holding(scenarios::Key key);
  [[nodiscard]] std::uint64_t units_of(const scenarios::Operation& operation) const;

  const scenarios::Recording& recording_;
  std::uint32_t unit_bytes_;
  std::vector<Holding> holdings_;
  std::map<scenarios::Key, std::size_t> homes_;  // where there are several disks
};

/// The acknowledged puts that no lawful eviction before `point` can have taken, ascending.
[[nodiscard]] std::vector<scenarios::PutNumber> puts_safe_from_eviction(
    const scenarios::Recording& recording, const faultfs::CrashPoint& point);

/// Takes `must` from the keys that the traffic's evictions may have taken. `demand` was started
/// over with what was seen after recovery; `answers` have the traffic folded in.
void release_evicted_by_traffic(const std::vector<scenarios::Operation>& traffic,
                                Demand& demand,
                                std::vector<KeyAnswers>& answers);

}  // namespace properties
