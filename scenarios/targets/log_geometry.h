#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "engine/cyclone/division.h"
#include "engine/volumes/homes.h"
#include "scenarios/command.h"
#include "scenarios/targets/config.h"

namespace scenarios {

/// A target whose storage is one or several circular logs: each forgets what was written to it
/// longest ago. Of several the sizes are those of the smallest. On several disks a log is a disk,
/// and the size that of its smallest stripe: which stripe has a key hangs on the disk's label,
/// which nobody knows here.
struct LogGeometry {
  std::uint64_t data_bytes = 0;               ///< of one lap
  std::uint64_t fragment_bytes = 0;           ///< content of one document at most
  std::uint64_t fragment_overhead_bytes = 0;  ///< at most, of one document: header and rounding
  std::uint64_t rows = 0;  ///< documents that have a place in the directory, whatever their keys
  std::size_t logs = 1;
  std::uint32_t alternates = 1;  ///< keys in a row that are of one object and share its head
  std::shared_ptr<const engine::cyclone::Placement> placement;  ///< of several stripes on one disk
  std::shared_ptr<const engine::volumes::Homes> homes;          ///< of several disks

  /// Which of the logs has `key`: the same for all keys of its object.
  [[nodiscard]] std::size_t log_of(Key key) const;
};

/// With units of `unit_bytes` (0: as configured). None for a target that is no log.
[[nodiscard]] std::optional<LogGeometry> log_geometry(const TargetConfig& config,
                                                      std::uint32_t unit_bytes = 0);

/// Which of several disks has `key`; 0 where there is one.
[[nodiscard]] std::size_t disk_of(const TargetConfig& config, Key key);

/// Ok where a log of this size and unit is possible.
[[nodiscard]] faultfs::Status check_log(const TargetConfig& config);

}  // namespace scenarios
