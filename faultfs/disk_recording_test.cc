#include "faultfs/disk_recording.h"

#include <unistd.h>

#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace faultfs {
namespace {

class DiskRecordingTest : public testing::Test {
 protected:
  DiskRecordingTest() {
    recording_.profile = find_profile("ssd_512_volatile").value();
    recording_.disks = {{"disk0", 64_KiB}, {"a b", 4096}};
    recording_.base = {Image(64_KiB), Image(4096)};
    recording_.base[1].write(512, Bytes(512, std::byte{7}));
    recording_.log.add_write(0, 512, Bytes(512, std::byte{1}), false, 0);
    recording_.log.add_mark("here");
    recording_.log.add_flush(0, 2);
  }
  ~DiskRecordingTest() override { std::filesystem::remove_all(directory_); }

  std::string error() const {
    auto loaded = load_recording(directory_);
    return loaded ? "loaded" : loaded.error().message;
  }

  DiskRecording recording_;
  std::filesystem::path directory_ =
      std::filesystem::temp_directory_path() / fmt::format("powercut-recording-{}", getpid());
};

TEST_F(DiskRecordingTest, IsReadAsItWasWritten) {
  ASSERT_TRUE(save_recording(recording_, directory_));
  EXPECT_FALSE(std::filesystem::exists(directory_ / "before-disk0.img")) << "it was blank";
  auto loaded = load_recording(directory_);
  ASSERT_TRUE(loaded) << loaded.error().message;
  EXPECT_EQ(loaded->profile.name, recording_.profile.name);
  ASSERT_EQ(loaded->disks.size(), 2U);
  EXPECT_EQ(loaded->disks[1].name, "a b");
  EXPECT_TRUE(loaded->base[0].same_bytes(recording_.base[0]));
  EXPECT_TRUE(loaded->base[1].same_bytes(recording_.base[1]));
  EXPECT_TRUE(loaded->log == recording_.log);
}

TEST_F(DiskRecordingTest, WhatDoesNotFitIsRefused) {
  EXPECT_NE(error().find("its first line must be \"recording 1\""), std::string::npos) << error();
  ASSERT_TRUE(save_recording(recording_, directory_));
  const auto facts = [this](std::string_view text) {
    std::ofstream(directory_ / "recording.txt", std::ios::trunc) << "recording 1\n" << text;
  };
  facts("profile floppy\n");
  EXPECT_NE(error().find("floppy"), std::string::npos) << error();
  facts("profile ssd_512_volatile\ndisk disk0 100\n");
  EXPECT_NE(error().find("disk \"disk0\": 100 bytes are no size"), std::string::npos) << error();
  facts("profile ssd_512_volatile\ndisk disk0 512\n");
  EXPECT_NE(error().find("w0001 lies outside of the disks"), std::string::npos) << error();
  facts("nonsense\n");
  EXPECT_NE(error().find("\"nonsense\" is not known; allowed: profile NAME"), std::string::npos);
}

}  // namespace
}  // namespace faultfs
