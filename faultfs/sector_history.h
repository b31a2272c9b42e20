#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "faultfs/image.h"
#include "faultfs/profile.h"
#include "faultfs/write_log.h"

namespace faultfs {

/// One write (or discard) touching one sector: an index into `SectorHistory`.
using Touch = std::uint32_t;
inline constexpr Touch no_touch = std::numeric_limits<Touch>::max();

/// For every sector, the writes that touched it in order; for every write, when it became durable.
/// Computed once for a log and a profile, then only read: it does not depend on the crash point.
///
/// Keeps a reference to the log. Knows nothing of fates.
class SectorHistory {
 public:
  /// "Never" as an entry number.
  static constexpr std::uint32_t never = std::numeric_limits<std::uint32_t>::max();

  SectorHistory(const std::vector<Image>& base, const WriteLog& log, const DeviceProfile& profile);

  /// The sectors that entry `number` touches, counted from its first; 0 for flushes and marks.
  [[nodiscard]] std::uint32_t sector_count(std::uint32_t number) const {
    return first_touch_[number] - first_touch_[number - 1];
  }
  [[nodiscard]] std::uint64_t first_sector(std::uint32_t number) const;
  /// The touch of the `index`-th sector of entry `number`.
  [[nodiscard]] Touch touch_of(std::uint32_t number, std::uint32_t index) const {
    return first_touch_[number - 1] + index;
  }

  [[nodiscard]] std::uint32_t entry_of(Touch touch) const { return touches_[touch].entry; }
  /// Which sector of the entry's disk it touches.
  [[nodiscard]] std::uint64_t sector_of(Touch touch) const {
    return first_sector(entry_of(touch)) + touch - first_touch_[entry_of(touch) - 1];
  }
  /// The touch of the same sector before or after this one, or `no_touch`.
  [[nodiscard]] Touch before(Touch touch) const { return touches_[touch].before; }
  [[nodiscard]] Touch after(Touch touch) const { return touches_[touch].after; }
  /// The last touch of `sector` in the log, or `no_touch`.
  [[nodiscard]] Touch last_touch(DiskNumber disk, std::uint64_t sector) const;

  /// The entry with which `number` became durable by a promise of its own: the first flush that
  /// covers it, or itself; `never` where none did.
  [[nodiscard]] std::uint32_t durable_at(std::uint32_t number) const {
    return durable_at_[number - 1];
  }
  /// As `durable_at`, or the moment from which all its sectors lie under durable later writes.
  [[nodiscard]] std::uint32_t settled_at(std::uint32_t number) const {
    return settled_at_[number - 1];
  }
  /// The first entry that is not settled after `completed` entries, or `completed + 1`.
  [[nodiscard]] std::uint32_t first_unsettled(std::uint32_t completed) const {
    return first_unsettled_[completed];
  }

  /// Puts the bytes that `touch` gave its sector on top of `sector` (a whole one).
  void apply(Touch touch, MutableByteView sector) const;
  /// True when `touch` gave its sector every byte.
  [[nodiscard]] bool covers(Touch touch) const;

 private:
  struct Link {
    std::uint32_t entry;
    Touch before;
    Touch after;
  };
  void link_touches(const std::vector<Image>& base);
  void link_entry(std::uint32_t number, const LogEntry& entry);
  void find_durable(const DeviceProfile& profile, std::size_t disks);
  void find_settled();

  const WriteLog& log_;
  std::uint64_t sector_bytes_;
  std::vector<Link> touches_;
  std::vector<std::uint32_t> first_touch_;      // by entry: touches of entries up to this one
  std::vector<std::vector<Touch>> last_touch_;  // by disk and sector
  std::vector<std::uint32_t> durable_at_;       // by entry - 1
  std::vector<std::uint32_t> settled_at_;       // by entry - 1
  std::vector<std::uint32_t> first_unsettled_;  // by completed
};

}  // namespace faultfs
