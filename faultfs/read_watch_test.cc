#include "faultfs/read_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "faultfs/device.h"

namespace faultfs {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ReadWatchTest : public ::testing::Test {
 protected:
  void read(std::uint64_t offset_bytes, std::size_t size_bytes) {
    Bytes bytes(size_bytes);
    ASSERT_EQ(device_->read(device_->generation(), 0, offset_bytes, bytes), 0);
  }
  void write(std::uint64_t offset_bytes, std::size_t size_bytes) {
    ASSERT_EQ(device_->write(device_->generation(), 0, offset_bytes, Bytes(size_bytes), false), 0);
  }

  std::unique_ptr<Device> device_ =
      Device::create(find_profile("ssd_4k_volatile").value(), {{"a", 64_KiB}, {"b", 64_KiB}})
          .value();
};

TEST_F(ReadWatchTest, ReadsAreNotedOnceInTheOrderOfTheFirst) {
  device_->watch({{0, 1}, {0, 3}, {0, 7}, {1, 1}});
  read(3 * 4096 + 100, 1);
  read(0, 3 * 4096);
  read(3 * 4096, 4096);
  EXPECT_THAT(device_->watched_reads(), ElementsAre(SectorPlace{0, 3}, SectorPlace{0, 1}));
}

TEST_F(ReadWatchTest, WhatIsOverwrittenWholeBeforeAReadNoLongerMatters) {
  device_->watch({{0, 1}, {0, 2}, {0, 3}});
  write(4096, 4096 + 100);  // sector 1 whole, 2 in part
  ASSERT_EQ(device_->discard(device_->generation(), 0, 3 * 4096, 4096), 0);
  read(0, 8 * 4096);
  EXPECT_THAT(device_->watched_reads(), ElementsAre(SectorPlace{0, 2}));
}

TEST_F(ReadWatchTest, ArmingAgainForgetsAndAPowerOnDoesNot) {
  device_->watch({{0, 1}});
  device_->watch({{0, 2}});
  device_->power_on({Image(64_KiB), Image(64_KiB)});
  read(0, 64_KiB);
  EXPECT_THAT(device_->watched_reads(), ElementsAre(SectorPlace{0, 2}));
  device_->watch({});
  read(0, 64_KiB);
  EXPECT_THAT(device_->watched_reads(), IsEmpty());
}

TEST_F(ReadWatchTest, HolesSayNothingOfWhatIsWaitedFor) {
  const auto blank_until = [this](std::uint64_t offset_bytes) {
    std::uint64_t until = 0;
    EXPECT_EQ(device_->blank_until(device_->generation(), 0, offset_bytes, until), 0);
    return until;
  };
  EXPECT_EQ(blank_until(0), 64_KiB);
  device_->watch({{0, 3}, {1, 1}});
  EXPECT_EQ(blank_until(0), 3 * 4096);
  EXPECT_EQ(blank_until(3 * 4096 + 512), 3 * 4096 + 512);
  EXPECT_EQ(blank_until(4 * 4096), 64_KiB);
  EXPECT_THAT(device_->watched_reads(), IsEmpty());
  read(3 * 4096, 512);
  EXPECT_EQ(blank_until(0), 64_KiB);
}

TEST_F(ReadWatchTest, RefusedRequestsTouchNothing) {
  device_->watch({{0, 1}});
  device_->cut_now();
  Bytes bytes(4096);
  EXPECT_NE(device_->read(device_->generation(), 0, 4096, bytes), 0);
  EXPECT_THAT(device_->watched_reads(), IsEmpty());
}

}  // namespace
}  // namespace faultfs
