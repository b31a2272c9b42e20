// The persistence model: what a disk may hold after a cut.
//
// A disk is its sectors, and a sector has versions. Version 0 is what it held when the log began;
// every write (or discard, which writes zeros) that touches at least one of its bytes makes the
// next one: the content a reader saw then. So a write of 100 bytes gives a whole new sector, into
// which the drive's cache has merged the bytes of all earlier writes to it.
//
// Power cut. For every sector, independently of all others, the medium holds the last durable
// version, or that of any later, volatile write. Independently, except that the sectors of one
// write inside one aligned atomic write unit are kept or lost together. Since the cache merged, a
// sector whose last write was kept is right whatever became of the earlier ones:
//
//     w0001  write 0     4K   A          after w0004 sector 0 holds A (durable), B or C;
//     w0002  flush                       sector 1 holds what it held before, or D.
//     w0003  write 0     4K   B          B and D, A and D, C and nothing … are all possible:
//     w0004  write 0     8K   C D        C without D tears w0004 in two.
//
// Durable are, and so never lost: a write under a flush of its disk that was issued after the write
// had completed and has returned; a FUA write that has completed; every completed write of a device
// that writes through. A flush inside which the power goes guarantees nothing. A write inside which
// it goes may keep any of its units, also on a device that writes through.
//
// Kill. The process dies and the device lives: every completed write stays, volatile or not, and
// the one in flight may be whole, absent, or cut short at a boundary of a 4 KiB page of the disk.
//
// What a profile bends (a plan says where, as fates; each can be taken back by itself):
//   lost_content     zero, garbage, foreign: a lost write also destroys what its sector held;
//   unless a
//                    later write to it was kept, the sector reads as zeros, noise, or what an
//                    earlier write of the log gave another sector of the device. Which one is drawn
//                    from the place and the lost write: of all sectors that earlier entries
//                    touched, in order, a drawn one, and from it backwards (from the first on to
//                    the last) the first that is of a write, and of another place. Zeros where
//                    there is none.
//   tears            a sector may hold the first bytes of the new version, then what it would hold
//                    had this write been lost to a device that destroys nothing
//   garbled          (only where lost content is noise) noise where the write would have been kept
//   misdirected      (one write per plan) its bytes, at the moment of the write, land elsewhere on
//                    the same disk and its own place stays as it was; the cache, and with it every
//                    later version, knows nothing of that
//   lying flush      nothing is durable by a flush (or by FUA, where that lies, too)
// And what a fault bends (faults/): a write that a failed flush dropped is durable by no flush, and
// what an erase block went back to is durable, whatever the device promises.
//
// Not modelled: requests in flight beside the one at the crash point; a misdirected or lost write
// that a flush had covered; a kernel between the process and the device that holds writes back.

#include "faultfs/crash_model.h"

#include <algorithm>

#include <fmt/format.h>

#include "faultfs/base/check.h"
#include "faultfs/cut_sectors.h"

namespace faultfs {

namespace {

/// The disks as readers saw them are kept after every so many entries, so that a crash point
/// anywhere in a long log is reached from near by.
constexpr std::uint32_t checkpoint_entries = 16;

/// Applies entry `number` as a device does whose every write is kept.
void apply_entry(const WriteLog& log, std::uint32_t number, std::vector<Image>& disks) {
  const LogEntry& entry = log.entry(number);
  if (entry.kind == EntryKind::write) {
    disks[entry.disk].write(entry.offset_bytes, log.data(number));
  } else if (entry.kind == EntryKind::discard) {
    disks[entry.disk].write_zeros(entry.offset_bytes, entry.size_bytes);
  }
}

/// The profile, when it and the log make sense on these disks: checked before anything is computed
/// from them.
DeviceProfile checked(DeviceProfile profile, const std::vector<Image>& base, const WriteLog& log) {
  Status possible = check_profile(profile);
  POWERCUT_CHECK(possible, "{}", possible.error().message);
  bool whole_sectors = std::all_of(base.begin(), base.end(), [&](const Image& disk) {
    return disk.size_bytes() % profile.sector_bytes == 0;
  });
  POWERCUT_CHECK(whole_sectors, "a disk is no multiple of {} bytes", profile.sector_bytes);
  Status fits = check_log(base, log);
  POWERCUT_CHECK(fits, "{}", fits.error().message);
  return profile;
}

}  // namespace

Status check_log(const std::vector<Image>& base, const WriteLog& log) {
  for (std::uint32_t number = 1; number <= log.size(); ++number) {
    const LogEntry& entry = log.entry(number);
    if (entry.kind == EntryKind::mark) {
      continue;
    }
    if (entry.disk >= base.size()) {
      return fail(fmt::format("{} is a request to disk {}; there are {} disks, counted from 0",
                              entry_name(number),
                              entry.disk,
                              base.size()));
    }
    std::uint64_t disk_bytes = base[entry.disk].size_bytes();
    if (entry.offset_bytes > disk_bytes || entry.size_bytes > disk_bytes - entry.offset_bytes) {
      return fail(fmt::format("{} touches {} bytes at 0x{:x} of disk {}, which holds {}",
                              entry_name(number),
                              entry.size_bytes,
                              entry.offset_bytes,
                              entry.disk,
                              size_text(disk_bytes)));
    }
  }
  return {};
}

CrashModel::CrashModel(const std::vector<Image>& base, const WriteLog& log, DeviceProfile profile)
    : base_(base),
      log_(log),
      profile_(checked(std::move(profile), base, log)),
      history_(base, log, profile_),
      all_kept_(base),
      checkpoints_{base} {}

std::uint64_t CrashModel::unit_bytes(const CrashPoint& point) const {
  return point.kind == CutKind::kill ? Image::page_bytes : profile_.atomic_write_bytes;
}

std::vector<VolatileWrite> CrashModel::volatile_writes(const CrashPoint& point) const {
  Status placed = check_point(point);
  POWERCUT_CHECK(placed, "{}", placed.error().message);
  std::uint32_t completed = completed_at(point);
  bool killed = point.kind == CutKind::kill;
  std::vector<VolatileWrite> found;
  std::uint32_t first = killed ? completed + 1 : history_.first_unsettled(completed);
  for (std::uint32_t number = first; number <= point.entry; ++number) {
    bool in_flight = number > completed;
    bool open = in_flight || history_.settled_at(number) > completed;
    if (open && history_.sector_count(number) > 0) {
      found.push_back(describe(number, point));
    }
  }
  return found;
}

VolatileWrite CrashModel::describe(std::uint32_t number, const CrashPoint& point) const {
  VolatileWrite write;
  write.entry = number;
  write.disk = log_.entry(number).disk;
  write.first_sector = history_.first_sector(number);
  write.sector_count = history_.sector_count(number);
  write.in_flight = number > completed_at(point);
  for (std::uint32_t sector = 0; sector < write.sector_count; ++sector) {
    std::uint64_t offset_bytes = (write.first_sector + sector) * profile_.sector_bytes;
    if (sector == 0 || offset_bytes % unit_bytes(point) == 0) {
      write.unit_begins.push_back(sector);
    }
  }
  return write;
}

std::uint32_t CrashModel::durable_since(std::uint32_t write, const CrashPoint& point) const {
  POWERCUT_CHECK(write >= 1 && write <= log_.size(), "{} of a log of {}", write, log_.size());
  std::uint32_t completed = completed_at(point);
  if (write > completed) {
    return 0;
  }
  if (history_.settled_at(write) <= completed) {
    return history_.settled_at(write);
  }
  return point.kind == CutKind::kill ? write : 0;
}

bool CrashModel::durable_up_to(std::uint32_t completed, const CrashPoint& point) const {
  std::uint32_t until = completed_at(point);
  bool all = point.kind == CutKind::kill || history_.first_unsettled(until) > completed;
  return completed <= until && all;
}

void CrashModel::restore_all_kept(std::uint32_t completed) {
  std::size_t nearest =
      std::min<std::size_t>(completed / checkpoint_entries, checkpoints_.size() - 1);
  auto nearest_at = static_cast<std::uint32_t>(nearest * checkpoint_entries);
  if (all_kept_at_ > completed || all_kept_at_ < nearest_at) {
    all_kept_ = checkpoints_[nearest];
    all_kept_at_ = nearest_at;
  }
  while (all_kept_at_ < completed) {
    apply_entry(log_, ++all_kept_at_, all_kept_);
    if (all_kept_at_ == checkpoints_.size() * checkpoint_entries) {
      checkpoints_.push_back(all_kept_);
    }
  }
}

std::uint32_t CrashModel::limit(const CrashPoint& point) const {
  return CutSectors({base_, log_, profile_, history_}, {point, {}}).limit();
}

std::vector<Image> CrashModel::build(const CrashPlan& plan, std::vector<SectorPlace>* deviating) {
  Status legal = check(plan);
  POWERCUT_CHECK(legal, "{}", legal.error().message);
  CutSectors sectors({base_, log_, profile_, history_}, plan);
  restore_all_kept(completed_at(plan.point));
  std::vector<Image> disks = all_kept_;
  if (sectors.limit() > completed_at(plan.point)) {
    apply_entry(log_, sectors.limit(), disks);
  }
  for (const Fate& fate : plan.fates) {
    if (fate.kind != FateKind::kept) {
      settle_fate(fate, sectors, disks, deviating);
    }
  }
  return disks;
}

/// Corrects the sectors whose last write has this fate in a disk on which all is kept. Where a
/// later write touched the sector, either that one was kept, and the sector is right already, or
/// its own fate corrects it.
void CrashModel::settle_fate(const Fate& fate,
                             const CutSectors& sectors,
                             std::vector<Image>& disks,
                             std::vector<SectorPlace>* deviating) const {
  DiskNumber disk = log_.entry(fate.write).disk;
  for (std::uint32_t i = 0; i < history_.sector_count(fate.write); ++i) {
    Touch touch = history_.touch_of(fate.write, i);
    Touch later = history_.after(touch);
    if (later == no_touch || history_.entry_of(later) > sectors.limit()) {
      settle_sector(sectors, disk, history_.first_sector(fate.write) + i, disks, deviating);
    }
  }
  if (fate.kind == FateKind::misdirected) {
    std::uint64_t end = sectors.target_end() + profile_.sector_bytes - 1;
    std::uint64_t sector = sectors.target_begin() / profile_.sector_bytes;
    for (; sector < end / profile_.sector_bytes; ++sector) {
      settle_sector(sectors, disk, sector, disks, deviating);
    }
  }
}

void CrashModel::settle_sector(const CutSectors& sectors,
                               DiskNumber disk,
                               std::uint64_t number,
                               std::vector<Image>& disks,
                               std::vector<SectorPlace>* deviating) const {
  if (deviating != nullptr) {
    deviating->push_back({disk, number});
  }
  CutSectors::Sector sector;
  sector.disk = disk;
  sector.number = number;
  sectors.settle(sectors.last_touch(disk, number), sector);
  std::uint64_t offset_bytes = number * profile_.sector_bytes;
  if (sector.as_base) {
    disks[disk].copy_range(base_[disk], offset_bytes, profile_.sector_bytes);
  } else {
    disks[disk].write(offset_bytes, ByteView(sector.bytes).first(profile_.sector_bytes));
  }
}

std::vector<Origin> CrashModel::origins(const CrashPlan& plan, DiskNumber disk) const {
  Status legal = check(plan);
  POWERCUT_CHECK(legal, "{}", legal.error().message);
  CutSectors sectors({base_, log_, profile_, history_}, plan);
  CutSectors::Sector sector;
  sector.disk = disk;
  std::vector<Origin> found(base_[disk].size_bytes() / profile_.sector_bytes);
  for (; sector.number < found.size(); ++sector.number) {
    sectors.settle(sectors.last_touch(disk, sector.number), sector);
    found[sector.number] = sector.origin;
  }
  return found;
}

}  // namespace faultfs
