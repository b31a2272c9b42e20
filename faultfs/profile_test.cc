#include "faultfs/profile.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace faultfs {
namespace {

using ::testing::HasSubstr;

TEST(Profile, EveryNamedProfileIsPossibleAndFound) {
  std::set<std::string> names;
  for (const DeviceProfile& profile : all_profiles()) {
    EXPECT_TRUE(check_profile(profile)) << profile.name;
    EXPECT_EQ(find_profile(profile.name).value().sector_bytes, profile.sector_bytes);
    names.insert(profile.name);
  }
  EXPECT_EQ(names.size(), 12U);
}

TEST(Profile, DishonestAreTheLyingAndThoseThatTakeOnePlaceForAnother) {
  std::set<std::string> dishonest;
  for (const DeviceProfile& profile : all_profiles()) {
    if (!profile.honest()) {
      dishonest.insert(profile.name);
    }
  }
  EXPECT_EQ(
      dishonest,
      (std::set<std::string>{
          "ssd_4k_lying_flush", "ssd_512_lying_flush", "ssd_4k_misdirecting", "ssd_4k_foreign"}));
}

TEST(Profile, AnUnknownNameIsRefusedWithTheAllowedOnes) {
  Result<DeviceProfile> found = find_profile("floppy");
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error().message, HasSubstr("\"floppy\""));
  for (const DeviceProfile& profile : all_profiles()) {
    EXPECT_THAT(found.error().message, HasSubstr(profile.name));
  }
}

TEST(Profile, RefusesImpossiblePromises) {
  DeviceProfile odd;
  odd.sector_bytes = 520;
  EXPECT_THAT(check_profile(odd).error().message, HasSubstr("520"));

  DeviceProfile small_unit;
  small_unit.atomic_write_bytes = 512;
  EXPECT_THAT(check_profile(small_unit).error().message, HasSubstr("512"));

  DeviceProfile large_unit;
  large_unit.atomic_write_bytes = 32768;
  EXPECT_THAT(check_profile(large_unit).error().message, HasSubstr("16384"));

  DeviceProfile tearing;
  tearing.atomic_write_bytes = 16384;
  tearing.tears_inside_sector = true;
  EXPECT_THAT(check_profile(tearing).error().message, HasSubstr("tears inside a sector"));
}

}  // namespace
}  // namespace faultfs
