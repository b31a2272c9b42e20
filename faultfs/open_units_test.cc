#include "faultfs/open_units.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "faultfs/base/random.h"
#include "faultfs/crash_model.h"
#include "faultfs/naive_model.h"

namespace faultfs {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::uint64_t disk_sectors = 6;
using Options = std::vector<std::vector<std::uint32_t>>;

struct World {
  naive::Model naive;
  std::vector<Image> base;
};

World world(std::uint32_t atomic_write_bytes, LostContent lost_content) {
  World world;
  world.naive.profile.name = "drawn";
  world.naive.profile.sector_bytes = 512;
  world.naive.profile.atomic_write_bytes = atomic_write_bytes;
  world.naive.profile.lost_content = lost_content;
  world.naive.base.emplace_back(disk_sectors * 512, std::byte{1});
  world.base.emplace_back(disk_sectors * 512);
  world.base.back().write(0, world.naive.base.back());
  return world;
}

void add(World& world, std::uint64_t offset_bytes, std::uint64_t size_bytes, int value, bool fua) {
  world.naive.log.add_write(
      0, offset_bytes, Bytes(size_bytes, std::byte(value)), fua, world.naive.log.size());
}

/// Every disk that some choice of fates, unit by unit and write by write, leaves.
std::set<Bytes> every_disk(const World& world, const CrashModel& model, const CrashPoint& point) {
  const std::vector<VolatileWrite> writes = model.volatile_writes(point);
  std::size_t bits = 0;
  for (const VolatileWrite& write : writes) {
    bits += write.unit_begins.size();
  }
  std::set<Bytes> disks;
  for (std::uint64_t choice = 0; choice < std::uint64_t{1} << bits; ++choice) {
    CrashPlan plan{point, {}};
    std::size_t bit = 0;
    for (const VolatileWrite& write : writes) {
      Fate fate{write.entry, FateKind::torn, {}, 0, 0};
      for (std::uint32_t sector = 0, unit = 0; sector < write.sector_count; ++sector) {
        unit +=
            unit + 1 < write.unit_begins.size() && write.unit_begins[unit + 1] == sector ? 1 : 0;
        if ((choice >> (bit + unit) & 1U) != 0) {
          fate.sectors.push_back(sector);
        }
      }
      bit += write.unit_begins.size();
      plan.fates.push_back(fate);
    }
    disks.insert(world.naive.build(plan)[0]);
  }
  return disks;
}

/// The plan in which unit `i` has its option `choice[i]`. Writes lost in some of their units only
/// are torn.
CrashPlan plan_of(const CrashModel& model,
                  const CrashPoint& point,
                  const std::vector<OpenUnit>& units,
                  const std::vector<std::size_t>& choice) {
  CrashPlan plan{point, {}};
  for (const VolatileWrite& write : model.volatile_writes(point)) {
    Fate fate{write.entry, FateKind::torn, {}, 0, 0};
    for (std::uint32_t sector = 0; sector < write.sector_count; ++sector) {
      bool lost = false;
      for (std::size_t i = 0; i < units.size(); ++i) {
        const auto& entries = units[i].options[choice[i]];
        const std::uint64_t place = write.first_sector + sector;
        lost = lost || (place >= units[i].first_sector &&
                        place < units[i].first_sector + units[i].sector_count &&
                        std::binary_search(entries.begin(), entries.end(), write.entry));
      }
      if (!lost) {
        fate.sectors.push_back(sector);
      }
    }
    plan.fates.push_back(fate);
  }
  return plan;
}

/// Every disk that the choices of `units` leave; `count` is how many choices there are.
std::set<Bytes> disks_of(CrashModel& model,
                         const CrashPoint& point,
                         const std::vector<OpenUnit>& units,
                         std::uint64_t& count) {
  std::set<Bytes> disks;
  std::vector<std::size_t> choice(units.size());
  count = 0;
  for (bool more = true; more; ++count) {
    const auto images = model.build(plan_of(model, point, units, choice));
    Bytes disk(disk_sectors * 512);
    images[0].read(0, disk);
    disks.insert(disk);
    more = false;
    for (std::size_t i = 0; i < units.size() && !more; ++i) {
      more = ++choice[i] < units[i].options.size();
      choice[i] = more ? choice[i] : 0;
    }
  }
  return disks;
}

TEST(OpenUnits, AreTheVersionsOfASectorNewestFirst) {
  World world = ::faultfs::world(512, LostContent::old);
  add(world, 0, 512, 2, false);
  add(world, 0, 100, 3, false);
  add(world, 512, 512, 4, true);
  const CrashModel model(world.base, world.naive.log, world.naive.profile);
  const auto units = model.open_units({CutKind::power_cut, 3, false});
  ASSERT_EQ(units.size(), 1U);
  EXPECT_EQ(units[0].first_sector, 0U);
  EXPECT_EQ(units[0].options, (Options{{}, {2}, {1, 2}}));
  EXPECT_THAT(model.open_units({CutKind::power_cut, 0, false}), IsEmpty());
}

TEST(OpenUnits, SectorsOfOneAtomicUnitAreChosenTogether) {
  World world = ::faultfs::world(1024, LostContent::old);
  add(world, 0, 1024, 2, false);
  add(world, 512, 512, 3, false);
  const CrashModel model(world.base, world.naive.log, world.naive.profile);
  const auto units = model.open_units({CutKind::power_cut, 2, false});
  ASSERT_EQ(units.size(), 1U);
  EXPECT_EQ(units[0].sector_count, 2U);
  EXPECT_EQ(units[0].options, (Options{{}, {1}, {2}, {1, 2}}));
}

TEST(OpenUnits, EqualBytesAreOneContentUnlessKeptApart) {
  World world = ::faultfs::world(512, LostContent::old);
  add(world, 0, 512, 2, false);
  add(world, 0, 512, 2, false);
  add(world, 512, 512, 1, false);  // as it was
  const CrashModel model(world.base, world.naive.log, world.naive.profile);
  const CrashPoint point{CutKind::power_cut, 3, false};
  const auto merged = model.open_units(point);
  ASSERT_EQ(merged.size(), 1U);
  EXPECT_EQ(merged[0].options, (Options{{}, {1, 2}}));
  const auto apart = model.open_units(point, EqualContents::apart);
  ASSERT_EQ(apart.size(), 2U);
  EXPECT_EQ(apart[0].options, (Options{{}, {2}, {1, 2}}));
}

// The choices of the units are all the disks there are, and each exactly once.
RC_GTEST_PROP(OpenUnits, ChoicesAreEveryDiskThereIsEachOnce, ()) {
  World world = ::faultfs::world(
      *rc::gen::element(512U, 1024U),
      *rc::gen::element(LostContent::old, LostContent::zero, LostContent::foreign));
  const auto requests = *rc::gen::inRange(1, 5);
  for (int i = 0; i < requests; ++i) {
    const auto offset = *rc::gen::inRange<std::uint64_t>(0, disk_sectors * 512 - 1);
    const auto size = *rc::gen::inRange<std::uint64_t>(1, 1100);
    add(world,
        offset,
        std::min(size, disk_sectors * 512 - offset),
        *rc::gen::inRange(0, 4),
        *rc::gen::weightedElement<bool>({{1, true}, {5, false}}));
  }
  CrashModel model(world.base, world.naive.log, world.naive.profile);
  const CrashPoint point{CutKind::power_cut, world.naive.log.size(), *rc::gen::arbitrary<bool>()};
  std::uint64_t count = 0;
  const auto disks = disks_of(model, point, model.open_units(point), count);
  RC_ASSERT(disks == every_disk(world, model, point));
  RC_ASSERT(disks.size() == count);
}

}  // namespace
}  // namespace faultfs
