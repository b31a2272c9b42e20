// Each gate, on and off, over the same crafted state of the medium: on, it refuses and is counted
// and the store tells the truth or misses; off, the hole behind it is open. The states are ones a
// device of the kind named in engine/README.md can leave.

#include "engine/rock/rig_test.h"

namespace engine::rock {
namespace {

constexpr std::size_t two_slots = 1500;  // with 1 KiB slots: a full inode and a tail

/// Runs `story` with the gate on (true) and off (false).
class GateTest : public ::testing::TestWithParam<bool> {
 protected:
  void begin(Gate gate) {
    gate_ = gate;
    if (!GetParam()) {
      rig_.switch_off(gate);
    }
    rig_.start();
  }
  /// `lie_seen`: what is wrong when the gate is off.
  void expect_hole(bool lie_seen) {
    if (GetParam()) {
      EXPECT_FALSE(lie_seen);
      EXPECT_GE(rig_.refused(gate_), 1U);
    } else {
      EXPECT_TRUE(lie_seen) << "nothing is lost without " << gate_table.name(gate_);
      EXPECT_EQ(rig_.refused(gate_), 0U);
    }
  }
  void put(std::string_view key, const Bytes& bytes) {
    const Status done = rig_.put(key, bytes);
    ASSERT_TRUE(done) << done.error().message;
  }
  /// A power cut that keeps the volatile writes of these numbers.
  void cut_keeping(const std::vector<std::size_t>& writes) {
    rig_.store.reset();
    rig_.device.cut([&](std::size_t write, std::size_t) {
      return std::find(writes.begin(), writes.end(), write) != writes.end();
    });
    rig_.start();
  }
  void restart() {
    rig_.device.settle();
    rig_.start();
  }
  [[nodiscard]] bool hit(std::string_view key) { return rig_.get(key).hit; }

  StoreRig rig_;
  Gate gate_ = Gate::db_header;
};

INSTANTIATE_TEST_SUITE_P(OnAndOff, GateTest, ::testing::Values(true, false));

TEST_P(GateTest, DbHeaderNoticesAnotherSlotSize) {
  begin(Gate::db_header);
  put("k", body(1, 100));
  rig_.config.slot_bytes = 2048;
  restart();
  expect_hole(hit("k"));
}

TEST_P(GateTest, SlotInstanceRefusesSlotsFromBeforeTheStoreWasCleared) {
  begin(Gate::slot_instance);
  put("k", body(1, 100));
  rig_.config.slot_bytes = 2048;
  restart();
  expect_hole(hit("k"));
}

// A header update is in flight; the device tears its first sector over what the slot held before,
// another object's tombstone. The torn header has this object's identity and the other one's body.
TEST_P(GateTest, SlotHeaderChecksumKeepsATornUpdateFromTakingTheObjectAlong) {
  begin(Gate::slot_header_checksum);
  put("x", body(1, 300));
  put("k", body(2, 300));
  ASSERT_TRUE(rig_.store->purge("x"));
  const auto sector = rig_.slot(0).first(first_sector_bytes);
  const Bytes before(sector.begin(), sector.end());
  rig_.device.requests_left = 1;  // the new prefix, but not the barrier behind it
  ASSERT_FALSE(rig_.store->update_header("k", "newer"));
  rig_.device.requests_left = UINT64_MAX;
  std::copy(before.begin() + 200, before.end(), rig_.slot(0).begin() + 200);
  restart();
  expect_hole(!rig_.hits("k", body(2, 300)));
}

TEST_P(GateTest, SlotPayloadChecksumRefusesAPartOfASlot) {
  begin(Gate::slot_payload_checksum);
  put("k", body(1, 800));
  rig_.store.reset();
  rig_.device.cut([](std::size_t, std::size_t sector) { return sector == 0; });
  rig_.start();
  expect_hole(hit("k"));
}

// A lying flush lets slots be reused while their invalidation is volatile: the old inode points to
// a tail of the same key, place and size, but of another put.
TEST_P(GateTest, WriteIdTellsTwoPutsOfOneKeyApart) {
  begin(Gate::write_id);
  put("k", body(1, two_slots));  // slots 1, 0
  const Bytes inode(rig_.slot(1).begin(), rig_.slot(1).end());
  put("k", body(2, two_slots));  // slots 3, 2
  ASSERT_TRUE(rig_.store->sync());
  put("k", body(3, two_slots));  // slots 1, 0
  std::copy(inode.begin(), inode.end(), rig_.slot(1).begin());
  restart();
  expect_hole(hit("k"));
}

TEST_P(GateTest, InodeRequiredRefusesAChainWithoutItsBeginning) {
  begin(Gate::inode_required);
  put("k", body(1, two_slots));
  cut_keeping({1});
  expect_hole(hit("k"));
}

TEST_P(GateTest, TailRequiredRefusesAChainWithoutItsEnd) {
  begin(Gate::tail_required);
  put("k", body(1, two_slots));
  cut_keeping({0});
  expect_hole(hit("k"));
}

// The upload of k1 reserved slot 0 and gave it up unwritten; k2 got it. The cut undoes the
// invalidation of k1's inode, which points to slot 0.
TEST_P(GateTest, OwnerCheckKeepsAChainFromGoingOnInAnotherObject) {
  begin(Gate::owner_check);
  const auto upload = rig_.store->begin_put("k1", "h", two_slots);
  ASSERT_TRUE(upload);
  ASSERT_TRUE(rig_.store->append(*upload, body(1, two_slots)));
  ASSERT_TRUE(rig_.store->abort(*upload));
  put("k2", body(2, two_slots));
  cut_keeping({0, 2, 3});
  expect_hole(hit("k1"));
  EXPECT_TRUE(rig_.hits("k2", body(2, two_slots)));
}

TEST_P(GateTest, DurableInvalidationKeepsThePurgedAway) {
  begin(Gate::durable_invalidation);
  put("k", body(1, 100));
  ASSERT_TRUE(rig_.store->sync());
  ASSERT_TRUE(rig_.store->purge("k").value_or(false));
  if (GetParam()) {
    EXPECT_GE(rig_.refused(Gate::durable_invalidation), 1U);
  }
  cut_keeping({});
  EXPECT_EQ(hit("k"), !GetParam());
}

// The tombstone of the old inode is lost: two heads, one body.
TEST_P(GateTest, UpdateSupersedesKeepsAnUpdatedObject) {
  begin(Gate::update_supersedes);
  put("k", body(1, two_slots));
  ASSERT_TRUE(rig_.store->update_header("k", "newer").value_or(false));
  cut_keeping({});
  if (GetParam()) {
    EXPECT_EQ(rig_.get("k").header, "newer");
  }
  expect_hole(!rig_.hits("k", body(1, two_slots)));
}

// Guards: always on.

TEST(Guards, SlotBoundsRefusesNumbersOutsideTheStore) {
  using Change = std::function<void(SlotHeader&)>;
  const std::vector<Change> changes = {
      [](SlotHeader& header) { header.next = 16; },
      [](SlotHeader& header) { header.next = -2; },
      [](SlotHeader& header) { header.first = 16; },
      [](SlotHeader& header) { header.first = -1; },
      [](SlotHeader& header) { header.first = 3; },  // an inode is its own first slot
      [](SlotHeader& header) { header.payload_bytes = 0; },
      [](SlotHeader& header) { header.payload_bytes = 1024 - slot_overhead_bytes + 1; },
      [](SlotHeader& header) { header.index = 16; },
      [](SlotHeader& header) { header.meta_bytes = header.payload_bytes + 1; }};
  for (const char* preset : {"hardened", "squid"}) {
    for (const Change& change : changes) {
      StoreRig rig;
      rig.config = *find_preset(preset);
      rig.config.slot_bytes = 1024;
      rig.start();
      ASSERT_TRUE(rig.put("k", body(1, 100)));
      rig.forge(0, change);
      rig.start();
      EXPECT_FALSE(rig.get("k").hit);
      EXPECT_EQ(rig.refused(Gate::slot_bounds), 1U);
      rig.expect_conserved();
    }
  }
}

TEST(Guards, ChainLoopsEndTheWalkWhateverGatesAreOff) {
  for (const std::int32_t back_to : {0, 1, 2}) {
    for (const char* preset : {"hardened", "squid"}) {
      StoreRig rig;
      rig.config = *find_preset(preset);
      rig.config.slot_bytes = 1024;
      rig.start();
      ASSERT_TRUE(rig.put("k", body(1, 3000)));  // slots 1 -> 0 -> 2 -> 3
      rig.forge(2, [&](SlotHeader& header) { header.next = back_to; });
      rig.start();
      EXPECT_FALSE(rig.get("k").hit);
      rig.expect_conserved();
    }
  }
  StoreRig rig;
  rig.switch_off(Gate::owner_check);
  rig.start();
  ASSERT_TRUE(rig.put("k", body(1, 3000)));
  rig.forge(2, [](SlotHeader& header) { header.next = 2; });
  rig.start();
  EXPECT_FALSE(rig.get("k").hit);
  EXPECT_GE(rig.refused(Gate::chain_loop), 1U);
}

TEST(Guards, EntryContradictionTakesEveryVersionByTheDocumentedRule) {
  for (const auto policy :
       {ContradictionPolicy::whole_entry, ContradictionPolicy::newest_complete}) {
    StoreRig rig;
    rig.config.policy = policy;
    rig.start();
    ASSERT_TRUE(rig.put("k", body(1, 100)));
    ASSERT_TRUE(rig.store->sync());
    ASSERT_TRUE(rig.put("k", body(2, 100)));
    rig.store.reset();
    rig.device.cut([](std::size_t write, std::size_t) { return write == 0; });  // no tombstone
    rig.start();
    const bool whole = policy == ContradictionPolicy::whole_entry;
    EXPECT_EQ(rig.hits("k", body(2, 100)), !whole);
    EXPECT_EQ(rig.refused(Gate::entry_contradiction), whole ? 2U : 0U);
  }
}

}  // namespace
}  // namespace engine::rock
