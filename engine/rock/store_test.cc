// What a client of the store sees, in one life.

#include "engine/rock/rig_test.h"

namespace engine::rock {
namespace {

Trouble trouble_of(const Status& status) {
  EXPECT_FALSE(status);
  return status ? Trouble::lost : status.error().trouble;
}

class StoreTest : public ::testing::Test {
 protected:
  void SetUp() override { rig_.start(); }
  void put(std::string_view key, const Bytes& bytes, std::string_view header = "h") {
    const Status done = rig_.put(key, bytes, header);
    ASSERT_TRUE(done) << done.error().message;
  }
  [[nodiscard]] std::vector<std::uint32_t> chain(std::string_view key) const {
    for (const EntryUse& entry : rig_.store->inspect().entries) {
      if (entry.key == key) {
        return entry.units;
      }
    }
    return {};
  }
  [[nodiscard]] std::uint64_t counter(const char* name) const {
    return rig_.store->stats().counters.at(name);
  }
  StoreRig rig_;
};

TEST_F(StoreTest, EveryBodySizeAndEveryRangeReadsBack) {
  const std::uint32_t inode_room = rig_.capacity() - metadata_fixed_bytes - 2;
  for (const std::size_t size : {std::size_t{0},
                                 std::size_t{1},
                                 std::size_t{inode_room},
                                 std::size_t{inode_room} + 1,
                                 std::size_t{inode_room} + rig_.capacity(),
                                 std::size_t{inode_room} + rig_.capacity() + 1,
                                 std::size_t{5000}}) {
    const Bytes bytes = body(size, size);
    put("k", bytes, "h");
    EXPECT_TRUE(rig_.hits("k", bytes)) << size;
    EXPECT_EQ(rig_.get("k").header, "h");
    for (std::size_t offset = 0; offset <= size; offset += 317) {
      const GetReply reply = rig_.get("k", {offset, 700});
      const std::size_t end = std::min(size, offset + 700);
      EXPECT_EQ(reply.body_bytes, size);
      EXPECT_EQ(reply.body,
                Bytes(bytes.begin() + static_cast<std::ptrdiff_t>(offset),
                      bytes.begin() + static_cast<std::ptrdiff_t>(end)));
    }
    EXPECT_TRUE(rig_.get("k", {size + 5, 10}).body.empty());
  }
  EXPECT_FALSE(rig_.get("other").hit);
  rig_.expect_conserved();
}

TEST_F(StoreTest, SlotsAreReservedNextFirst) {
  put("k", body(1, 3000));
  EXPECT_EQ(chain("k"), (std::vector<std::uint32_t>{1, 0, 2, 3}));
}

TEST_F(StoreTest, OneRequestPerSlotAndNoneBeforeTheSlotIsFull) {
  rig_.device.settle();
  const auto upload = rig_.store->begin_put("k", "h", 1500);
  ASSERT_TRUE(upload);
  const Bytes bytes = body(1, 1500);
  for (const std::byte& each : bytes) {  // streamed byte by byte
    ASSERT_TRUE(rig_.store->append(*upload, std::span(&each, 1)));
  }
  ASSERT_EQ(rig_.device.pending.size(), 1U);
  EXPECT_EQ(rig_.device.pending[0].bytes.size(), rig_.config.slot_bytes);
  EXPECT_FALSE(rig_.get("k").hit);
  ASSERT_TRUE(rig_.store->commit(*upload));
  EXPECT_EQ(rig_.device.pending.size(), 2U);
  EXPECT_TRUE(rig_.hits("k", bytes));
}

TEST_F(StoreTest, OldVersionStaysUntilTheNewOneIsCommitted) {
  put("k", body(1, 1500));
  const auto upload = rig_.store->begin_put("k", "h2", 2000);
  ASSERT_TRUE(upload && rig_.store->append(*upload, body(2, 2000)));
  EXPECT_TRUE(rig_.hits("k", body(1, 1500)));
  EXPECT_EQ(trouble_of(rig_.put("k", body(3, 10))), Trouble::busy);
  ASSERT_TRUE(rig_.store->commit(*upload));
  EXPECT_TRUE(rig_.hits("k", body(2, 2000)));
  rig_.expect_conserved();
}

TEST_F(StoreTest, AbortLeavesTheOldVersionAndTheSlots) {
  put("k", body(1, 1500));
  const auto upload = rig_.store->begin_put("k", "h2", 3000);
  ASSERT_TRUE(upload && rig_.store->append(*upload, body(2, 2500)));
  ASSERT_TRUE(rig_.store->abort(*upload));
  EXPECT_TRUE(rig_.hits("k", body(1, 1500)));
  EXPECT_EQ(trouble_of(rig_.store->commit(*upload)), Trouble::gone);
  ASSERT_TRUE(rig_.store->sync());
  EXPECT_EQ(rig_.store->core().free.size(), 14U);
  rig_.start();
  EXPECT_TRUE(rig_.hits("k", body(1, 1500)));
}

TEST_F(StoreTest, CallersMistakesChangeNothing) {
  put("k", body(1, 100));
  const std::uint64_t writes = rig_.device.writes;
  EXPECT_EQ(trouble_of(rig_.put("", body(1, 1))), Trouble::invalid);
  EXPECT_EQ(trouble_of(rig_.put(std::string(257, 'k'), body(1, 1))), Trouble::invalid);
  EXPECT_EQ(trouble_of(rig_.put("k", body(1, 1), std::string(257, 'h'))), Trouble::invalid);
  EXPECT_FALSE(rig_.store->update_header("k", std::string(257, 'h')));
  EXPECT_EQ(trouble_of(rig_.put("k", body(1, 20000))), Trouble::full);
  const auto upload = rig_.store->begin_put("u", "h", 10);
  ASSERT_TRUE(upload);
  EXPECT_EQ(trouble_of(rig_.store->append(*upload, body(1, 11))), Trouble::invalid);
  EXPECT_EQ(trouble_of(rig_.store->commit(*upload)), Trouble::invalid);
  EXPECT_EQ(trouble_of(rig_.store->abort(99)), Trouble::gone);
  ASSERT_TRUE(rig_.store->append(*upload, body(1, 10)));
  EXPECT_EQ(rig_.device.writes, writes);
  EXPECT_TRUE(rig_.store->commit(*upload));
  EXPECT_TRUE(rig_.hits("k", body(1, 100)));
}

TEST_F(StoreTest, LongestKeyAndHeaderFit) {
  const std::string key(256, 'k'), header(256, 'h');
  put(key, body(1, 2000), header);
  EXPECT_TRUE(rig_.hits(key, body(1, 2000)));
  EXPECT_EQ(rig_.get(key).header, header);
  rig_.start();
  EXPECT_TRUE(rig_.hits(key, body(1, 2000)));
  EXPECT_EQ(rig_.store->inspect().entries.front().key, key);
}

TEST_F(StoreTest, FullStoreEvictsAndReusesOnlyBehindABarrier) {
  for (int n = 0; n < 40; ++n) {
    put(fmt::format("k{}", n), body(static_cast<std::uint64_t>(n), 1500));
    EXPECT_TRUE(rig_.hits(fmt::format("k{}", n), body(static_cast<std::uint64_t>(n), 1500)));
    rig_.expect_conserved();
  }
  EXPECT_EQ(counter("evictions"), 40U - 8U);
  EXPECT_GE(rig_.device.flushes, 32U);
}

TEST_F(StoreTest, QuarantineIsReleasedByAnyBarrier) {
  put("k", body(1, 100));
  put("k", body(2, 100));  // slot 0 goes to quarantine
  put("l", body(3, 100));
  EXPECT_EQ(chain("l"), std::vector<std::uint32_t>{2});
  EXPECT_EQ(rig_.store->inspect().units[0].kind, UnitUse::Kind::quarantine);
  ASSERT_TRUE(rig_.store->sync());
  put("m", body(4, 100));
  EXPECT_EQ(chain("m"), std::vector<std::uint32_t>{0});
}

TEST_F(StoreTest, NoVictimMeansFull) {
  const auto first = rig_.store->begin_put("a", "h", 14000);
  ASSERT_TRUE(first && rig_.store->append(*first, body(1, 12000)));
  const auto second = rig_.store->begin_put("b", "h", 5000);
  ASSERT_TRUE(second);
  EXPECT_EQ(trouble_of(rig_.store->append(*second, body(2, 5000))), Trouble::full);
  EXPECT_EQ(trouble_of(rig_.store->abort(*second)), Trouble::gone);  // it has been given up
  ASSERT_TRUE(rig_.store->append(*first, body(1, 2000)));
  ASSERT_TRUE(rig_.store->commit(*first));
  rig_.expect_conserved();
}

TEST_F(StoreTest, PurgeIsDurableWhenItReturns) {
  put("k", body(1, 1500));
  ASSERT_TRUE(rig_.store->sync());
  EXPECT_TRUE(rig_.store->purge("k").value_or(false));
  EXPECT_TRUE(rig_.device.pending.empty());
  EXPECT_FALSE(rig_.get("k").hit);
  put("l", body(1, 100));
  EXPECT_FALSE(rig_.store->purge("k").value_or(true));
  EXPECT_TRUE(rig_.device.pending.empty());
}

TEST_F(StoreTest, APurgeOfEverythingIsDurableWhenItReturns) {
  for (int n = 0; n < 5; ++n) {
    put("k" + std::to_string(n), body(1, 1500));
  }
  ASSERT_TRUE(rig_.store->sync());
  put("k0", body(2, 1500));
  ASSERT_TRUE(rig_.store->purge_all());
  EXPECT_TRUE(rig_.device.pending.empty());
  EXPECT_TRUE(rig_.store->inspect().entries.empty());
  ASSERT_TRUE(rig_.store->purge_all()) << "of nothing";
  rig_.expect_conserved();
  put("l", body(3, 100));
  EXPECT_TRUE(rig_.get("l").hit);
}

TEST_F(StoreTest, HeaderUpdateKeepsTheBody) {
  put("k", body(1, 3000), "first");
  EXPECT_TRUE(rig_.store->update_header("k", "second").value_or(false));
  EXPECT_TRUE(rig_.hits("k", body(1, 3000)));
  EXPECT_EQ(rig_.get("k").header, "second");
  const Bytes whole = body(1, 3000);
  EXPECT_EQ(rig_.get("k", {900, 1000}).body, Bytes(whole.begin() + 900, whole.begin() + 1900));
  EXPECT_FALSE(rig_.store->update_header("absent", "x").value_or(true));
  rig_.expect_conserved();
}

// R21: the header grows over the slot's boundary, the body's beginning moves into a second slot.
// R22: many versions of the prefix, long and short in turn.
TEST_F(StoreTest, HeaderGrowsAndShrinksOverTheSlotBoundary) {
  for (const std::size_t size : {std::size_t{850}, std::size_t{1700}, std::size_t{4000}}) {
    put("k", body(size, size), "short");
    const std::size_t chain_before = chain("k").size();
    for (int round = 0; round < 5; ++round) {
      const std::string header(round % 2 == 0 ? 250 : 3, static_cast<char>('a' + round));
      ASSERT_TRUE(rig_.store->update_header("k", header).value_or(false));
      EXPECT_EQ(chain("k").size(), chain_before + (round % 2 == 0 ? 1 : 0));
      EXPECT_TRUE(rig_.hits("k", body(size, size)));
      EXPECT_EQ(rig_.get("k").header, header);
      rig_.start();
      EXPECT_TRUE(rig_.hits("k", body(size, size))) << "after a kill, round " << round;
      EXPECT_EQ(rig_.get("k").header, header);
      rig_.expect_conserved();
    }
  }
}

TEST_F(StoreTest, UpdateOfAFullStoreEvictsOthersOnly) {
  for (int n = 0; n < 16; ++n) {
    put(fmt::format("k{}", n), body(static_cast<std::uint64_t>(n), 500));
  }
  ASSERT_TRUE(rig_.store->update_header("k1", "new").value_or(false));
  EXPECT_TRUE(rig_.hits("k1", body(1, 500)));
  EXPECT_EQ(counter("evictions"), 1U);
  rig_.expect_conserved();
}

TEST_F(StoreTest, CloseAbortsAndFlushesAndIsTheEnd) {
  put("k", body(1, 100));
  const auto upload = rig_.store->begin_put("u", "h", 2000);
  ASSERT_TRUE(upload && rig_.store->append(*upload, body(2, 2000)));
  ASSERT_TRUE(rig_.store->close());
  EXPECT_TRUE(rig_.device.pending.empty());
  EXPECT_EQ(trouble_of(rig_.put("l", body(1, 1))), Trouble::gone);
  GetReply reply;
  EXPECT_EQ(trouble_of(rig_.store->get("k", {}, reply)), Trouble::gone);
  EXPECT_TRUE(rig_.store->close());
  rig_.start();
  EXPECT_TRUE(rig_.hits("k", body(1, 100)));
  EXPECT_FALSE(rig_.get("u").hit);
  EXPECT_EQ(rig_.store->stats().recovery.refused, 0U);
}

TEST_F(StoreTest, DeviceTroubleIsTold) {
  put("k", body(1, 100));
  rig_.device.requests_left = 0;
  EXPECT_EQ(trouble_of(rig_.put("l", body(1, 100))), Trouble::device);
  EXPECT_EQ(trouble_of(rig_.store->sync()), Trouble::device);
  EXPECT_FALSE(rig_.store->update_header("k", "x"));
  EXPECT_TRUE(rig_.hits("k", body(1, 100))) << "an update that failed leaves the object";
  EXPECT_FALSE(rig_.store->purge("k"));
  EXPECT_FALSE(rig_.get("k").hit) << "gone for this life, though not durably";
}

TEST_F(StoreTest, DamagedSlotIsAMissAndTheObjectIsGone) {
  put("k", body(1, 3000));
  rig_.slot(2)[700] ^= std::byte{1};
  EXPECT_FALSE(rig_.get("k", {2700, 10}).body.empty());  // another slot: its own gate lets it pass
  EXPECT_FALSE(rig_.get("k").hit);
  EXPECT_EQ(rig_.refused(Gate::slot_payload_checksum), 1U);
  EXPECT_FALSE(rig_.get("k", {0, 1}).hit);
  rig_.expect_conserved();
}

TEST(StoreOpen, SaysWhatSizesAreAllowed) {
  TestDevice device(1 << 20);
  Config config;
  for (const std::uint32_t slot_bytes : {0U, 512U, 3000U, 2U << 20}) {
    config.slot_bytes = slot_bytes;
    const auto store = open_store(device, config);
    ASSERT_FALSE(store);
    EXPECT_EQ(store.error().trouble, Trouble::invalid);
    EXPECT_NE(store.error().message.find("power of two"), std::string::npos);
  }
  TestDevice small(reserved_bytes + 1024);
  config.slot_bytes = 1024;
  EXPECT_FALSE(open_store(small, config));
}

TEST(StoreOpen, SameCallsAndSeedGiveTheSameRequests) {
  for (const auto allocator : {Allocator::lowest_first, Allocator::lifo, Allocator::random}) {
    std::vector<Bytes> disks;
    for (int run = 0; run < 2; ++run) {
      StoreRig rig;
      rig.config.allocator = allocator;
      for (int life = 0; life < 3; ++life) {
        rig.start();
        for (int n = 0; n < 12; ++n) {
          ASSERT_TRUE(
              rig.put(fmt::format("k{}", n % 5), body(static_cast<std::uint64_t>(n), 1800)));
        }
        ASSERT_TRUE(rig.store->update_header("k4", "x"));
      }
      disks.push_back(rig.device.now);
    }
    EXPECT_EQ(disks[0], disks[1]);
  }
}

TEST(Presets, AreNamed) {
  EXPECT_TRUE(find_preset("hardened")->gates_off.empty());
  EXPECT_EQ(find_preset("squid")->gates_off.size(), 10U);
  EXPECT_NE(find_preset("soft").error().message.find("hardened, squid"), std::string::npos);
  EXPECT_FALSE(gate_table.find_switchable("slot_bounds"));
  EXPECT_EQ(*gate_table.find_switchable("write_id"), Gate::write_id);
}

}  // namespace
}  // namespace engine::rock
