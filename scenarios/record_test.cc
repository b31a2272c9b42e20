#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scenarios/in_place_cache.h"
#include "scenarios/recording.h"

namespace scenarios {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<Command> commands(const std::vector<std::string>& lines) {
  std::vector<Command> parsed;
  for (const std::string& line : lines) {
    const auto command = parse_command(line);
    EXPECT_TRUE(command) << line;
    parsed.push_back(*command);
  }
  return parsed;
}

class Record : public ::testing::Test {
 protected:
  Record()
      : device_(make_device("ssd_4k_volatile")), rig_{*device_, {}, {}, -1}, cache_(*device_) {}

  static std::unique_ptr<faultfs::Device> make_device(const char* profile) {
    auto device = faultfs::Device::create(*faultfs::find_profile(profile),
                                          {{"disk", std::uint64_t{1} << 20U}});
    EXPECT_TRUE(device);
    return std::move(*device);
  }

  Recording recorded(const std::vector<std::string>& lines, std::uint64_t seed = 7) {
    auto recording = record(cache_, rig_, TargetConfig{}, seed, commands(lines));
    EXPECT_TRUE(recording) << recording.error().message;
    return std::move(*recording);
  }

  static std::vector<std::string> marks(const faultfs::WriteLog& log) {
    std::vector<std::string> texts;
    for (std::uint32_t entry = 1; entry <= log.size(); ++entry) {
      if (log.entry(entry).kind == faultfs::EntryKind::mark) {
        texts.emplace_back(log.mark_text(entry));
      }
    }
    return texts;
  }

  std::unique_ptr<faultfs::Device> device_;
  Rig rig_;
  InPlaceCache cache_;
};

TEST_F(Record, OperationsLieBetweenTheirMarks) {
  const Recording recording = recorded({"put k1 5000", "sync", "purge k1"});
  EXPECT_THAT(marks(recording.log),
              ElementsAre("start 1",
                          "ready 1",
                          "put#1 k1 begin",
                          "put#1 k1 done",
                          "sync#2 begin",
                          "sync#2 done",
                          "purge#3 k1 begin",
                          "purge#3 k1 done"));
  ASSERT_EQ(recording.history.operations.size(), 3U);
  const Operation& put = recording.history.operations[0];
  EXPECT_EQ(recording.log.mark_text(put.began + 1), "put#1 k1 begin");
  EXPECT_EQ(recording.log.mark_text(put.ended + 1), "put#1 k1 done");
  EXPECT_EQ(put.ended - put.began, 3U) << "its mark, its header, its body";
  EXPECT_TRUE(put.acknowledged);
  EXPECT_EQ(put.body_bytes, 5000U);
  EXPECT_TRUE(recording.trouble.empty());
  EXPECT_EQ(recording.history.unit_bytes, 16384U);
  EXPECT_EQ(recording.history.capacity_bytes, 63U * 16384);
}

TEST_F(Record, SlowPutsStayOpenUntilTheyEnd) {
  const Recording recording = recorded({"begin k1 5000 1000",
                                        "begin k2 3000 10",
                                        "more k1 500",
                                        "abort k2",
                                        "more k3 10",
                                        "finish k1",
                                        "finish k1",
                                        "begin k1 400 400",
                                        "put k1 600",
                                        "begin k4 100 50"});
  const auto& operations = recording.history.operations;
  ASSERT_EQ(operations.size(), 5U);
  EXPECT_TRUE(operations[0].acknowledged);
  EXPECT_TRUE(operations[1].aborted);
  EXPECT_FALSE(operations[1].acknowledged);
  EXPECT_NE(operations[1].ended, UINT32_MAX);
  EXPECT_TRUE(operations[2].aborted) << "a put on a key with an open upload gives that up";
  EXPECT_TRUE(operations[3].acknowledged);
  EXPECT_EQ(operations[4].ended, UINT32_MAX) << "never ended";
  EXPECT_FALSE(operations[4].acknowledged);
}

/// A cache behind a protocol in which the last byte of a body completes it.
class WholeAtLastByte : public InPlaceCache {
 public:
  using InPlaceCache::InPlaceCache;
  Traits traits() const override {
    Traits traits = InPlaceCache::traits();
    traits.whole_at_last_byte = true;
    return traits;
  }
};

TEST_F(Record, GivingUpAPutThatIsWholeSaysNothing) {
  const auto lines = commands({"begin k1 5000 5000", "abort k1", "begin k2 5000 4999", "abort k2"});
  WholeAtLastByte cache(*device_);
  const auto whole = record(cache, rig_, TargetConfig{}, 7, lines);
  ASSERT_TRUE(whole) << whole.error().message;
  EXPECT_FALSE(whole->history.operations[0].aborted);
  EXPECT_EQ(whole->history.operations[0].ended, UINT32_MAX) << "in flight for ever";
  EXPECT_TRUE(whole->history.operations[1].aborted) << "a byte was missing";
  const auto other = record(cache_, rig_, TargetConfig{}, 7, lines);
  ASSERT_TRUE(other) << other.error().message;
  EXPECT_TRUE(other->history.operations[0].aborted) << "here a put is whole when it is finished";
}

TEST_F(Record, ReadingsSayWhatWasServedAndWhen) {
  const Recording recording = recorded(
      {"get k1", "put k1 5000", "get k1", "get k1 100 200", "begin k1 5000 1000", "get k1"});
  ASSERT_EQ(recording.readings.size(), 4U);
  EXPECT_EQ(to_text(recording.readings[0]), "miss");
  EXPECT_EQ(to_text(recording.readings[1]), "hit 5000: [0, 5000) from put#1");
  EXPECT_EQ(to_text(recording.readings[2]), "hit 5000, 200 served from 100: [100, 300) from put#1");
  EXPECT_THAT(to_text(recording.readings[3]), HasSubstr("from put#2, "));
  EXPECT_THAT(to_text(recording.readings[3]), HasSubstr(", 5000) from put#1"));
  EXPECT_EQ(recording.reading_at[1], recording.history.operations[0].ended + 1);
}

TEST_F(Record, UpdatesNameThePutTheyFound) {
  const Recording recording =
      recorded({"update k1 0", "put k1 5000", "update k1 300", "update k1 0", "get k1"});
  const auto& operations = recording.history.operations;
  ASSERT_EQ(operations.size(), 3U) << "nothing to update before the put";
  EXPECT_EQ(operations[1].kind, OperationKind::update);
  EXPECT_EQ(operations[1].of_put, 1U);
  EXPECT_EQ(operations[1].header_bytes, 300U);
  EXPECT_EQ(recording.readings.back().header, (HeaderId{1, 1, 3, 5000}));
}

TEST_F(Record, RefusedPutsAreNotAcknowledged) {
  cache_.bad.full_beyond_bytes = 4000;
  const Recording recording =
      recorded({"put k1 5000", "put k2 3000", "begin k3 9000 100", "finish k3"});
  const auto& operations = recording.history.operations;
  ASSERT_EQ(operations.size(), 3U);
  EXPECT_FALSE(operations[0].acknowledged);
  EXPECT_NE(operations[0].ended, UINT32_MAX);
  EXPECT_TRUE(operations[1].acknowledged);
  EXPECT_FALSE(operations[2].acknowledged);
  EXPECT_THAT(marks(recording.log), ::testing::Contains("put#1 k1 refused"));
}

TEST_F(Record, KillAndStopKeepTheLogGoing) {
  const Recording recording =
      recorded({"put k1 5000", "kill", "begin k2 500 100", "stop", "more k2 10", "kill_sliced"});
  EXPECT_EQ(recording.history.segments, 1U);
  EXPECT_THAT(marks(recording.log),
              ElementsAre("start 1",
                          "ready 1",
                          "put#1 k1 begin",
                          "put#1 k1 done",
                          "kill",
                          "start 2",
                          "ready 2",
                          "put#2 k2 begin",
                          "stop",
                          "start 3",
                          "ready 3",
                          "kill",
                          "start 4",
                          "ready 4"));
  EXPECT_EQ(recording.history.operations[1].ended, UINT32_MAX) << "gone with its life";
}

TEST_F(Record, PowerCutBeginsASegment) {
  const Recording recording = recorded({"put k1 5000",
                                        "sync",
                                        "put k2 5000",
                                        "power_cut all_lost",
                                        "get k1",
                                        "get k2",
                                        "put k3 100"});
  EXPECT_EQ(recording.history.segments, 2U);
  ASSERT_EQ(recording.history.past.size(), 1U);
  EXPECT_FALSE(recording.history.past[0].cut.fates.empty());
  EXPECT_TRUE(recording.history.operations[0].durable_at_cut);
  EXPECT_FALSE(recording.history.operations[2].durable_at_cut);
  EXPECT_EQ(recording.history.operations[3].segment, 1U);
  EXPECT_EQ(to_text(recording.readings[0]), "hit 5000: [0, 5000) from put#1");
  EXPECT_EQ(to_text(recording.readings[1]), "miss");
  EXPECT_THAT(marks(recording.log),
              ElementsAre("start 2", "ready 2", "put#4 k3 begin", "put#4 k3 done"));
}

TEST_F(Record, PowerCutStylesAreFates) {
  const Recording kept = recorded({"put k1 5000", "power_cut all_kept", "get k1"});
  EXPECT_EQ(to_text(kept.readings[0]), "hit 5000: [0, 5000) from put#1");
  std::set<std::string> seen;
  for (int seed = 0; seed < 24; ++seed) {
    const Recording random = recorded({"put k1 9000",
                                       "sync",
                                       "put k1 9000",
                                       "power_cut random " + std::to_string(seed),
                                       "get k1"});
    seen.insert(to_text(random.readings[0]));
  }
  EXPECT_GT(seen.size(), 4U) << "all lost, all kept and mixtures";
}

TEST_F(Record, SeedsAreNeverUsedTwice) {
  recorded({"kill", "stop", "power_cut all_kept", "reformat 8K"});
  EXPECT_EQ(cache_.seeds.size(), 5U);
  EXPECT_EQ(std::set(cache_.seeds.begin(), cache_.seeds.end()).size(), 5U);
}

TEST_F(Record, ReformatIsAnOperation) {
  const Recording recording = recorded(
      {"put k1 100", "reformat 8K", "kill", "reformat 8K", "reformat 3000", "reformat 16K"});
  EXPECT_THAT(cache_.slot_sizes, ElementsAre(16384, 8192, 8192, 16384));
  const auto& operations = recording.history.operations;
  ASSERT_EQ(operations.size(), 3U) << "the same size clears nothing, 3000 is not allowed";
  EXPECT_EQ(operations[1].kind, OperationKind::clear);
  EXPECT_EQ(operations[1].body_bytes, 8192U);
  EXPECT_TRUE(operations[1].acknowledged);
}

TEST_F(Record, SameSeedSameLog) {
  const std::vector<std::string> lines = {"put k1 5000",
                                          "begin k2 9000 5000",
                                          "kill",
                                          "put k1 5000",
                                          "power_cut random 3",
                                          "update k1 300"};
  const Recording first = recorded(lines);
  const Recording second = recorded(lines);
  EXPECT_TRUE(first.log == second.log);
  EXPECT_EQ(first.readings, second.readings);
}

TEST_F(Record, DeathAndSilenceEndTheRecording) {
  cache_.bad.lost_after_puts = 1;
  const Recording recording = recorded({"put k1 100", "put k2 100", "put k3 100"});
  ASSERT_TRUE(recording.death);
  EXPECT_EQ(recording.death->signal, 11);
  EXPECT_THAT(recording.trouble, HasSubstr("put#2 k2: gone"));
  ASSERT_EQ(recording.history.operations.size(), 2U);
  EXPECT_EQ(recording.history.operations[1].ended, UINT32_MAX);

  cache_.bad = {};
  cache_.bad.never_ready = true;
  EXPECT_THAT(recorded({"put k1 100"}).trouble, HasSubstr("start 1 after blank disks: not ready"));
  cache_.bad = {};
  cache_.bad.rebuild_never_ends = true;
  EXPECT_THAT(recorded({"put k1 100"}).trouble, HasSubstr("the rebuild did not end"));
}

}  // namespace
}  // namespace scenarios
