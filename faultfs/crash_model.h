#pragma once

#include <cstdint>
#include <vector>

#include "faultfs/image.h"
#include "faultfs/plan.h"
#include "faultfs/profile.h"
#include "faultfs/write_log.h"

namespace faultfs {

/// A write whose fate is open at a crash point.
struct VolatileWrite {
  std::uint32_t entry = 0;
  DiskNumber disk = 0;
  std::uint64_t first_sector = 0;
  std::uint32_t sector_count = 0;
  /// Sectors [unit_begins[i], unit_begins[i + 1]) share one fate (one atomic write unit).
  std::vector<std::uint32_t> unit_begins;
  bool in_flight = false;  ///< the crash point is inside it
};

/// Where a sector's content came from: a write entry, or one of these.
struct Origin {
  enum class Kind : std::uint8_t { base, write, torn, garbage, zeroed };
  Kind kind = Kind::base;   ///< base: as before the log began
  std::uint32_t entry = 0;  ///< write, torn: the entry that gave the (newer part of the) content
};

/// The persistence model (design.md §4): which contents a cut may leave, for one log that began on
/// `base` images, under one profile. Prose of the model is at the head of crash_model.cc.
///
/// Keeps references: `base` and `log` must outlive it. Not thread-safe.
class CrashModel {
 public:
  CrashModel(const std::vector<Image>& base, const WriteLog& log, DeviceProfile profile);

  [[nodiscard]] const DeviceProfile& profile() const { return profile_; }
  [[nodiscard]] const WriteLog& log() const { return log_; }

  /// The writes whose fate is open at `point`, ascending. At a kill: only one in flight.
  [[nodiscard]] std::vector<VolatileWrite> volatile_writes(const CrashPoint& point) const;

  /// The flush (or the write itself, for FUA and write-through) that made `write` durable before
  /// `point`; 0 when it is volatile there.
  [[nodiscard]] std::uint32_t durable_since(std::uint32_t write, const CrashPoint& point) const;

  /// True when everything that completed up to entry `completed` is durable at `point`: a flush
  /// issued after it returned by then, the device is write-through, or the point is a kill.
  [[nodiscard]] bool durable_up_to(std::uint32_t completed, const CrashPoint& point) const;

  /// Ok when `plan` is one this device may show. Error: names the write and the reason, e.g.
  /// "w0105 was made durable by FLUSH w0109; it cannot be lost on ssd_4k_volatile".
  [[nodiscard]] Status check(const CrashPlan& plan) const;

  /// The disks as `plan` leaves them. `plan` must pass `check`. Successive calls at crash points in
  /// ascending order are cheap: the durable part is built once and shared.
  [[nodiscard]] std::vector<Image> build(const CrashPlan& plan);

  /// The origin of every sector of `disk` in the image that `build(plan)` gives.
  [[nodiscard]] std::vector<Origin> origins(const CrashPlan& plan, DiskNumber disk) const;

 private:
  const std::vector<Image>& base_;
  const WriteLog& log_;
  DeviceProfile profile_;
};

}  // namespace faultfs
