// What becomes of written data when a flush fails. File systems disagree; a cache in a file meets
// one of these four (Rebello et al., "Can Applications Recover from fsync Failures?", 2020):
//
//   failed-flush-clean      ext4 (ordered), XFS. EIO; the pages stay in memory with the new content
//                           and are called clean: reads give the new bytes, and no later flush
//                           writes them out.
//   failed-flush-late       ext4 (data=journal). As above, but this flush is acknowledged, and the
//                           next one of the disk fails in its place (after it did its work).
//   failed-flush-reverted   Btrfs. EIO; the pages go back to what is on the disk: reads give the
//   old
//                           bytes at once.
//   failed-flush-dirty      FreeBSD, ZFS. EIO; nothing is lost: the next flush writes it all.
//
// Concerned are the writes and discards of the disk that this flush would have made durable. After
// "clean" and "late" they may be lost at any later cut, though not must: the failing write-back may
// have reached the medium before it failed. A later write to the same sector brings their bytes
// along, as a page does.
//
//     w0001  write 0 4K A
//     w0002  flush, failed-flush-clean: EIO     reads give A
//     w0003  flush: 0                           a cut may leave what was before A
//
// FUA writes, and all writes of a device that writes through, are durable already. What was written
// before the device had any fault cannot be reverted: the old bytes are not known.

#include <algorithm>
#include <cerrno>
#include <set>

#include "faultfs/faults/catalogue.h"

namespace faultfs::faults {

namespace {

enum class Manner { clean, late, reverted, dirty };

/// The last entry that flushes of `disk` cover so far.
std::uint32_t covered_up_to(const Medium& medium, DiskNumber disk) {
  std::uint32_t covered = 0;
  for (std::uint32_t number = 1; number <= medium.done->size(); ++number) {
    const LogEntry& entry = medium.done->entry(number);
    bool flushes = entry.kind == EntryKind::flush && entry.disk == disk;
    covered = flushes ? std::max(covered, entry.issued_after) : covered;
  }
  return medium.profile->flush_honoured ? covered : 0;
}

bool is_cached(const LogEntry& entry, DiskNumber disk, const DeviceProfile& profile) {
  bool changes = entry.kind == EntryKind::write || entry.kind == EntryKind::discard;
  bool durable =
      !profile.volatile_write_cache || entry.on_medium || (entry.fua && profile.fua_honoured);
  return changes && entry.disk == disk && !durable && !entry.dropped;
}

template <Manner manner>
class FailedFlush : public Fault {
 public:
  bool fire(const Request& request, const Medium& medium, Deed& deed) override {
    Change own;
    own.kind = ChangeKind::ignored;
    deed.changes.push_back(own);
    if constexpr (manner == Manner::late) {
      owed_.insert(request.disk);
    } else {
      deed.reply = EIO;
    }
    if constexpr (manner != Manner::dirty) {
      give_up(request.disk, medium, deed);
    }
    return true;
  }

  void attend(const Request& request, const Medium& /*medium*/, Deed& deed) override {
    if (request.kind == RequestKind::flush && owed_.erase(request.disk) > 0) {
      deed.reply = EIO;
    }
  }

  void power_on() override { owed_.clear(); }

 private:
  static void give_up(DiskNumber disk, const Medium& medium, Deed& deed) {
    Change change;
    change.kind = manner == Manner::reverted ? ChangeKind::ignored : ChangeKind::dropped;
    std::uint32_t covered = covered_up_to(medium, disk);
    bool reverts = manner == Manner::reverted;
    std::uint32_t first = (reverts ? std::max(covered, medium.known_since) : covered) + 1;
    for (change.entry = first; change.entry <= medium.issued_after; ++change.entry) {
      if (is_cached(medium.done->entry(change.entry), disk, *medium.profile)) {
        deed.changes.push_back(change);
      }
    }
  }

  std::set<DiskNumber> owed_;  ///< disks whose next flush fails in place of an earlier one
};

template <Manner manner>
std::unique_ptr<Fault> make(const Expression& /*expression*/) {
  return std::make_unique<FailedFlush<manner>>();
}

}  // namespace

std::vector<FaultKind> failed_flush_faults() {
  const std::vector<RequestKind> flush = {RequestKind::flush};
  return {{"failed-flush-clean",
           "EIO; reads give the new bytes, no later flush covers them",
           flush,
           {},
           false,
           make<Manner::clean>},
          {"failed-flush-late",
           "as failed-flush-clean, and the next flush is told",
           flush,
           {},
           false,
           make<Manner::late>},
          {"failed-flush-reverted",
           "EIO; reads give the old bytes",
           flush,
           {},
           false,
           make<Manner::reverted>},
          {"failed-flush-dirty",
           "EIO; the next flush covers all",
           flush,
           {},
           false,
           make<Manner::dirty>}};
}

}  // namespace faultfs::faults
