// The preset `squid`: what the reference does right, and the weaknesses it is known for, by the
// names of the scenarios in which they show.

#include "engine/rock/rig_test.h"

namespace engine::rock {
namespace {

constexpr std::size_t two_slots = 1500;

class SquidTest : public ::testing::Test {
 protected:
  void SetUp() override {
    rig_.config = *find_preset("squid");
    rig_.config.slot_bytes = 1024;
    rig_.start();
  }
  void put(std::string_view key, const Bytes& bytes) { ASSERT_TRUE(rig_.put(key, bytes)); }
  [[nodiscard]] UploadId begin(std::string_view key, const Bytes& bytes, std::size_t sent) {
    const auto upload = rig_.store->begin_put(key, "h", bytes.size());
    EXPECT_TRUE(upload && rig_.store->append(*upload, std::span(bytes).first(sent)));
    return upload.value_or(0);
  }
  StoreRig rig_;
};

TEST_F(SquidTest, WholeObjectsSurviveAKill) {
  put("a", body(1, 100));
  put("b", body(2, 5000));
  ASSERT_TRUE(rig_.store->update_header("a", "newer").value_or(false));
  rig_.start();
  EXPECT_TRUE(rig_.hits("b", body(2, 5000)));
  EXPECT_FALSE(rig_.get("a").hit);  // N6: the old inode is still there, and kills it
  EXPECT_EQ(rig_.device.flushes, 2U) << "one per opening, none of a put";
  rig_.expect_conserved();
}

TEST_F(SquidTest, HalfAFirstStoreIsNoticed) {
  static_cast<void>(begin("k", body(1, 3000), 2500));
  rig_.start();
  EXPECT_FALSE(rig_.get("k").hit);
}

// R02: killed behind the inode write of a replacement that got the same slots.
TEST_F(SquidTest, ReplacementInTheSameSlotsGivesAHodgepodge) {
  put("k", body(1, two_slots));
  static_cast<void>(begin("k", body(2, two_slots), 1200));
  rig_.start();
  const GetReply reply = rig_.get("k");
  ASSERT_TRUE(reply.hit);
  const Bytes older = body(1, two_slots), newer = body(2, two_slots);
  const auto cut = static_cast<std::ptrdiff_t>(rig_.capacity() - metadata_fixed_bytes - 2);
  EXPECT_TRUE(std::equal(reply.body.begin(), reply.body.begin() + cut, newer.begin()));
  EXPECT_TRUE(std::equal(reply.body.begin() + cut, reply.body.end(), older.begin() + cut));
}

// R15: the inode is lost, the tail indexed as an object; the first hit notices.
TEST_F(SquidTest, HeadlessChainIsAMissOnlyAtTheHit) {
  rig_.device.settle();
  put("k", body(1, two_slots));
  rig_.device.cut([](std::size_t write, std::size_t) { return write == 1; });
  rig_.start();
  EXPECT_EQ(rig_.store->inspect().entries.size(), 1U);
  EXPECT_FALSE(rig_.get("k").hit);
}

// R17: the leftover tail of an older, longer version takes the new one along.
TEST_F(SquidTest, OrphanTailCostsTheNewObject) {
  put("k", body(1, two_slots));
  put("k", body(2, 100));
  EXPECT_TRUE(rig_.hits("k", body(2, 100)));
  rig_.start();
  EXPECT_FALSE(rig_.get("k").hit);
  rig_.expect_conserved();
}

// R18.
TEST_F(SquidTest, PurgedObjectComesBack) {
  put("k", body(1, 100));
  ASSERT_TRUE(rig_.store->purge("k").value_or(false));
  EXPECT_FALSE(rig_.get("k").hit);
  rig_.start();
  EXPECT_TRUE(rig_.hits("k", body(1, 100)));
}

// R13: a stale inode goes on in another key's tail where the sums agree, and where the stale key is
// judged first: a slot is proven once.
TEST_F(SquidTest, ChainsMayCrossBetweenKeys) {
  put("x", body(9, 100));         // 0
  put("k1", body(1, two_slots));  // 2, 1
  const Bytes inode(rig_.slot(2).begin(), rig_.slot(2).end());
  const Bytes tail(rig_.slot(1).begin(), rig_.slot(1).end());
  ASSERT_TRUE(rig_.store->purge("k1"));
  put("k2", body(2, two_slots));  // 2, 1
  std::copy(inode.begin(), inode.end(), rig_.slot(2).begin());
  std::copy(tail.begin(), tail.end(), rig_.slot(0).begin());  // leftover of equal size
  rig_.start();
  const GetReply reply = rig_.get("k1");
  ASSERT_TRUE(reply.hit);
  const Bytes first = body(1, two_slots), second = body(2, two_slots);
  const auto cut = static_cast<std::ptrdiff_t>(rig_.capacity() - metadata_fixed_bytes - 3);
  ASSERT_EQ(reply.body.size(), two_slots);
  EXPECT_TRUE(std::equal(reply.body.begin(), reply.body.begin() + cut, first.begin()));
  EXPECT_TRUE(std::equal(reply.body.begin() + cut, reply.body.end(), second.begin() + cut));
  EXPECT_FALSE(rig_.get("k2").hit);
  // R14: the shared slot must not crash or be given out twice in one life.
  for (int n = 0; n < 60; ++n) {
    const auto key = fmt::format("k{}", n % 7);
    ASSERT_TRUE(rig_.put(key, body(static_cast<std::uint64_t>(n), 1500)));
    EXPECT_TRUE(rig_.hits(key, body(static_cast<std::uint64_t>(n), 1500)));
  }
}

TEST_F(SquidTest, OldVersionGoesWhenTheNewOneBegins) {
  put("k", body(1, 100));
  const UploadId upload = begin("k", body(2, 100), 50);
  EXPECT_FALSE(rig_.get("k").hit);
  ASSERT_TRUE(rig_.store->abort(upload));
  EXPECT_FALSE(rig_.get("k").hit);
}

// A switched-off gate may make the engine lie; it must not crash, hang or read out of bounds.
TEST(AnyGatesOff, RandomBytesAndRandomTrafficEndSomehow) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Random random(seed);
    StoreRig rig;
    rig.config = *find_preset(random.below(3) == 0 ? "squid" : "hardened");
    rig.config.slot_bytes = 1024;
    rig.config.rebuild_slice_slots = 1 + static_cast<std::uint32_t>(random.below(20));
    rig.config.allocator = static_cast<Allocator>(random.below(3));
    rig.config.policy = static_cast<ContradictionPolicy>(random.below(2));
    for (const auto& row : gate_table.rows()) {
      if (random.below(2) == 0) {
        rig.switch_off(row.gate);
      }
    }
    for (int life = 0; life < 6; ++life) {
      rig.start(random.below(2) == 0);
      for (int n = 0; n < 25; ++n) {
        const std::string key = fmt::format("k{}", random.below(5));
        switch (random.below(7)) {
          case 0:
            static_cast<void>(rig.store->purge(key));
            break;
          case 1:
            static_cast<void>(rig.store->update_header(key, std::string(random.below(257), 'x')));
            break;
          case 2:
            static_cast<void>(rig.store->begin_put(key, "h", random.below(4000)));
            break;
          case 3:
            static_cast<void>(rig.store->tick());
            break;
          case 4:
            EXPECT_FALSE(rig.get(key).body.size() > 16 * 1024);
            break;
          default:
            static_cast<void>(rig.put(key, body(random.next(), random.below(4000))));
        }
      }
      for (int damage = 0; damage < 8; ++damage) {
        const auto from = static_cast<std::uint32_t>(random.below(16));
        const auto to = static_cast<std::uint32_t>(random.below(16));
        const auto flip = static_cast<std::size_t>(random.below(1024));
        rig.slot(to)[flip] ^= static_cast<std::byte>(random.next());
        if (random.below(2) == 0) {
          const Bytes copy(rig.slot(from).begin(), rig.slot(from).end());
          std::copy(copy.begin(), copy.end(), rig.slot(to).begin());
        }
      }
      rig.device.settle();
    }
    rig.start();
    EXPECT_TRUE(rig.store->stats().recovery.finished);
    const Inspection view = rig.store->inspect();
    EXPECT_EQ(view.units.size(), 16U);
  }
}

}  // namespace
}  // namespace engine::rock
