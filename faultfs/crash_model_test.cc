#include "faultfs/crash_model.h"

#include <algorithm>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "faultfs/base/random.h"
#include "faultfs/naive_model.h"

namespace faultfs {
namespace {

constexpr std::uint64_t disk_sectors = 12;

/// A log and everything a model is made of, at addresses that stay.
struct World {
  naive::Model naive;
  std::vector<Image> base;
};

DeviceProfile any_profile() {
  DeviceProfile profile;
  profile.name = "drawn";
  profile.sector_bytes = *rc::gen::element(512U, 4096U);
  profile.atomic_write_bytes =
      std::max(profile.sector_bytes, *rc::gen::element(512U, 4096U, 16384U));
  profile.volatile_write_cache = *rc::gen::weightedElement<bool>({{5, true}, {1, false}});
  profile.fua_honoured = *rc::gen::weightedElement<bool>({{4, true}, {1, false}});
  profile.flush_honoured = *rc::gen::weightedElement<bool>({{4, true}, {1, false}});
  profile.lost_content = *rc::gen::element(
      LostContent::old, LostContent::zero, LostContent::garbage, LostContent::foreign);
  profile.tears_inside_sector =
      profile.atomic_write_bytes == profile.sector_bytes && *rc::gen::arbitrary<bool>();
  profile.misdirects = *rc::gen::arbitrary<bool>();
  return profile;
}

void add_request(WriteLog& log, std::uint64_t sector_bytes, std::uint64_t seed) {
  Random random(seed);
  auto disk = static_cast<DiskNumber>(random.below(2));
  std::uint64_t disk_bytes = disk_sectors * sector_bytes;
  auto issued_after = static_cast<std::uint32_t>(
      log.size() - random.below(std::min<std::uint32_t>(log.size(), 3) + 1));
  std::uint64_t offset = random.below(disk_bytes);
  std::uint64_t size = 1 + random.below(3 * sector_bytes);
  if (random.chance(1, 2)) {
    offset -= offset % sector_bytes;
    size = (1 + random.below(5)) * sector_bytes;
  }
  size = std::min(size, disk_bytes - offset);
  std::uint64_t kind = random.below(12);
  if (kind < 8) {
    Bytes data(size);
    fill_with_noise(9, 9, log.size(), data);
    log.add_write(disk, offset, data, random.chance(1, 6), issued_after);
  } else if (kind < 10) {
    log.add_flush(disk, issued_after);
  } else if (kind == 10) {
    log.add_discard(disk, offset, size, issued_after);
  } else {
    log.add_mark("mark");
  }
}

World any_world() {
  World world;
  world.naive.profile = any_profile();
  std::uint64_t disk_bytes = disk_sectors * world.naive.profile.sector_bytes;
  for (DiskNumber disk = 0; disk < 2; ++disk) {
    Bytes content(disk_bytes);
    fill_with_noise(7, 7, disk, content);
    world.naive.base.push_back(content);
    world.base.emplace_back(disk_bytes);
    world.base.back().write(0, content);
  }
  auto requests = *rc::gen::resize(14, rc::gen::arbitrary<std::vector<std::uint32_t>>());
  for (std::uint32_t seed : requests) {
    add_request(world.naive.log, world.naive.profile.sector_bytes, seed);
  }
  return world;
}

CrashPoint any_point(const WriteLog& log, std::uint32_t beyond) {
  CrashPoint point;
  point.kind = *rc::gen::weightedElement<CutKind>({{4, CutKind::power_cut}, {1, CutKind::kill}});
  point.entry = log.size() + beyond - *rc::gen::inRange<std::uint32_t>(0, log.size() + 1 + beyond);
  point.inside = point.entry > 0 && *rc::gen::weightedElement<bool>({{1, true}, {2, false}});
  return point;
}

/// A fate that often, not always, is legal for `write`.
Fate any_fate(const VolatileWrite& write, const DeviceProfile& profile) {
  Fate fate;
  fate.write = write.entry;
  fate.kind = *rc::gen::weightedElement<FateKind>({{1, FateKind::kept},
                                                   {4, FateKind::lost},
                                                   {8, FateKind::torn},
                                                   {1, FateKind::garbled},
                                                   {1, FateKind::misdirected}});
  bool by_units = *rc::gen::weightedElement<bool>({{5, true}, {1, false}});
  auto bits = *rc::gen::arbitrary<std::uint32_t>();
  for (std::uint32_t sector = 0, unit = 0; sector < write.sector_count; ++sector) {
    auto next = std::upper_bound(write.unit_begins.begin(), write.unit_begins.end(), sector);
    unit = by_units ? static_cast<std::uint32_t>(next - write.unit_begins.begin()) : sector;
    bool takes = fate.kind == FateKind::torn || fate.kind == FateKind::garbled;
    if (takes && ((bits >> (unit % 32)) & 1U) != 0) {
      fate.sectors.push_back(sector);
    }
  }
  if (fate.kind == FateKind::torn && *rc::gen::weightedElement<bool>({{1, true}, {3, false}})) {
    fate.tear_bytes = *rc::gen::inRange<std::uint32_t>(0, profile.sector_bytes + 8);
  }
  if (fate.kind == FateKind::misdirected) {
    fate.to_offset_bytes =
        *rc::gen::inRange<std::uint64_t>(0, disk_sectors) * profile.sector_bytes +
        *rc::gen::weightedElement<std::uint64_t>({{9, 0}, {1, 100}});
  }
  return fate;
}

/// Fates for any entries when `wild`, otherwise for the volatile writes.
CrashPlan any_plan(const CrashModel& model, const CrashPoint& point, bool wild) {
  CrashPlan plan{point, {}};
  std::vector<VolatileWrite> writes;
  if (!wild) {
    writes = model.volatile_writes(point);
  }
  for (std::uint32_t number = 1; wild && number <= model.log().size() + 1; ++number) {
    VolatileWrite write;
    write.entry = number;
    write.sector_count = 3;
    write.unit_begins = {0, 1, 2};
    writes.push_back(write);
  }
  for (const VolatileWrite& write : writes) {
    if (*rc::gen::weightedElement<bool>({{2, !wild}, {1, wild}})) {
      plan.fates.push_back(any_fate(write, model.profile()));
    }
  }
  return plan;
}

Bytes content(const Image& image) {
  Bytes bytes(image.size_bytes());
  image.read(0, bytes);
  return bytes;
}

RC_GTEST_PROP(CrashModel, OpenAndDurableAreAsTheProseSays, ()) {
  World world = any_world();
  CrashModel model(world.base, world.naive.log, world.naive.profile);
  CrashPoint point = any_point(world.naive.log, 0);
  std::set<std::uint32_t> listed;
  for (const VolatileWrite& write : model.volatile_writes(point)) {
    listed.insert(write.entry);
    RC_ASSERT(write.sector_count == world.naive.sectors(write.entry).size());
    RC_ASSERT(write.first_sector == world.naive.sectors(write.entry)[0]);
    RC_ASSERT(write.in_flight == (point.inside && write.entry == point.entry));
    RC_ASSERT(write.unit_begins.front() == 0U);
    RC_ASSERT(write.unit_begins.back() < write.sector_count);
  }
  bool all_durable = true;
  for (std::uint32_t number = 1; number <= world.naive.log.size(); ++number) {
    bool open = world.naive.open(number, point);
    RC_ASSERT(open == (listed.count(number) == 1));
    bool done = number <= world.naive.completed(point);
    all_durable = all_durable && done && !open;
    RC_ASSERT(model.durable_up_to(number, point) == all_durable);
    RC_ASSERT((model.durable_since(number, point) == 0) == (!done || open));
  }
}

RC_GTEST_PROP(CrashModel, RefusesExactlyTheIllegalPlans, ()) {
  World world = any_world();
  CrashModel model(world.base, world.naive.log, world.naive.profile);
  bool wild = *rc::gen::arbitrary<bool>();
  CrashPoint point = any_point(world.naive.log, wild ? 1 : 0);
  CrashPlan plan = any_plan(model, point, wild);
  Status legal = model.check(plan);
  RC_LOG() << to_text(plan) << (legal ? "legal" : legal.error().message) << "\n";
  RC_CLASSIFY(legal.has_value(), "legal");
  RC_ASSERT(legal.has_value() == world.naive.legal(plan));
}

// The two were written apart: one walks each sector backwards over an index and corrects a disk on
// which all is kept; the other plays the log forwards, byte by byte.
RC_GTEST_PROP(CrashModel, BuildsWhatTheNaiveModelBuilds, ()) {
  World world = any_world();
  CrashModel model(world.base, world.naive.log, world.naive.profile);
  for (int state = 0; state < 6; ++state) {
    CrashPlan plan = any_plan(model, any_point(world.naive.log, 0), false);
    if (!model.check(plan)) {
      continue;
    }
    RC_LOG() << to_text(plan);
    std::vector<Image> built = model.build(plan);
    std::vector<Bytes> expected = world.naive.build(plan);
    for (std::size_t disk = 0; disk < built.size(); ++disk) {
      RC_ASSERT(content(built[disk]) == expected[disk]);
    }
  }
}

/// True when `sector`, of the built disk, can be what its origin says.
bool explains(const Origin& origin,
              ByteView sector,
              ByteView base,
              ByteView seen,
              ByteView noise,
              ByteView foreign) {
  auto same = [&](ByteView other) {
    return std::equal(sector.begin(), sector.end(), other.begin());
  };
  switch (origin.kind) {
    case Origin::Kind::base:
      return same(base);
    case Origin::Kind::write:
      return same(seen);
    case Origin::Kind::torn:
      return sector[0] == seen[0];
    case Origin::Kind::garbage:
      return same(noise);
    case Origin::Kind::zeroed:
      return std::all_of(
          sector.begin(), sector.end(), [](std::byte b) { return b == std::byte{0}; });
    case Origin::Kind::foreign:
      return same(foreign);
  }
  return false;
}

RC_GTEST_PROP(CrashModel, OriginsExplainEverySector, ()) {
  World world = any_world();
  world.naive.profile.misdirects = false;  // its own test below
  CrashModel model(world.base, world.naive.log, world.naive.profile);
  CrashPlan plan = any_plan(model, any_point(world.naive.log, 0), false);
  RC_PRE(model.check(plan).has_value());
  RC_LOG() << to_text(plan);
  std::vector<Image> built = model.build(plan);
  std::uint32_t size = world.naive.profile.sector_bytes;
  for (DiskNumber disk = 0; disk < 2; ++disk) {
    Bytes bytes = content(built[disk]);
    std::vector<Origin> origins = model.origins(plan, disk);
    RC_ASSERT(origins.size() == disk_sectors);
    for (std::uint64_t sector = 0; sector < disk_sectors; ++sector) {
      auto part = [&](const Bytes& all) { return ByteView(all).subspan(sector * size, size); };
      const Origin& origin = origins[sector];
      Bytes noise(size);
      fill_with_noise(disk, sector, origin.entry, noise);
      Bytes seen = world.naive.readers_view(origin.entry)[disk];
      const bool foreign = origin.kind == Origin::Kind::foreign;
      RC_ASSERT(explains(origin,
                         part(bytes),
                         part(world.naive.base[disk]),
                         part(seen),
                         noise,
                         foreign ? world.naive.foreign(origin.entry, sector) : Bytes(size)));
      RC_ASSERT(!foreign || (origin.from > 0 && origin.from < origin.entry));
    }
  }
}

/// Calls `visit` with every plan at `point` that keeps or loses each unit of each volatile write.
template <typename Visit>
void for_each_plan(const CrashModel& model, const CrashPoint& point, Visit visit) {
  std::vector<VolatileWrite> writes = model.volatile_writes(point);
  std::size_t units = 0;
  for (const VolatileWrite& write : writes) {
    units += write.unit_begins.size();
  }
  for (std::uint64_t kept = 0; kept < (1ULL << units); ++kept) {
    CrashPlan plan{point, {}};
    std::uint64_t bits = kept;
    for (const VolatileWrite& write : writes) {
      Fate fate;
      fate.write = write.entry;
      fate.kind = FateKind::torn;
      for (std::size_t unit = 0; unit < write.unit_begins.size(); ++unit, bits >>= 1) {
        bool last = unit + 1 == write.unit_begins.size();
        std::uint32_t end = last ? write.sector_count : write.unit_begins[unit + 1];
        for (std::uint32_t sector = write.unit_begins[unit]; (bits & 1) != 0 && sector < end;
             ++sector) {
          fate.sectors.push_back(sector);
        }
      }
      plan.fates.push_back(fate);
    }
    visit(plan);
  }
}

// Closed formula: every atomic unit of the disk chooses among its durable version and one version
// per volatile write to it, on its own, when every write covers whole units. So the number of
// states is the product over units of (1 + number of volatile writes).
RC_GTEST_PROP(CrashModel, TheNumberOfStatesIsAProductOverUnits, ()) {
  DeviceProfile profile;
  profile.sector_bytes = *rc::gen::element(512U, 4096U);
  profile.atomic_write_bytes = profile.sector_bytes * *rc::gen::element(1U, 4U);
  std::uint64_t unit = profile.atomic_write_bytes;
  std::vector<Image> base{Image(4 * unit)};
  WriteLog log;
  std::vector<std::uint64_t> versions(4, 1);
  auto writes = *rc::gen::resize(5,
                                 rc::gen::container<std::vector<std::pair<int, int>>>(rc::gen::pair(
                                     rc::gen::inRange(0, 4), rc::gen::inRange(1, 4))));
  for (auto [first, count] : writes) {
    auto begin = static_cast<std::uint64_t>(first);
    auto end = std::min<std::uint64_t>(4, begin + static_cast<std::uint64_t>(count));
    Bytes data((end - begin) * unit, static_cast<std::byte>(log.size() + 1));
    log.add_write(0, begin * unit, data, false, log.size());
    for (std::uint64_t at = begin; at < end; ++at) {
      ++versions[at];
    }
  }
  CrashModel model(base, log, profile);
  std::set<std::uint64_t> states;
  for_each_plan(model, {CutKind::power_cut, log.size(), false}, [&](const CrashPlan& plan) {
    RC_ASSERT(model.check(plan).has_value());
    states.insert(model.build(plan)[0].hash());
  });
  RC_ASSERT(states.size() == versions[0] * versions[1] * versions[2] * versions[3]);
}

TEST(CrashModel, AnyOrderOfCrashPointsBuildsTheSame) {
  std::vector<Image> base{Image(1_MiB)};
  WriteLog log;
  Random random(11);
  for (std::uint32_t n = 0; n < 500; ++n) {
    Bytes data(4096, static_cast<std::byte>(random.below(256)));
    log.add_write(0, random.below(250) * 4096, data, false, log.size());
  }
  CrashModel ascending(base, log, find_profile("ssd_4k_volatile").value());
  std::vector<std::uint64_t> hashes;
  for (std::uint32_t entry = 0; entry <= log.size(); ++entry) {
    hashes.push_back(ascending.build({{CutKind::power_cut, entry, false}, {}})[0].hash());
  }
  CrashModel jumping(base, log, find_profile("ssd_4k_volatile").value());
  for (int n = 0; n < 300; ++n) {
    auto entry = static_cast<std::uint32_t>(random.below(log.size() + 1));
    EXPECT_EQ(jumping.build({{CutKind::power_cut, entry, false}, {}})[0].hash(), hashes[entry]);
  }
}

TEST(CrashModel, AMisdirectedWriteIsTheOriginOfWhatItHit) {
  std::vector<Image> base{Image(64_KiB)};
  WriteLog log;
  log.add_write(0, 0, Bytes(8192, std::byte{1}), false, 0);
  CrashModel model(base, log, find_profile("ssd_4k_misdirecting").value());
  CrashPlan plan = parse_plan("cut after w1\nw1 misdirected to 0x8000").value();
  std::vector<Origin> origins = model.origins(plan, 0);
  EXPECT_EQ(origins[0], (Origin{Origin::Kind::base, 0}));
  EXPECT_EQ(origins[8], (Origin{Origin::Kind::write, 1}));
  EXPECT_EQ(origins[9], (Origin{Origin::Kind::write, 1}));
  EXPECT_EQ(origins[10], (Origin{Origin::Kind::base, 0}));
}

TEST(CrashModel, NoiseIsTheSameInEveryRun) {
  Bytes noise(16);
  fill_with_noise(0, 3, 7, noise);
  Bytes again(16);
  fill_with_noise(0, 3, 7, again);
  EXPECT_EQ(noise, again);
  fill_with_noise(0, 4, 7, again);
  EXPECT_NE(noise, again);
  fill_with_noise(0, 3, 8, again);
  EXPECT_NE(noise, again);
}

TEST(CrashModel, ALogThatDoesNotFitTheDisksIsRefused) {
  std::vector<Image> base{Image(8192)};
  WriteLog outside;
  outside.add_write(0, 8000, Bytes(500), false, 0);
  EXPECT_EQ(check_log(base, outside).error().message,
            "w0001 touches 500 bytes at 0x1f40 of disk 0, which holds 8K");
  WriteLog elsewhere;
  elsewhere.add_flush(1, 0);
  EXPECT_EQ(check_log(base, elsewhere).error().message,
            "w0001 is a request to disk 1; there are 1 disks, counted from 0");
}

TEST(CrashModelDeathTest, BuildingAnIllegalPlanIsABugOfTheHarness) {
  std::vector<Image> base{Image(8192)};
  WriteLog log;
  log.add_write(0, 0, Bytes(4096), true, 0);
  CrashModel model(base, log, find_profile("ssd_4k_volatile").value());
  EXPECT_EXIT((void)model.build(parse_plan("cut after w1\nw1 lost").value()),
              ::testing::ExitedWithCode(70),
              "w0001 was a FUA write, durable when it completed; it cannot be lost");
}

}  // namespace
}  // namespace faultfs
