#include "properties/demand.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "properties/evidence_by_hand.h"
#include "scenarios/targets/log_geometry.h"

namespace properties {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::uint64_t two_units = 20000;

std::vector<scenarios::PutNumber> safe(EvidenceByHand& hand) {
  return puts_safe_from_eviction(hand.recording(),
                                 {faultfs::CutKind::power_cut, hand.now(), false});
}

TEST(Demand, WhatFitsIsSafe) {
  EvidenceByHand hand("ssd_4k_volatile", 4);
  const auto a = hand.put(1, two_units);
  const auto b = hand.put(2, two_units);
  EXPECT_THAT(safe(hand), ElementsAre(a, b));
}

TEST(Demand, OnceItExceededOnlyTheLastPutIsSafe) {
  EvidenceByHand hand("ssd_4k_volatile", 4);
  hand.put(1, two_units);
  hand.put(2, two_units);
  const auto c = hand.put(3, two_units);
  EXPECT_THAT(safe(hand), ElementsAre(c));
  hand.sync();
  hand.purge(1);
  EXPECT_THAT(safe(hand), ElementsAre(c));
  const auto d = hand.put(4, 100);
  EXPECT_THAT(safe(hand), ElementsAre(d));
}

/// An object has one home: what does not fit one disk is gone from that one alone.
TEST(Demand, EachDiskIsCountedByItself) {
  scenarios::TargetConfig two;
  two.disks = 2;
  std::array<std::vector<scenarios::Key>, 2> keys;
  for (scenarios::Key key = 1; keys[0].size() < 3 || keys[1].empty(); ++key) {
    keys.at(scenarios::disk_of(two, key)).push_back(key);
  }
  EvidenceByHand hand("ssd_4k_volatile", 8);
  hand.recording().config.disks = 2;
  const auto a = hand.put(keys[0][0], two_units);
  const auto b = hand.put(keys[0][1], two_units);
  const auto other = hand.put(keys[1][0], two_units);
  EXPECT_THAT(safe(hand), ElementsAre(a, b, other));
  const auto c = hand.put(keys[0][2], two_units);
  EXPECT_THAT(safe(hand), ElementsAre(other, c));
}

TEST(Demand, AnOverwriteCountsBothVersionsUntilItIsAcknowledged) {
  EvidenceByHand hand("ssd_4k_volatile", 5);
  const auto a = hand.put(1, two_units);
  const auto b = hand.put(2, two_units);
  EXPECT_THAT(safe(hand), ElementsAre(a, b));
  const auto second = hand.begin(2, two_units);
  EXPECT_THAT(safe(hand), IsEmpty());
  hand.finish(second);
  // Its end is the last moment of excess: it is safe, what was there before is not.
  EXPECT_THAT(safe(hand), ElementsAre(second));
  const auto c = hand.put(3, 100);
  EXPECT_THAT(safe(hand), ElementsAre(second, c));
}

// Found by a campaign: slots of 2K on sectors of 4K, and the loss of one destroyed its neighbour.
TEST(Demand, ANeighbourInTheSectorMayDestroyAUnit) {
  for (const auto* profile : {"ssd_4k_volatile", "ssd_4k_garbage", "ssd_4k_zeroing"}) {
    EvidenceByHand hand(profile, 64);
    hand.clear(2048);
    hand.put(1, 300);
    hand.put(2, 300);
    EXPECT_EQ(safe(hand).empty(), std::string_view(profile) != "ssd_4k_volatile") << profile;
    EvidenceByHand whole(profile, 64);
    whole.put(1, 300);
    EXPECT_EQ(safe(whole).size(), 1U) << profile;
  }
}

TEST(Demand, OpenUploadsCount) {
  EvidenceByHand hand("ssd_4k_volatile", 4);
  const auto open = hand.begin(1, two_units);
  hand.put(2, two_units);
  const auto more = hand.put(3, 100);
  EXPECT_THAT(safe(hand), IsEmpty());  // the open upload may still evict the last put
  hand.abort(open);
  EXPECT_THAT(safe(hand), IsEmpty());
  const auto last = hand.put(3, 100);
  EXPECT_THAT(safe(hand), ElementsAre(last));
  EXPECT_LT(more, last);
}

TEST(Demand, HeaderUpdatesTakeASpareUnit) {
  EvidenceByHand hand("ssd_4k_volatile", 4);
  const auto a = hand.put(1, two_units);
  const auto b = hand.put(2, 100);
  hand.update(1, a);
  EXPECT_THAT(safe(hand), ElementsAre(a, b));
  hand.update(1, a);
  EXPECT_THAT(safe(hand), IsEmpty());
}

TEST(Demand, APurgeMakesRoom) {
  EvidenceByHand hand("ssd_4k_volatile", 4);
  hand.put(1, two_units);
  const auto b = hand.put(2, two_units);
  hand.purge(1);
  const auto c = hand.put(3, two_units);
  EXPECT_THAT(safe(hand), ::testing::IsSupersetOf({b, c}));
}

TEST(Demand, APurgeOfEverythingMakesAllTheRoom) {
  EvidenceByHand hand("ssd_4k_volatile", 4);
  hand.put(1, two_units);
  hand.put(2, two_units);
  hand.purge_all();
  const auto c = hand.put(3, two_units);
  const auto d = hand.put(4, two_units);
  EXPECT_THAT(safe(hand), ::testing::IsSupersetOf({c, d}));
}

TEST(Demand, AfterAPowerCutAKeyMayHoldItsLargestVersion) {
  EvidenceByHand hand("ssd_4k_volatile", 4);
  hand.put(1, 3 * 16000);
  const auto small = hand.put(1, 100);
  hand.sync();
  EXPECT_THAT(safe(hand), ::testing::Contains(small));
  hand.power_cut();
  const auto next = hand.put(2, two_units);
  EXPECT_THAT(safe(hand), ElementsAre(next));  // 3 (or 4) + 2 units may not have fitted
}

TEST(Demand, AClearStartsOverWithAnotherUnit) {
  EvidenceByHand hand("ssd_4k_volatile", 4);
  hand.put(1, two_units);
  hand.clear(8192);  // 8 units of 8 KiB now
  const auto a = hand.put(1, two_units);
  const auto b = hand.put(2, two_units);
  EXPECT_THAT(safe(hand), ::testing::IsSupersetOf({a, b}));
  const auto c = hand.put(3, two_units);
  EXPECT_THAT(safe(hand), ElementsAre(c));
}

TEST(Demand, AnUnknownGeometryProtectsOnlyTheLastPut) {
  EvidenceByHand hand("ssd_4k_volatile", 0);
  hand.put(1, 100);
  const auto b = hand.put(2, 100);
  EXPECT_THAT(safe(hand), ElementsAre(b));
}

}  // namespace
}  // namespace properties
