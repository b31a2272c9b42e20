#include <cstdlib>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "faultfs/base/random.h"
#include "scenarios/in_place_cache.h"
#include "scenarios/plain_disk.h"
#include "scenarios/recording.h"

namespace scenarios {
namespace {

using ::testing::HasSubstr;

class Examine : public ::testing::Test {
 protected:
  Examine() : device_(make_device()), rig_{*device_, {}, {}, -1}, cache_(*device_) {}

  static std::unique_ptr<faultfs::Device> make_device() {
    auto device = faultfs::Device::create(*faultfs::find_profile("ssd_4k_volatile"),
                                          {{"disk", std::uint64_t{16} << 20U}});
    EXPECT_TRUE(device);
    return std::move(*device);
  }

  void record_lines(const std::vector<std::string>& lines) {
    std::vector<Command> commands;
    for (const std::string& line : lines) {
      commands.push_back(*parse_command(line));
    }
    auto recording = record(cache_, rig_, TargetConfig{}, 7, commands);
    ASSERT_TRUE(recording) << recording.error().message;
    recording_ = std::move(*recording);
  }

  Examination examined(const faultfs::CrashPlan& plan, const ExamineOptions& options = {}) {
    faultfs::CrashModel model(recording_.base, recording_.log, recording_.profile);
    EXPECT_TRUE(model.check(plan));
    auto seen = examine(cache_, rig_, recording_, plan.point, model.build(plan), options);
    EXPECT_TRUE(seen) << seen.error().message;
    return std::move(*seen);
  }

  [[nodiscard]] faultfs::CrashPlan everything_kept() const {
    return {{faultfs::CutKind::power_cut, recording_.log.size(), false}, {}};
  }

  std::unique_ptr<faultfs::Device> device_;
  Rig rig_;
  InPlaceCache cache_;
  Recording recording_;
};

TEST_F(Examine, AsksForEveryKeyInEveryPhase) {
  record_lines({"put k1 5000", "purge k4", "put k2 100", "sync"});
  const Examination seen = examined(everything_kept());
  EXPECT_EQ(seen.started, Outcome::done);
  EXPECT_TRUE(seen.recovery_ended);
  ASSERT_EQ(seen.after_recovery.size(), 3U);
  EXPECT_EQ(to_text(seen.after_recovery[0]), "hit 5000: [0, 5000) from put#1");
  EXPECT_EQ(to_text(seen.after_recovery[1]), "hit 100: [0, 100) from put#3");
  EXPECT_EQ(to_text(seen.after_recovery[2]), "miss");
  EXPECT_EQ(seen.after_recovery, seen.after_reopen);
  EXPECT_TRUE(seen.structure);
  EXPECT_TRUE(seen.structure_after_traffic);
  EXPECT_GE(seen.traffic.size(), 3U);
  EXPECT_GT(seen.after_traffic.size(), 3U) << "the keys of the traffic too";
  EXPECT_EQ(seen.after_traffic, seen.after_last_restart);
  ASSERT_EQ(seen.gate_refusals.size(), 1U);
  EXPECT_EQ(seen.gate_refusals[0].second, 3U) << "one for each life";
}

TEST_F(Examine, TrafficGoesOnWithTheNumbersOfTheHistory) {
  record_lines({"put k1 5000", "put k1 6000"});
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    ExamineOptions options;
    options.seed = seed;
    const Examination seen = examined(everything_kept(), options);
    std::uint32_t number = 2;
    for (const Operation& operation : seen.traffic) {
      EXPECT_EQ(operation.number, ++number);
      EXPECT_TRUE(operation.acknowledged);
    }
    // The last put of each key is what is read.
    for (const Operation& operation : seen.traffic) {
      if (operation.key == 1 && operation.kind == OperationKind::put) {
        EXPECT_EQ(seen.after_traffic[0].header->put, operation.number);
      }
    }
    EXPECT_EQ(seen.traffic.size() > 8, seed == 7) << "one script wraps the store";
  }
}

TEST_F(Examine, SeesTheHodgepodgeOfABadCache) {
  record_lines({"put k1 16384", "sync", "put k1 16384"});
  // The last write is the second body; its first two sectors reach the medium.
  const std::uint32_t body = recording_.history.operations[2].ended;
  faultfs::CrashPlan plan = everything_kept();
  plan.fates = {{body, faultfs::FateKind::torn, {0, 1}, 0, 0}};
  const Examination seen = examined(plan);
  EXPECT_THAT(to_text(seen.after_recovery[0]), HasSubstr("from put#3, "));
  EXPECT_THAT(to_text(seen.after_recovery[0]), HasSubstr("16K) from put#1"));
  EXPECT_EQ(seen.after_recovery[0].pieces.size(), 2U);
}

TEST_F(Examine, LeavesOutWhatItIsNotAskedFor) {
  record_lines({"put k1 5000"});
  ExamineOptions options;
  options.reopen = options.traffic = false;
  const Examination seen = examined(everything_kept(), options);
  EXPECT_EQ(seen.after_recovery.size(), 1U);
  EXPECT_TRUE(seen.after_reopen.empty() && seen.after_traffic.empty());
  EXPECT_TRUE(seen.traffic.empty() && seen.after_last_restart.empty());
}

TEST(PlainDisk, HoldsTheImageWhateverItHeld) {
  const std::uint64_t size_bytes = 512 * 1024;
  std::string directory = (std::filesystem::temp_directory_path() / "plain_XXXXXX").string();
  ASSERT_NE(mkdtemp(directory.data()), nullptr);
  const std::filesystem::path file = std::filesystem::path(directory) / "disk";
  {
    auto disk = PlainDisk::create(file, size_bytes);
    ASSERT_TRUE(disk.has_value()) << disk.error().message;
    faultfs::Image image(size_bytes);
    (*disk)->put(image);
    faultfs::Random random(1);
    for (int round = 0; round < 20; ++round) {
      // A cache scribbles on it; then another state is wanted.
      const faultfs::Bytes noise(5000, static_cast<std::byte>(round + 1));
      std::fstream scribble(file, std::ios::in | std::ios::out | std::ios::binary);
      scribble.seekp(static_cast<std::streamoff>(random.below(size_bytes - noise.size())));
      const void* raw = noise.data();
      scribble.write(static_cast<const char*>(raw), static_cast<std::streamsize>(noise.size()));
      scribble.close();
      if (round % 5 == 4) {
        image.write_zeros(0, size_bytes);
      }
      image.write(random.below(size_bytes - noise.size()), noise);
      (*disk)->put(image);
      const auto there = faultfs::Image::load(file);
      ASSERT_TRUE(there.has_value()) << there.error().message;
      EXPECT_TRUE(there->same_bytes(image)) << round;
    }
  }
  EXPECT_FALSE(std::filesystem::exists(file));
  std::filesystem::remove(directory);
  EXPECT_FALSE(PlainDisk::create(file, size_bytes).has_value());
}

TEST_F(Examine, NothingIsLogged) {
  record_lines({"put k1 5000"});
  examined(everything_kept());
  EXPECT_EQ(device_->log_size(), 0U);
  record_lines({"put k1 5000"});
  EXPECT_GT(recording_.log.size(), 4U) << "the next recording is";
}

TEST_F(Examine, TellsDeathSilenceAndEndlessRecovery) {
  record_lines({"put k1 5000"});
  cache_.bad.dies_at_start = true;
  Examination seen = examined(everything_kept());
  EXPECT_EQ(seen.started, Outcome::lost);
  ASSERT_TRUE(seen.death);
  EXPECT_EQ(seen.death->log_tail, "last words");
  EXPECT_TRUE(seen.after_recovery.empty());

  cache_.bad = {};
  cache_.bad.never_ready = true;
  seen = examined(everything_kept());
  EXPECT_EQ(seen.started, Outcome::lost);
  EXPECT_EQ(seen.start_detail, "start after the crash: not ready");
  EXPECT_FALSE(seen.death);

  cache_.bad = {};
  cache_.bad.rebuild_never_ends = true;
  seen = examined(everything_kept());
  EXPECT_EQ(seen.started, Outcome::done);
  EXPECT_FALSE(seen.recovery_ended);

  cache_.bad = {};
  cache_.bad.lost_after_puts = 1;
  seen = examined(everything_kept());
  EXPECT_EQ(seen.started, Outcome::lost);
  EXPECT_THAT(seen.start_detail, HasSubstr("after recovery"));
  EXPECT_TRUE(seen.death);
}

TEST_F(Examine, RestartsWithTheSlotSizeOfThatMoment) {
  record_lines({"put k1 100", "reformat 8K", "put k2 100"});
  const Operation& clear = recording_.history.operations[1];
  const auto slot_at = [&](std::uint32_t entry) {
    cache_.slot_sizes.clear();
    examined({{faultfs::CutKind::kill, entry, false}, {}});
    return cache_.slot_sizes.at(0);
  };
  EXPECT_EQ(slot_at(clear.began), 16384U);
  EXPECT_EQ(slot_at(clear.began + 1), 8192U);
  EXPECT_EQ(slot_at(recording_.log.size()), 8192U);
}

}  // namespace
}  // namespace scenarios
