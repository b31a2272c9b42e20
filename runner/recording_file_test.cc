#include "runner/recording_file.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runner/prober.h"

namespace runner {
namespace {

namespace fs = std::filesystem;
constexpr std::uint64_t disk_bytes = 1 << 20;

class RecordingFile : public testing::Test {
 protected:
  RecordingFile() {
    std::string name = (fs::temp_directory_path() / "recording_file_test_XXXXXX").string();
    directory_ = mkdtemp(name.data());
    file_.config.target = "squid";
    file_.config.disk_bytes = disk_bytes;
    file_.profile = "ssd_4k_volatile";
    recording_.base.emplace_back(disk_bytes);
    recording_.log.add_mark("start 1");
    recording_.log.add_write(0, 8192, bytes("two"), false, 1);
  }
  ~RecordingFile() override { fs::remove_all(directory_); }

  static faultfs::ByteView bytes(std::string_view text) {
    return std::as_bytes(std::span(text.data(), text.size()));
  }

  fs::path directory_;
  CaseFile file_;
  scenarios::Recording recording_;
};

TEST_F(RecordingFile, ABlankDiskNeedsNoBase) {
  ASSERT_TRUE(pack_recording(recording_, directory_, file_));
  EXPECT_FALSE(file_.base_file.has_value());
  const auto loaded = load_recording(file_, directory_);
  ASSERT_TRUE(loaded.has_value()) << loaded.error().message;
  EXPECT_TRUE(loaded->log == recording_.log);
  EXPECT_TRUE(loaded->base.at(0).same_bytes(faultfs::Image(disk_bytes)));
}

TEST_F(RecordingFile, BodiesCostNextToNothing) {
  scenarios::Operation put;
  put.number = 1;
  put.key = 7;
  put.body_bytes = 600'000;
  recording_.history.operations = {put};
  const faultfs::Bytes body = scenarios::make_body(7, 1, put.body_bytes);
  for (std::uint64_t at = 0; at + 100'000 <= body.size(); at += 100'000) {
    recording_.log.add_write(0, at, faultfs::ByteView(body).subspan(at, 100'000), false, 2);
  }
  ASSERT_TRUE(pack_recording(recording_, directory_, file_));
  EXPECT_LT(fs::file_size(directory_ / log_file_name), 2000U);
  const auto loaded = load_recording(file_, directory_);
  ASSERT_TRUE(loaded.has_value()) << loaded.error().message;
  EXPECT_TRUE(loaded->log == recording_.log);
  // The bodies of another history are not those the log was written with.
  recording_.history.operations[0].key = 8;
  ASSERT_TRUE(write_text(directory_ / history_file_name, history_text(recording_.history)));
  const auto wrong = load_recording(file_, directory_);
  ASSERT_FALSE(wrong.has_value());
  EXPECT_THAT(wrong.error().message, testing::HasSubstr("belongs to another history"));
}

TEST_F(RecordingFile, ABaseIsKeptAsTheWritesThatMakeIt) {
  recording_.base.at(0).write(5000, bytes("here"));
  recording_.base.at(0).write(disk_bytes - 3, bytes("end"));
  ASSERT_TRUE(pack_recording(recording_, directory_, file_));
  EXPECT_EQ(file_.base_file, packed_base_name);
  EXPECT_LT(fs::file_size(directory_ / packed_base_name), 1000U);
  const auto loaded = load_recording(file_, directory_);
  ASSERT_TRUE(loaded.has_value()) << loaded.error().message;
  EXPECT_TRUE(loaded->base.at(0).same_bytes(recording_.base.at(0)));
}

TEST_F(RecordingFile, ABaseOfALargerDiskIsRefused) {
  recording_.base.at(0).write(disk_bytes - 3, bytes("end"));
  ASSERT_TRUE(pack_recording(recording_, directory_, file_));
  file_.config.disk_bytes = disk_bytes / 2;
  const auto loaded = load_recording(file_, directory_);
  ASSERT_FALSE(loaded.has_value());
  EXPECT_THAT(loaded.error().message,
              testing::HasSubstr("before.log is no base image of a disk of 524288 bytes"));
}

TEST_F(RecordingFile, ACutBaseIsRefused) {
  recording_.base.at(0).write(5000, bytes("here"));
  ASSERT_TRUE(pack_recording(recording_, directory_, file_));
  fs::resize_file(directory_ / packed_base_name, 20);
  const auto loaded = load_recording(file_, directory_);
  ASSERT_FALSE(loaded.has_value());
  EXPECT_THAT(loaded.error().message, testing::HasSubstr("before.log"));
}

TEST(RestartPoints, LieBeforeEachKillAndStop) {
  faultfs::WriteLog log;
  log.add_mark("start 1");
  log.add_mark("stop");
  log.add_mark("start 2");
  log.add_mark("put#1 k1 begin");
  log.add_mark("kill");
  const auto points = restart_points(log);
  ASSERT_EQ(points.size(), 2U);
  EXPECT_EQ(points[0].point.entry, 1U);
  EXPECT_EQ(points[1].point.entry, 4U);
  for (const auto& plan : points) {
    EXPECT_EQ(plan.point.kind, faultfs::CutKind::kill);
    EXPECT_TRUE(plan.fates.empty());
  }
}

}  // namespace
}  // namespace runner
