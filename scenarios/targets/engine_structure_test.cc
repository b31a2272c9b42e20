#include "scenarios/targets/engine_structure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace scenarios {
namespace {

using ::testing::HasSubstr;
using Kind = engine::UnitUse::Kind;

/// Five slots: k1 in 0 and 2, k2 in 1, slot 3 free, slot 4 in quarantine.
engine::Inspection sound() {
  engine::Inspection inspection;
  inspection.units = {
      {Kind::entry, 0}, {Kind::entry, 1}, {Kind::entry, 0}, {Kind::free, 0}, {Kind::quarantine, 0}};
  inspection.entries = {{"k1", 1, 20000, {0, 2}}, {"k2", 2, 100, {1}}};
  return inspection;
}

TEST(Structure, SoundTablesAreConserved) {
  const Structure structure = structure_of(sound());
  EXPECT_EQ(structure.conservation_error, "");
  EXPECT_EQ(structure.unit_count, 5U);
  EXPECT_EQ(structure.held_units, 1U);
  EXPECT_THAT(structure.free_units, ::testing::ElementsAre(3));
  EXPECT_EQ(structure.entries.size(), 2U);
}

TEST(Structure, EveryKindOfDoubleUseIsNamed) {
  engine::Inspection two_chains = sound();
  two_chains.entries[1].units = {1, 2};
  EXPECT_THAT(structure_of(two_chains).conservation_error, HasSubstr("slot 2 is in two places"));

  engine::Inspection freed = sound();
  freed.entries[1].units = {1, 3};
  EXPECT_THAT(structure_of(freed).conservation_error,
              HasSubstr("slot 3 is in the chain of k2 and is also free"));

  engine::Inspection lost = sound();
  lost.entries[0].units = {0};
  EXPECT_THAT(structure_of(lost).conservation_error,
              HasSubstr("slot 2 is booked for an entry and is in no chain"));

  engine::Inspection outside = sound();
  outside.entries[0].units = {0, 2, 9};
  EXPECT_THAT(structure_of(outside).conservation_error, HasSubstr("slot 9 of 5"));

  engine::Inspection foreign = sound();
  foreign.units[1].entry = 0;
  EXPECT_THAT(structure_of(foreign).conservation_error, HasSubstr("booked for another entry"));
}

/// k1 and k1|a share a head, which is in slot 0 and counted to the first of them.
TEST(Structure, ASharedHeadIsCountedOnceAndMustBeOfItsObject) {
  engine::Inspection shared = sound();
  shared.entries.push_back({"k1|a", 1, 7, {}, 0});
  EXPECT_EQ(structure_of(shared).conservation_error, "");

  engine::Inspection middle = shared;
  middle.entries[2].through = 2;
  EXPECT_THAT(structure_of(middle).conservation_error, HasSubstr("not the head of k1"));

  engine::Inspection others = shared;
  others.entries[2].through = 1;
  EXPECT_THAT(structure_of(others).conservation_error, HasSubstr("not the head of k2"));

  for (const std::uint32_t nowhere : {3U, 4U, 5U}) {
    engine::Inspection lost = shared;
    lost.entries[2].through = nowhere;
    EXPECT_THAT(structure_of(lost).conservation_error, HasSubstr("which is no alternate's"));
  }

  engine::Inspection twice = shared;
  twice.entries[2].units = {0};
  EXPECT_THAT(structure_of(twice).conservation_error, HasSubstr("slot 0 is in two places"));
}

}  // namespace
}  // namespace scenarios
