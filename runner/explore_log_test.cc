// `powercut explore`: the log of a program that says "there are n records" and writes the n-th,
// with and without a flush between the two, and a shell that looks.

#include "runner/explore_log.h"

#include <unistd.h>

#include <fstream>
#include <sstream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "faultfs/disk_recording.h"

namespace runner {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class ExploreLog : public testing::Test {
 protected:
  ExploreLog() { fs::create_directories(here_); }
  ~ExploreLog() override { fs::remove_all(here_); }

  /// Three records of a sector, 'A', 'B', 'C', each counted in sector 0 as the same letter.
  void record(bool flush_between) const {
    faultfs::DiskRecording recording;
    recording.profile = faultfs::find_profile("ssd_512_volatile").value();
    recording.disks = {{"disk", 4096}};
    recording.base.emplace_back(4096);
    auto& log = recording.log;
    for (std::uint64_t number = 1; number <= 3; ++number) {
      const faultfs::Bytes sector(512, static_cast<std::byte>('@' + number));
      log.add_write(0, 512 * number, sector, false, log.size());
      if (flush_between) {
        log.add_flush(0, log.size());
      }
      log.add_write(0, 0, sector, false, log.size());
      log.add_flush(0, log.size());
    }
    ASSERT_TRUE(faultfs::save_recording(recording, here_ / "recording"));
  }

  struct Ended {
    int code;
    std::string out, error;
  };
  Ended explore(const std::string& command, const std::string& explorer = "exhaustive") {
    options_.recording = here_ / "recording";
    options_.check = command;
    options_.explorer = explorer;
    options_.out = here_ / "run";
    std::ostringstream out, error;
    const int code = explore_log(options_, out, error);
    return {code, out.str(), error.str()};
  }

  /// The letter of sector 0 must be at the head of its record, too.
  static constexpr const char* check =
      "n=$(head -c 1 {} | tr -d '\\0'); [ -z \"$n\" ] && exit 0; "
      "at=$(printf %d \"'$n\"); r=$(dd if={} bs=512 skip=$((at - 64)) count=1 2>/dev/null | "
      "head -c 1 | tr -d '\\0'); [ \"$n\" = \"$r\" ] || { echo \"record $n is not there\"; exit 1; "
      "}";

  ExploreLogOptions options_;
  fs::path here_ = fs::temp_directory_path() / fmt::format("powercut-explore-test-{}", getpid());
};

TEST_F(ExploreLog, AProgramThatFlushesTooLateIsCaughtShrunkAndKept) {
  record(false);
  const Ended ended = explore(check);
  EXPECT_EQ(ended.code, 1) << ended.error;
  EXPECT_THAT(ended.out, HasSubstr("record A is not there"));
  EXPECT_THAT(ended.out, HasSubstr("w0001  write disk 0x00000200 512   w0001     lost"));
  const fs::path kept = here_ / "run" / "0001" / "case-0001";
  for (const char* name : {"plan.txt", "trace.txt", "disk.img"}) {
    EXPECT_TRUE(fs::exists(kept / name)) << name;
  }
  options_.plan = kept / "plan.txt";
  const Ended again = explore(check);
  EXPECT_EQ(again.code, 1);
  EXPECT_THAT(again.out, HasSubstr("1 crash states of 9 log entries"));
}

TEST_F(ExploreLog, AProgramThatFlushesInTimeHoldsInEveryState) {
  record(true);
  for (const char* explorer : {"exhaustive", "bounded", "prefix", "random", "mixed", "kills"}) {
    options_.states_max = 60;
    const Ended ended = explore(check, explorer);
    EXPECT_EQ(ended.code, 0) << explorer << ended.out << ended.error;
    EXPECT_FALSE(fs::exists(here_ / "run"));
  }
}

TEST_F(ExploreLog, WhatACheckMaySay) {
  record(true);
  options_.states_max = 2;
  EXPECT_EQ(explore("exit 125 {}").code, 3);
  EXPECT_THAT(explore("exit 125 {}").out, HasSubstr("undecided 2"));
  EXPECT_THAT(explore("kill -SEGV $$ {}").out, HasSubstr("killed by signal 11"));
  options_.check_seconds = 0.2;
  EXPECT_THAT(explore("sleep 9; echo {}").out, HasSubstr("no end within 0.2 s"));
  const Ended flaky = explore(
      fmt::format("[ -e {0}/seen ] && exit 0; touch {0}/seen; echo {{}}; exit 1", here_.string()));
  EXPECT_EQ(flaky.code, 3) << flaky.out;
  EXPECT_THAT(flaky.out, HasSubstr("not when tried again"));
}

TEST_F(ExploreLog, WhatIsWrongIsSaid) {
  record(true);
  EXPECT_THAT(explore("true").error, HasSubstr("--check must hold {}"));
  EXPECT_THAT(explore("no-such-program {}").error, HasSubstr("--check cannot be run"));
  EXPECT_THAT(explore("true {}", "lazy").error, HasSubstr("allowed: kills, prefix"));
  EXPECT_THAT(explore("true {}", "clown").error, HasSubstr("\"clown\" is no explorer"));
  options_.plan = here_ / "none.txt";
  EXPECT_EQ(explore("true {}").code, 2);
  fs::remove_all(here_ / "recording");
  EXPECT_THAT(explore("true {}").error, HasSubstr("its first line must be"));
}

}  // namespace
}  // namespace runner
