// What is pinned or hot outlives the laps of the log, whatever cuts it off; what is neither, or no
// longer belongs to an object, does not.
#include <map>

#include <gtest/gtest.h>

#include "engine/cyclone/document.h"
#include "engine/cyclone/test_disk.h"

namespace engine::cyclone {
namespace {

constexpr std::uint64_t disk_bytes = 512ULL << 10U;

class EvacuationTest : public ::testing::Test {
 protected:
  EvacuationTest() : rig(disk_bytes) { rig.config.pins = {"pin*", "exact"}; }

  [[nodiscard]] StripeGeometry geometry() const {
    return *geometry_of_disk(rig.disk.size_bytes(), rig.config.layout);
  }
  /// A body of so many fragments.
  [[nodiscard]] Bytes fragments(std::uint64_t version, std::size_t count) const {
    return body(version, count * (geometry().fragment_bytes - document_header_bytes));
  }
  /// Puts of other keys, for so many laps more.
  void lap(double laps = 1) {
    const auto wanted =
        static_cast<std::uint64_t>(laps * static_cast<double>(geometry().data_bytes()));
    for (std::uint64_t written = 0; written < wanted; written += 12U << 10U) {
      ++fillers;
      ASSERT_TRUE(rig.put("filler" + std::to_string(fillers), body(fillers, 11U << 10U)));
    }
  }

  CycloneRig rig;
  std::uint64_t fillers = 0;
};

TEST_F(EvacuationTest, PinnedObjectsOutliveTheLapsAndOthersDoNot) {
  ASSERT_TRUE(rig.start());
  const Bytes large = fragments(1, 5);
  ASSERT_TRUE(rig.put("pin/large", large));
  ASSERT_TRUE(rig.put("exact", body(2, 3000)));
  ASSERT_TRUE(rig.put("exactly", body(3, 3000)));
  for (int laps = 0; laps < 5; ++laps) {
    lap();
    ASSERT_TRUE(rig.start());  // a kill: the log tells what was moved
    EXPECT_TRUE(rig.hits("pin/large", large)) << "after lap " << laps;
    EXPECT_TRUE(rig.hits("exact", body(2, 3000))) << "after lap " << laps;
    EXPECT_FALSE(rig.get("exactly").hit);
  }
}

TEST_F(EvacuationTest, AHeaderUpdateIsCarriedAlong) {
  ASSERT_TRUE(rig.start());
  const Bytes large = fragments(1, 3);
  ASSERT_TRUE(rig.put("pin/large", large, "old"));
  lap(0.7);
  ASSERT_TRUE(*rig.store->update_header("pin/large", "new"));
  lap(3);
  ASSERT_TRUE(rig.start());
  EXPECT_TRUE(rig.hits("pin/large", large));
  EXPECT_EQ(rig.get("pin/large").header, "new");
}

/// A pin names an object: all its alternates stay, in the head and in fragments, and what one of
/// them leaves behind does not.
TEST_F(EvacuationTest, APinnedObjectStaysWithItsAlternates) {
  ASSERT_TRUE(rig.start());
  const Bytes large = fragments(1, 3);
  ASSERT_TRUE(rig.put("exact|large", large));
  ASSERT_TRUE(rig.put("exact|displaced", body(2, 6000)));
  ASSERT_TRUE(rig.put("exact|purged", fragments(3, 2)));
  ASSERT_TRUE(rig.put("exact", body(4, 3000)));
  ASSERT_TRUE(*rig.store->purge("exact|purged"));
  for (int laps = 0; laps < 3; ++laps) {
    lap();
    ASSERT_TRUE(rig.start());
    EXPECT_TRUE(rig.hits("exact|large", large)) << "after lap " << laps;
    EXPECT_TRUE(rig.hits("exact|displaced", body(2, 6000))) << "after lap " << laps;
    EXPECT_TRUE(rig.hits("exact", body(4, 3000))) << "after lap " << laps;
    EXPECT_FALSE(rig.get("exact|purged").hit);
  }
  ASSERT_TRUE(rig.store->purge_all());
  const std::uint64_t moved = rig.count("evacuated");
  lap(2);
  EXPECT_EQ(rig.count("evacuated"), moved) << "nobody asks for what was purged";
  EXPECT_FALSE(rig.get("exact|large").hit);
}

/// What nobody can ask for any more is not carried: the log has room for the rest.
TEST_F(EvacuationTest, ReplacedPurgedAndAbandonedPutsAreLeftBehind) {
  ASSERT_TRUE(rig.start());
  ASSERT_TRUE(rig.put("pin/replaced", fragments(1, 3)));
  ASSERT_TRUE(rig.put("pin/replaced", fragments(2, 3)));
  ASSERT_TRUE(rig.put("pin/purged", fragments(3, 3)));
  ASSERT_TRUE(*rig.store->purge("pin/purged"));
  const Bytes abandoned = fragments(4, 3);
  const auto upload = rig.store->begin_put("pin/abandoned", "h", abandoned.size());
  ASSERT_TRUE(upload && rig.store->append(*upload, abandoned) && rig.store->abort(*upload));
  lap(1);
  const std::uint64_t moved = rig.count("evacuated");
  EXPECT_LE(moved, 2 * 4U);  // head and fragments of the one object, where the lap met it twice
  EXPECT_GE(moved, 4U);
  lap(2);
  EXPECT_TRUE(rig.hits("pin/replaced", fragments(2, 3)));
  EXPECT_FALSE(rig.get("pin/purged").hit);
  EXPECT_FALSE(rig.get("pin/abandoned").hit);
}

TEST_F(EvacuationTest, ANameThatIsNoLongerPinnedIsLetGo) {
  ASSERT_TRUE(rig.start());
  ASSERT_TRUE(rig.put("pin/1", body(1, 3000)));
  ASSERT_TRUE(rig.put("exact", body(2, 3000)));
  rig.config.pins = {"exact"};
  ASSERT_TRUE(rig.start());
  lap(2);
  EXPECT_FALSE(rig.get("pin/1").hit);
  EXPECT_TRUE(rig.hits("exact", body(2, 3000)));
}

/// More is pinned than the stripe can keep: puts go on, and what is served is right.
TEST_F(EvacuationTest, PinsNeverFillTheLog) {
  ASSERT_TRUE(rig.start());
  for (std::uint64_t n = 0; n < 150; ++n) {
    ASSERT_TRUE(rig.put("pin" + std::to_string(n), body(n, 9000))) << n;
  }
  ASSERT_TRUE(rig.put("filler", body(1000, 9000)));
  EXPECT_TRUE(rig.hits("filler", body(1000, 9000)));
  EXPECT_GT(rig.count("evacuations_refused"), 0U);
  EXPECT_GT(rig.count("evacuated"), 0U);
  int kept = 0;
  for (std::uint64_t n = 0; n < 150; ++n) {
    const GetReply reply = rig.get("pin" + std::to_string(n));
    EXPECT_TRUE(!reply.hit || reply.body == body(n, 9000));
    kept += reply.hit ? 1 : 0;
  }
  EXPECT_GT(kept, 10);
  EXPECT_LT(kept, 150);
}

TEST_F(EvacuationTest, HotObjectsOutliveTheLapColdOnesDoNot) {
  for (const std::uint32_t percent : {0U, 40U}) {
    rig = CycloneRig(disk_bytes);
    rig.config.hit_evacuate_percent = percent;
    ASSERT_TRUE(rig.start());
    const Bytes hot = fragments(1, 2);
    ASSERT_TRUE(rig.put("hot", hot));
    ASSERT_TRUE(rig.put("cold", body(2, 3000)));
    lap(0.75);
    EXPECT_TRUE(rig.hits("hot", hot));
    lap(0.5);
    EXPECT_EQ(rig.hits("hot", hot), percent > 0) << percent;
    EXPECT_FALSE(rig.get("cold").hit);
    ASSERT_TRUE(rig.start());
    EXPECT_EQ(rig.hits("hot", hot), percent > 0) << percent;
  }
}

/// F.2 row 33: a get of a range keeps head and first fragment alive; the middle is overwritten.
TEST_F(EvacuationTest, AHeadWithoutItsMiddleIsAMiss) {
  rig.config.hit_evacuate_percent = 40;
  ASSERT_TRUE(rig.start());
  const Bytes large = fragments(1, 4);
  ASSERT_TRUE(rig.put("large", large));
  lap(0.75);
  ASSERT_TRUE(rig.get("large", {0, 100}).hit);
  lap(0.5);
  for (const bool restarted : {false, true}) {
    if (restarted) {
      ASSERT_TRUE(rig.start());
    }
    EXPECT_TRUE(rig.get("large", {0, 100}).hit);
    const std::uint64_t refused = rig.refused("fragment_required");
    EXPECT_FALSE(rig.get("large").hit);
    EXPECT_GT(rig.refused("fragment_required"), refused);
    EXPECT_FALSE(rig.get("large", {large.size() / 2, 100}).hit);
  }
}

/// The device refuses one write, each in turn, those with moved documents among them.
TEST(EvacuationCrash, NoRefusedWriteLosesWhatIsPinned) {
  constexpr std::uint64_t size = 256ULL << 10U;
  std::uint64_t refused = 0;
  for (std::uint64_t at = 14; at < 110; ++at) {
    CycloneRig rig(size);
    rig.config.pins = {"pin*"};
    ASSERT_TRUE(rig.start());
    ASSERT_TRUE(rig.put("pin/small", body(1, 2000)));
    ASSERT_TRUE(rig.put("pin/large", body(2, 30000)));
    rig.disk.cut_at = at;
    rig.disk.keep = at;
    for (std::uint64_t n = 0; n < 90; ++n) {
      if (!rig.put("k" + std::to_string(n % 7), body(n, 200 + mix(7, n) % 9000))) {
        ++refused;
        rig.disk.power_on();
      }
    }
    EXPECT_TRUE(rig.hits("pin/small", body(1, 2000))) << "refused: write " << at;
    EXPECT_TRUE(rig.hits("pin/large", body(2, 30000))) << "refused: write " << at;
  }
  EXPECT_GT(refused, 40U);
}

/// Cuts at every write of the laps in which pinned objects are moved: how many were lost.
int lost_over_all_cuts(const std::vector<std::string>& gates_off) {
  const auto history = [](CycloneRig& rig) {
    bool on = rig.start();
    on = on && rig.put("pin/small", body(1, 2000));
    on = on && rig.put("pin/large", body(2, 30000));
    for (std::uint64_t n = 0; n < 90 && on; ++n) {
      on = rig.put("k" + std::to_string(n % 7), body(100 + n, 200 + mix(7, n) % 9000)).has_value();
      if (on && n == 40) {
        on = rig.put("pin/small", body(3, 5000)).has_value();
      }
    }
  };
  const auto rig_of = [&gates_off] {
    auto rig = std::make_unique<CycloneRig>(256ULL << 10U);
    rig->config.pins = {"pin*"};
    rig->config.gates_off = gates_off;
    return rig;
  };
  const auto whole = rig_of();
  history(*whole);
  EXPECT_GT(whole->count("evacuated"), 5U);
  int lost = 0;
  for (std::uint64_t cut = 12; cut < whole->disk.writes; ++cut) {
    for (std::uint64_t keep = 0; keep < 5; ++keep) {
      const auto rig = rig_of();
      rig->disk.cut_at = cut;
      rig->disk.keep = cut * 5 + keep;
      history(*rig);
      rig->disk.power_on();
      EXPECT_TRUE(rig->start());
      // A put of several laps, so that what recovery left is moved again.
      for (std::uint64_t n = 0; n < 40; ++n) {
        EXPECT_TRUE(rig->put("more", body(n, 9000)));
      }
      const GetReply small = rig->get("pin/small");
      const bool right = small.body == body(1, 2000) || small.body == body(3, 5000);
      EXPECT_TRUE(!small.hit || right);
      lost += small.hit ? 0 : 1;
      lost += rig->hits("pin/large", body(2, 30000)) ? 0 : 1;
    }
  }
  return lost;
}

TEST(EvacuationCrash, NoCutLosesWhatIsPinned) {
  EXPECT_EQ(lost_over_all_cuts({}), 0);
  EXPECT_GT(lost_over_all_cuts({"evacuation_order"}), 0);
}

/// Everything moves about; after each step every row is used once, and what is there is right.
TEST(EvacuationCrash, NoRowIsUsedTwice) {
  for (std::uint64_t seed = 30; seed < 50; ++seed) {
    CycloneRig rig(disk_bytes);
    rig.config.hit_evacuate_percent = 40;
    rig.config.pins = {"k1"};
    Random random(seed);
    ASSERT_TRUE(rig.start());
    std::map<std::string, Bytes> newest;
    for (int step = 0; step < 150; ++step) {
      const std::string key = "k" + std::to_string(random.next() % 20);
      const std::uint64_t what = random.next() % 10;
      if (what < 5) {
        newest[key] = body(random.next(), random.next() % 50000);
        ASSERT_TRUE(rig.put(key, newest[key]));
      } else if (what < 8) {
        const GetReply reply = rig.get(key);
        EXPECT_TRUE(!reply.hit || reply.body == newest[key]);
      } else if (what < 9) {
        ASSERT_TRUE(rig.store->update_header(key, "x"));
      } else {
        ASSERT_TRUE(rig.start());
      }
      std::map<std::uint32_t, std::string> used;
      for (const EntryUse& entry : rig.store->inspect().entries) {
        for (const std::uint32_t unit : entry.units) {
          ASSERT_TRUE(used.emplace(unit, entry.key).second)
              << "seed " << seed << " step " << step << ": row " << unit << " of " << entry.key;
        }
      }
    }
  }
}

}  // namespace
}  // namespace engine::cyclone
