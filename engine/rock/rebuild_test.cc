// What a start finds: totals, slices with traffic, recovering again, damage, another geometry.

#include <gmock/gmock.h>

#include "engine/rock/check.h"
#include "engine/rock/rig_test.h"

namespace engine::rock {
namespace {

class RebuildTest : public ::testing::Test {
 protected:
  void SetUp() override { rig_.start(); }
  void put(std::string_view key, const Bytes& bytes) {
    const Status done = rig_.put(key, bytes);
    ASSERT_TRUE(done) << done.error().message;
  }
  [[nodiscard]] const RecoveryReport& report() const { return rig_.store->rebuild().report(); }
  void expect_totals() const {
    const RecoveryReport& sum = report();
    EXPECT_EQ(sum.scanned, sum.empty + sum.loaded + sum.refused + sum.superseded);
    EXPECT_EQ(sum.finished, sum.scanned == sum.units_total);
  }
  StoreRig rig_;
};

// E12. One slot of each kind.
TEST_F(RebuildTest, TotalsAddUpAtEverySlice) {
  put("whole", body(1, 1500));     // 1, 0
  put("updated", body(2, 100));    // 2
  put("headless", body(3, 1500));  // 4, 3
  rig_.device.settle();
  const Bytes old_inode(rig_.slot(2).begin(), rig_.slot(2).end());
  ASSERT_TRUE(rig_.store->update_header("updated", "x"));  // 5
  std::copy(old_inode.begin(), old_inode.end(), rig_.slot(2).begin());
  std::fill(rig_.slot(4).begin(), rig_.slot(4).end(), std::byte{});
  rig_.config.rebuild_slice_slots = 1;
  rig_.start(false);
  for (int slot = 0; slot < 16; ++slot) {
    expect_totals();
    ASSERT_TRUE(rig_.store->tick());
  }
  expect_totals();
  EXPECT_TRUE(report().finished);
  EXPECT_EQ(report().loaded, 3U);
  EXPECT_EQ(report().superseded, 1U);
  EXPECT_EQ(report().refused, 1U);
  EXPECT_EQ(report().empty, 11U);
  EXPECT_EQ(report().entries, 2U);
  EXPECT_EQ(report().ticks, 16U);
}

TEST_F(RebuildTest, CostFollowsSlotsNotBytes) {
  put("k", body(1, 10000));
  rig_.start();
  EXPECT_EQ(rig_.store->stats().counters.at("slot_reads"), 16U);
  EXPECT_TRUE(rig_.hits("k", body(1, 10000)));
}

TEST_F(RebuildTest, ObjectsBecomeReadableWhenTheirSlotsAreAllThere) {
  put("a", body(1, 100));
  put("b", body(2, 1500));
  rig_.config.rebuild_slice_slots = 1;
  rig_.start(false);
  EXPECT_FALSE(rig_.get("a").hit);
  ASSERT_TRUE(rig_.store->tick());
  EXPECT_TRUE(rig_.hits("a", body(1, 100)));
  ASSERT_TRUE(rig_.store->tick());
  EXPECT_FALSE(rig_.get("b").hit);
  ASSERT_TRUE(rig_.store->tick());
  EXPECT_TRUE(rig_.hits("b", body(2, 1500)));
}

// R27, R28: at every position of the scan a put, an update and a purge of keys before and behind
// it.
TEST_F(RebuildTest, TrafficAtEverySlotOfTheScan) {
  for (std::uint32_t position = 0; position <= 16; ++position) {
    for (int order = 0; order < 2; ++order) {
      StoreRig rig;
      rig.config.rebuild_slice_slots = 1;
      rig.start();
      ASSERT_TRUE(rig.put(order == 0 ? "low" : "high", body(1, 1500)));
      ASSERT_TRUE(rig.put("gone", body(2, 1500)));
      ASSERT_TRUE(rig.put(order == 0 ? "high" : "low", body(3, 1500)));
      rig.start(false);
      for (std::uint32_t slot = 0; slot < position; ++slot) {
        ASSERT_TRUE(rig.store->tick());
      }
      ASSERT_TRUE(rig.put("low", body(4, 2000)));
      const bool updated = rig.store->update_header("high", "newer").value_or(false);
      EXPECT_TRUE(rig.hits("low", body(4, 2000)));
      ASSERT_TRUE(rig.store->purge("gone"));
      rig.finish_rebuild();
      for (int life = 0; life < 2; ++life) {
        EXPECT_TRUE(rig.hits("low", body(4, 2000))) << position;
        EXPECT_FALSE(rig.get("gone").hit) << position;
        EXPECT_TRUE(rig.hits("high", body(order == 0 ? 3 : 1, 1500))) << position;
        EXPECT_EQ(rig.get("high").header, updated ? "newer" : "h");
        rig.expect_conserved();
        rig.start();
      }
    }
  }
}

// An acknowledged put survives a kill also where the older slots of its key had not been found yet.
TEST_F(RebuildTest, PutDuringTheRebuildOverridesOlderSlotsOfItsKey) {
  for (const bool update : {false, true}) {
    StoreRig rig;
    rig.config.rebuild_slice_slots = 2;
    rig.start();
    for (int n = 0; n < 5; ++n) {
      ASSERT_TRUE(rig.put(fmt::format("f{}", n), body(9, 100)));
    }
    ASSERT_TRUE(rig.put("k", body(1, 1500)));
    ASSERT_TRUE(rig.store->purge("f0"));
    ASSERT_TRUE(rig.store->purge("f1"));
    rig.start(false);
    ASSERT_TRUE(rig.store->tick());
    ASSERT_TRUE(rig.put("k", body(2, 100)));
    if (update) {
      ASSERT_TRUE(rig.store->update_header("k", "newer").value_or(false));
    }
    ASSERT_FALSE(rig.store->stats().recovery.finished);
    rig.start();  // killed
    EXPECT_TRUE(rig.hits("k", body(2, 100)));
    EXPECT_EQ(rig.get("k").header, update ? "newer" : "h");
    rig.expect_conserved();
  }
}

// Found by a campaign: three versions in three lives, the oldest never met by a rebuild. A cut that
// loses the newest and keeps the tombstone of the one before must not bring the oldest back.
TEST_F(RebuildTest, OverwriteDuringTheRebuildNeverUncoversAnOlderVersion) {
  for (const bool found_later : {false, true}) {
    StoreRig rig;
    rig.config.rebuild_slice_slots = 1;
    rig.config.allocator = Allocator::lifo;
    rig.start();
    const auto ticks = [&rig](int count) {
      for (int n = 0; n < count; ++n) {
        ASSERT_TRUE(rig.store->tick());
      }
    };
    ASSERT_TRUE(rig.put("k", body(1, 100)));
    const auto oldest = rig.store->inspect().entries.front().units;
    ASSERT_EQ(oldest, std::vector<std::uint32_t>{15});
    rig.start(false);
    ticks(3);
    ASSERT_TRUE(rig.put("k", body(2, 100)));  // slot 2
    rig.start(false);                         // killed; its barrier makes that durable
    ticks(found_later ? 1 : 3);
    EXPECT_EQ(rig.hits("k", body(2, 100)), !found_later);
    ASSERT_TRUE(rig.put("k", body(3, 100)));
    ticks(found_later ? 2 : 0);
    ASSERT_FALSE(rig.store->stats().recovery.finished);
    rig.store.reset();
    const std::vector<TestDevice::Write> pending = rig.device.pending;
    rig.device.cut([&](std::size_t write, std::size_t) {
      return pending[write].offset_bytes == reserved_bytes + 2 * 1024;
    });
    rig.start();
    EXPECT_FALSE(rig.hits("k", body(1, 100))) << found_later;
    EXPECT_TRUE(rig.hits("k", body(3, 100))) << found_later;
    rig.expect_conserved();
  }
}

TEST_F(RebuildTest, SyncDuringTheRebuildFinishesIt) {
  put("k", body(1, 100));
  rig_.config.rebuild_slice_slots = 1;
  rig_.start(false);
  ASSERT_TRUE(rig_.store->sync());
  EXPECT_TRUE(report().finished);
  EXPECT_TRUE(rig_.hits("k", body(1, 100)));
}

// R29: cut at every request of the recovery, again and again; the end is the same.
TEST_F(RebuildTest, RecoveringAgainGivesTheSameFromEveryCut) {
  put("a", body(1, 1500));
  put("b", body(2, 100));
  ASSERT_TRUE(rig_.store->sync());
  put("a", body(3, 1500));
  ASSERT_TRUE(rig_.store->update_header("b", "newer"));
  const auto upload = rig_.store->begin_put("c", "h", 3000);
  ASSERT_TRUE(upload && rig_.store->append(*upload, body(4, 3000)));
  rig_.device.settle();
  const Bytes disk = rig_.device.now;
  for (std::uint64_t request = 0; request < 12; ++request) {
    rig_.device.now = rig_.device.durable = disk;
    rig_.device.requests_left = request;
    rig_.config.seed = mix(1, request);
    auto cut = make_store(rig_.device, rig_.config, false);
    if (cut) {
      static_cast<void>((*cut)->tick());
    }
    rig_.device.cut(
        [request](std::size_t write, std::size_t) { return (write + request) % 2 == 0; });
    for (int life = 0; life < 2; ++life) {
      rig_.start();
      EXPECT_TRUE(rig_.hits("a", body(3, 1500)));
      EXPECT_TRUE(rig_.hits("b", body(2, 100)));
      EXPECT_EQ(rig_.get("b").header, "newer");
      EXPECT_FALSE(rig_.get("c").hit);
      rig_.expect_conserved();
    }
  }
}

// The new prefix's header reached the medium and its payload did not: the object stays.
TEST_F(RebuildTest, TornHeaderUpdateNeverCostsTheObject) {
  put("k", body(1, 1500));
  ASSERT_TRUE(rig_.store->sync());
  rig_.device.requests_left = 1;  // the new prefix, one slot as the old, but not the barrier
  ASSERT_FALSE(rig_.store->update_header("k", "n"));
  ASSERT_EQ(rig_.device.pending.size(), 1U);
  rig_.store.reset();
  rig_.device.cut([](std::size_t, std::size_t sector) { return sector == 0; });
  rig_.start();
  EXPECT_TRUE(rig_.hits("k", body(1, 1500)));
  EXPECT_EQ(rig_.get("k").header, "h");
  EXPECT_EQ(rig_.refused(Gate::slot_payload_checksum), 1U);
}

// Both prefix slots of a grown header are there, found before the old inode and after the tail.
TEST_F(RebuildTest, TwoSlotPrefixWinsOverTheOldInodeInAnyOrder) {
  for (const auto allocator : {Allocator::lowest_first, Allocator::lifo, Allocator::random}) {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      StoreRig rig;
      rig.config.allocator = allocator;
      rig.lives = seed * 100;
      rig.start();
      ASSERT_TRUE(rig.put("k", body(1, 1700)));
      ASSERT_TRUE(rig.store->update_header("k", std::string(250, 'x')).value_or(false));
      rig.store.reset();
      rig.device.cut([](std::size_t, std::size_t) { return false; });  // the tombstone is lost
      rig.start();
      EXPECT_TRUE(rig.hits("k", body(1, 1700)));
      EXPECT_EQ(rig.get("k").header, std::string(250, 'x'));
      EXPECT_EQ(rig.refused(Gate::update_supersedes), 1U);
      rig.expect_conserved();
    }
  }
}

TEST_F(RebuildTest, UnreadableSlotIsToldOnceAndLeftOut) {
  put("a", body(1, 100));
  put("b", body(2, 100));
  rig_.device.unreadable = reserved_bytes + 10;
  rig_.start(false);
  const auto first = rig_.store->tick();
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().trouble, Trouble::device);
  rig_.finish_rebuild();
  EXPECT_FALSE(rig_.get("a").hit);
  EXPECT_TRUE(rig_.hits("b", body(2, 100)));
  EXPECT_EQ(report().refused, 1U);
  for (int n = 0; n < 40; ++n) {  // and never given out
    put(fmt::format("k{}", n), body(3, 100));
  }
  rig_.expect_conserved();
}

TEST_F(RebuildTest, UnreadableSlotIsFoundWhenReadingAheadToo) {
  put("a", body(1, 100));
  put("b", body(2, 100));
  put("c", body(3, 100));
  rig_.device.cheap_bytes = 4096;
  rig_.device.unreadable = reserved_bytes + 1024 + 10;
  rig_.start(false);
  EXPECT_FALSE(rig_.store->ticks(100));
  rig_.finish_rebuild();
  EXPECT_TRUE(rig_.hits("a", body(1, 100)));
  EXPECT_FALSE(rig_.get("b").hit);
  EXPECT_TRUE(rig_.hits("c", body(3, 100)));
  EXPECT_EQ(report().refused, 1U);
}

TEST_F(RebuildTest, HolesAndReadingAheadChangeTheCostAlone) {
  put("a", body(1, 100));
  put("b", body(2, 3000));
  put("c", body(3, 1700));
  ASSERT_TRUE(rig_.store->purge("a").value_or(false));
  put("d", body(4, 2500));
  rig_.store.reset();
  rig_.device.settle();
  rig_.device.now[rig_.device.now.size() - 1024] = std::byte{7};  // refused, behind a hole
  const Bytes medium = rig_.device.now;
  std::vector<std::uint64_t> reads;
  std::vector<Bytes> after;
  for (const bool tells_holes : {false, true}) {
    for (const std::uint32_t cheap_bytes : {0U, 2048U, 3000U, 65536U}) {
      for (const std::uint64_t slices : {1U, 3U, 1000U}) {
        rig_.store.reset();
        rig_.device.now = medium;
        rig_.device.pending.clear();
        rig_.device.tells_holes = tells_holes;
        rig_.device.cheap_bytes = cheap_bytes;
        rig_.device.reads = 0;
        rig_.start(false);
        while (rig_.store->ticks(slices).value_or(false)) {
        }
        reads.push_back(rig_.device.reads);
        after.push_back(rig_.device.now);
        EXPECT_TRUE(rig_.hits("b", body(2, 3000)));
        EXPECT_TRUE(rig_.hits("c", body(3, 1700)));
        EXPECT_TRUE(rig_.hits("d", body(4, 2500)));
        EXPECT_EQ(report().refused, 1U);
        EXPECT_EQ(report().scanned, report().units_total);
        rig_.expect_conserved();
      }
    }
  }
  EXPECT_THAT(after, ::testing::Each(after.front()));
  EXPECT_GE(reads.front(), report().units_total);
  EXPECT_LE(reads.back(), 8U);
}

// R34.
TEST_F(RebuildTest, AnotherGeometryClearsTheStoreForGood) {
  put("a", body(1, 100));
  put("b", body(2, 3000));
  for (const std::uint32_t slot_bytes : {2048U, 1024U, 4096U, 1024U}) {
    rig_.config.slot_bytes = slot_bytes;
    rig_.start();
    EXPECT_TRUE(rig_.store->inspect().entries.empty()) << slot_bytes;
    put("c", body(3, 100));
    EXPECT_TRUE(rig_.hits("c", body(3, 100)));
  }
}

TEST_F(RebuildTest, EitherCopyOfTheHeaderIsEnoughAndNoneMeansClear) {
  put("k", body(1, 100));
  for (int life = 0; life < 6; ++life) {
    const std::size_t newest = life % 2 == 0 ? 1 : 0;  // the copy the next start writes
    rig_.device.now[database_copy_offset.at(newest) + 20] ^= std::byte{1};
    rig_.device.settle();
    rig_.start();
    EXPECT_TRUE(rig_.hits("k", body(1, 100))) << life;
  }
  rig_.device.now[database_copy_offset[0] + 20] ^= std::byte{1};
  rig_.device.now[database_copy_offset[1] + 20] ^= std::byte{1};
  rig_.device.settle();
  rig_.start();
  EXPECT_FALSE(rig_.get("k").hit);
  EXPECT_EQ(rig_.refused(Gate::db_header), 2U);
  EXPECT_EQ(rig_.refused(Gate::slot_instance), 1U);
}

TEST_F(RebuildTest, LyingFlushOfTheEpochDoesNotMakeTwoPutsShareAnId) {
  rig_.device.settle();
  const Bytes before = rig_.device.now;
  put("k", body(1, 100));
  const DecodedSlot first = decode_slot(rig_.slot(0));
  rig_.device.now = rig_.device.durable = before;  // all of this life is lost
  rig_.start();
  put("k", body(2, 100));
  rig_.device.now = rig_.device.durable = before;
  rig_.start();
  put("k", body(3, 100));
  const DecodedSlot second = decode_slot(rig_.slot(0));
  EXPECT_NE(first.header.write, second.header.write);
}

TEST_F(RebuildTest, InspectionChangesNoByteAndFindsTheSame) {
  put("a", body(1, 1500));
  const auto upload = rig_.store->begin_put("c", "h", 3000);
  ASSERT_TRUE(upload && rig_.store->append(*upload, body(4, 3000)));
  rig_.device.settle();
  rig_.slot(0)[600] ^= std::byte{1};
  rig_.device.settle();
  rig_.store.reset();
  const std::uint64_t writes = rig_.device.writes, flushes = rig_.device.flushes;
  auto view = open_for_inspection(rig_.device, rig_.config);
  ASSERT_TRUE(view);
  while ((*view)->tick().value_or(false)) {
  }
  EXPECT_EQ((*view)->inspect().entries.size(), 1U);
  EXPECT_FALSE((*view)->purge("a"));
  EXPECT_FALSE((*view)->begin_put("a", "", 1));
  EXPECT_TRUE((*view)->close());
  const auto checked = check_disk(rig_.device, rig_.config);
  ASSERT_TRUE(checked);
  EXPECT_EQ(checked->slots.at(0).gate, "slot_payload_checksum");
  EXPECT_EQ(checked->slots.at(1).verdict, "loaded");
  EXPECT_EQ(checked->slots.at(1).key, "a");
  EXPECT_EQ(checked->slots.at(3).gate, "tail_required");
  EXPECT_EQ(checked->slots.at(9).verdict, "empty");
  EXPECT_EQ(slot_bytes_of(rig_.device).value_or(0), 1024U);
  EXPECT_EQ(rig_.device.writes, writes);
  EXPECT_EQ(rig_.device.flushes, flushes);
}

}  // namespace
}  // namespace engine::rock
