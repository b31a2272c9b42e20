// Every content a place may hold after a power cut, each once.
//
// The sectors of one atomic unit are walked back together from their last touches. At each write
// that is open and last on some of them there are two ways: it was kept, which settles these
// sectors, or it was lost, and the walk goes on behind it (on a device whose lost sectors read as
// zeros or noise a loss settles, too). Two different ways differ first at some write, kept in one
// and lost in the other, so no two give the same versions. Their bytes may still be equal, where a
// write repeated what was there.
//
//     w0003  write 0 4K B           one sector: B C | A (both lost) | B (w0004 lost)
//     w0004  write 0 4K C           options: {} {w0004} {w0003 w0004}
//
// Left out: tears inside a sector, noise where a write was kept, misdirected writes.

#include "faultfs/open_units.h"

#include <algorithm>
#include <map>
#include <set>

#include "faultfs/base/check.h"
#include "faultfs/crash_model.h"
#include "faultfs/cut_sectors.h"

namespace faultfs {

namespace {

/// The walk over one unit.
class UnitWalk {
 public:
  UnitWalk(const SectorHistory& history, const DeviceProfile& profile, std::uint32_t completed)
      : history_(history),
        completed_(completed),
        destroys_(profile.lost_content != LostContent::old) {}

  std::vector<std::vector<std::uint32_t>> options(std::vector<Touch> last_touches) {
    walk(std::move(last_touches));
    return std::move(found_);
  }

 private:
  [[nodiscard]] bool open(Touch touch) const {
    return touch != no_touch && history_.durable_at(history_.entry_of(touch)) > completed_;
  }

  // NOLINTNEXTLINE(misc-no-recursion): as deep as the unit has open writes.
  void walk(std::vector<Touch> sectors) {
    std::uint32_t newest = 0;
    for (const Touch touch : sectors) {
      newest = std::max(newest, open(touch) ? history_.entry_of(touch) : 0);
    }
    if (newest == 0) {
      found_.emplace_back(lost_.rbegin(), lost_.rend());
      return;
    }
    std::vector<Touch> kept = sectors;
    for (std::size_t i = 0; i < sectors.size(); ++i) {
      if (sectors[i] != no_touch && history_.entry_of(sectors[i]) == newest) {
        kept[i] = no_touch;
        sectors[i] = destroys_ ? no_touch : history_.before(sectors[i]);
      }
    }
    walk(std::move(kept));
    lost_.push_back(newest);
    walk(std::move(sectors));
    lost_.pop_back();
  }

  const SectorHistory& history_;
  std::uint32_t completed_;
  bool destroys_;
  std::vector<std::uint32_t> lost_;  // newest first
  std::vector<std::vector<std::uint32_t>> found_;
};

/// The bytes of `unit` where the writes `lost` are lost there.
Bytes content(const CutSectors::Facts& facts,
              const CrashPoint& point,
              const OpenUnit& unit,
              const std::vector<std::uint32_t>& lost) {
  CrashPlan plan{point, {}};
  for (const std::uint32_t write : lost) {
    plan.fates.push_back({write, FateKind::lost, {}, 0, 0});
  }
  const CutSectors sectors(facts, plan);
  const std::uint64_t sector_bytes = facts.profile.sector_bytes;
  Bytes bytes(unit.sector_count * sector_bytes);
  CutSectors::Sector sector;
  sector.disk = unit.disk;
  for (std::uint32_t i = 0; i < unit.sector_count; ++i) {
    sector.number = unit.first_sector + i;
    sectors.settle(sectors.last_touch(unit.disk, sector.number), sector);
    const MutableByteView into = MutableByteView(bytes).subspan(i * sector_bytes, sector_bytes);
    if (sector.as_base) {
      facts.base[unit.disk].read(sector.number * sector_bytes, into);
    } else {
      std::copy_n(sector.bytes.begin(), sector_bytes, into.begin());
    }
  }
  return bytes;
}

void merge_equal(const CutSectors::Facts& facts, const CrashPoint& point, OpenUnit& unit) {
  std::set<Bytes> seen;
  std::erase_if(unit.options, [&](const std::vector<std::uint32_t>& lost) {
    return !seen.insert(content(facts, point, unit, lost)).second;
  });
}

}  // namespace

std::vector<OpenUnit> CrashModel::open_units(const CrashPoint& point, EqualContents equal) const {
  POWERCUT_CHECK(point.kind == CutKind::power_cut, "{}", to_text(point));
  const CutSectors::Facts facts{base_, log_, profile_, history_};
  const CutSectors newest(facts, {point, {}});
  std::map<std::pair<DiskNumber, std::uint64_t>, std::set<std::uint64_t>> units;
  for (const VolatileWrite& write : volatile_writes(point)) {
    for (std::uint32_t i = 0; i < write.sector_count; ++i) {
      const std::uint64_t sector = write.first_sector + i;
      const std::uint64_t unit = sector * profile_.sector_bytes / profile_.atomic_write_bytes;
      units[{write.disk, unit}].insert(sector);
    }
  }
  std::vector<OpenUnit> found;
  for (const auto& [place, sectors] : units) {
    OpenUnit unit{place.first, *sectors.begin(), 0, {}};
    unit.sector_count = static_cast<std::uint32_t>(*sectors.rbegin() - unit.first_sector + 1);
    std::vector<Touch> touches;
    for (std::uint32_t i = 0; i < unit.sector_count; ++i) {
      touches.push_back(newest.last_touch(unit.disk, unit.first_sector + i));
    }
    unit.options = UnitWalk(history_, profile_, completed_at(point)).options(std::move(touches));
    if (equal == EqualContents::merged) {
      merge_equal(facts, point, unit);
    }
    if (unit.options.size() > 1) {
      found.push_back(std::move(unit));
    }
  }
  return found;
}

}  // namespace faultfs
