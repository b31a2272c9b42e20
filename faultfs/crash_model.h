#pragma once

#include <cstdint>
#include <vector>

#include "faultfs/image.h"
#include "faultfs/open_units.h"
#include "faultfs/plan.h"
#include "faultfs/profile.h"
#include "faultfs/read_watch.h"
#include "faultfs/sector_history.h"
#include "faultfs/write_log.h"

namespace faultfs {

/// A write whose fate is open at a crash point.
struct VolatileWrite {
  std::uint32_t entry = 0;
  DiskNumber disk = 0;
  std::uint64_t first_sector = 0;
  std::uint32_t sector_count = 0;
  /// Unit i is the sectors [unit_begins[i], unit_begins[i + 1]), the last one ends at
  /// `sector_count`; sectors of a unit share one fate (one atomic write unit; at a kill one 4 KiB
  /// page, and then only the first units up to some point may be kept).
  std::vector<std::uint32_t> unit_begins;
  bool in_flight = false;  ///< the crash point is inside it
};

/// Where a sector's content came from: a write entry, or one of these.
struct Origin {
  enum class Kind : std::uint8_t { base, write, torn, garbage, zeroed, foreign };
  Kind kind = Kind::base;   ///< base: as before the log began
  std::uint32_t entry = 0;  ///< write, torn: the entry that gave the (newer part of the) content;
                            ///< garbage, zeroed, foreign: the lost (or garbled) write that
                            ///< destroyed it
  std::uint32_t from = 0;   ///< foreign: the write whose bytes these are, at another place
  [[nodiscard]] bool operator==(const Origin&) const = default;
};

/// Fills `into` with the noise that stands where `entry` was lost or garbled in `sector` of `disk`:
/// the same in every run and on every machine.
void fill_with_noise(DiskNumber disk,
                     std::uint64_t sector,
                     std::uint32_t entry,
                     MutableByteView into);

/// Ok when every request of `log` lies inside the `base` disks. Error: names the entry. For logs
/// from files; the ones of a `Device` always fit.
[[nodiscard]] Status check_log(const std::vector<Image>& base, const WriteLog& log);

class CutSectors;

/// Whether contents of a place with the same bytes count as one.
enum class EqualContents : std::uint8_t { merged, apart };

/// The persistence model (design.md §4): which contents a cut may leave, for one log that began on
/// `base` images, under one profile. Prose of the model is at the head of crash_model.cc.
///
/// Keeps references: `base` and `log` must outlive it, fit each other (`check_log`) and not change.
/// Not thread-safe.
class CrashModel {
 public:
  CrashModel(const std::vector<Image>& base, const WriteLog& log, DeviceProfile profile);

  [[nodiscard]] const DeviceProfile& profile() const { return profile_; }
  [[nodiscard]] const WriteLog& log() const { return log_; }

  /// The writes (and discards) whose fate is open at `point`, ascending. At a kill: only one in
  /// flight. A write whose every sector was overwritten by a durable one is not open.
  [[nodiscard]] std::vector<VolatileWrite> volatile_writes(const CrashPoint& point) const;

  /// The places whose content is open at the power cut `point`, each with more than one content,
  /// by disk and offset. Costs what the volatile writes touch.
  [[nodiscard]] std::vector<OpenUnit> open_units(const CrashPoint& point,
                                                 EqualContents equal = EqualContents::merged) const;

  /// The flush (or the write itself, for FUA and write-through) that made `write` durable before
  /// `point`; 0 when it is volatile there. For a write under a later durable one: that one's.
  [[nodiscard]] std::uint32_t durable_since(std::uint32_t write, const CrashPoint& point) const;

  /// True when everything that completed up to entry `completed` is durable at `point`: a flush
  /// issued after it returned by then, the device is write-through, or the point is a kill.
  /// False when entry `completed` itself had not completed there.
  [[nodiscard]] bool durable_up_to(std::uint32_t completed, const CrashPoint& point) const;

  /// Ok when `plan` is one this device may show. Error: names the write and the reason, e.g.
  /// "w0105 was made durable by FLUSH w0109; it cannot be lost on ssd_4k_volatile".
  [[nodiscard]] Status check(const CrashPlan& plan) const;

  /// The disks as `plan` leaves them. `plan` must pass `check`. Costs what the plan deviates from
  /// "all kept", wherever the crash point lies; ascending crash points are the cheapest.
  /// Only the first cut of the plan counts: those inside the recovery have logs of their own.
  /// `deviating`: gets the sectors in which the disks may differ from those on which everything up
  /// to `limit` is kept.
  [[nodiscard]] std::vector<Image> build(const CrashPlan& plan,
                                         std::vector<SectorPlace>* deviating = nullptr);

  /// The last entry that may have changed anything at `point`: the one in flight, or the last that
  /// had completed.
  [[nodiscard]] std::uint32_t limit(const CrashPoint& point) const;

  /// The origin of every sector of `disk` in the image that `build(plan)` gives.
  [[nodiscard]] std::vector<Origin> origins(const CrashPlan& plan, DiskNumber disk) const;

 private:
  [[nodiscard]] VolatileWrite describe(std::uint32_t number, const CrashPoint& point) const;
  [[nodiscard]] std::uint64_t unit_bytes(const CrashPoint& point) const;
  [[nodiscard]] Status check_point(const CrashPoint& point) const;
  [[nodiscard]] Status check_fate(const Fate& fate, const CrashPoint& point) const;
  [[nodiscard]] Status check_open(const Fate& fate, const CrashPoint& point) const;
  [[nodiscard]] Status check_possible(const Fate& fate) const;
  [[nodiscard]] Status check_target(const Fate& fate) const;
  [[nodiscard]] Status check_sectors(const Fate& fate, const CrashPoint& point) const;
  [[nodiscard]] Status check_tear(const Fate& fate) const;
  void settle_fate(const Fate& fate,
                   const CutSectors& sectors,
                   std::vector<Image>& disks,
                   std::vector<SectorPlace>* deviating) const;
  void settle_sector(const CutSectors& sectors,
                     DiskNumber disk,
                     std::uint64_t number,
                     std::vector<Image>& disks,
                     std::vector<SectorPlace>* deviating) const;
  void restore_all_kept(std::uint32_t completed);

  const std::vector<Image>& base_;
  const WriteLog& log_;
  DeviceProfile profile_;
  SectorHistory history_;
  std::vector<Image> all_kept_;  ///< the disks as readers saw them after entry `all_kept_at_`
  std::uint32_t all_kept_at_ = 0;
  std::vector<std::vector<Image>> checkpoints_;  ///< the same after every 16 entries
};

}  // namespace faultfs
