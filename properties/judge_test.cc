#include "properties/judge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "properties/evidence_by_hand.h"

namespace properties {
namespace {

using scenarios::Piece;
using scenarios::Reading;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::uint64_t size = 65536;

struct JudgeOfRuns : ::testing::Test {
  Judgement judged() {
    const faultfs::CrashModel model(
        hand.recording().base, hand.recording().log, hand.recording().profile);
    return judge_run(hand.recording(), model, all_properties());
  }
  void read(const Reading& reading) {
    hand.recording().readings.push_back(reading);
    hand.recording().reading_at.push_back(hand.now());
  }
  EvidenceByHand hand;
};

TEST_F(JudgeOfRuns, ARangeIsNoPartialObject) {
  const auto put = hand.put(1, size);
  Reading range = hand.hit(put);
  range.offset_bytes = 100;
  range.served_bytes = 5000;
  range.pieces = {{100, 5100, Piece::Kind::body, 1, put}};
  read(range);
  read(hand.miss(1));
  EXPECT_EQ(judged().verdict, Verdict::holds);
}

TEST_F(JudgeOfRuns, AWrongAnswerInTheRun) {
  const auto old = hand.put(1, size);
  const auto fresh = hand.put(1, size);
  Reading mixed = hand.hit(old);
  mixed.pieces = {{0, 100, Piece::Kind::body, 1, old}, {100, size, Piece::Kind::body, 1, fresh}};
  read(mixed);
  EXPECT_THAT(violated(judged()), ElementsAre("no_hodgepodge"));
  EXPECT_EQ(violation(judged(), "no_hodgepodge").phase, "during the run");
}

TEST_F(JudgeOfRuns, AcknowledgedIsEnoughWhereNoPowerWent) {
  const auto old = hand.put(1, size);
  read(hand.hit(old));
  EXPECT_EQ(judged().verdict, Verdict::holds);
  hand.put(1, size);
  read(hand.hit(old));
  EXPECT_THAT(violated(judged()), ElementsAre("no_rollback"));
}

TEST_F(JudgeOfRuns, AfterAPowerCutOrderIsNotJudged) {
  const auto old = hand.put(1, size);
  hand.put(1, size);
  hand.power_cut();
  read(hand.hit(old));
  EXPECT_EQ(judged().verdict, Verdict::holds);
}

TEST_F(JudgeOfRuns, ADeathAndAFailedRestart) {
  hand.recording().trouble = "the store never became ready";
  EXPECT_THAT(violated(judged()), ElementsAre("recovery_ends"));
  EXPECT_EQ(violation(judged(), "recovery_ends").observed,
            "a restart failed: the store never became ready");
  hand.recording().death = scenarios::Death{6, 0, ""};
  EXPECT_THAT(violated(judged()), ElementsAre("process_survives"));
}

TEST(Judge, KeepsAnswersPerCrashPoint) {
  EvidenceByHand hand;
  const auto old = hand.put(1, size);
  hand.sync();
  const auto before_second = hand.now();
  const auto fresh = hand.put(1, size);
  hand.sync();
  const faultfs::CrashModel model(
      hand.recording().base, hand.recording().log, hand.recording().profile);
  Judge judge(hand.recording(), model, all_properties());
  scenarios::Examination late = hand.examination({hand.hit(old)});
  scenarios::Examination early = hand.examination({hand.hit(old)});
  early.point.entry = before_second;
  for (int round = 0; round < 3; ++round) {
    EXPECT_THAT(violated(judge.judge(late)), ElementsAre("no_rollback"));
    EXPECT_THAT(violated(judge.judge(early)), IsEmpty());
  }
  late.after_recovery = late.after_reopen = {hand.hit(fresh)};
  EXPECT_EQ(judge.judge(late).verdict, Verdict::holds);
}

TEST(Judge, SaysOnlyWhatIsClaimed) {
  EvidenceByHand hand;
  const auto put = hand.put(1, size);
  hand.purge(1);
  const faultfs::CrashModel model(
      hand.recording().base, hand.recording().log, hand.recording().profile);
  scenarios::TargetConfig squid;
  squid.preset = "squid";
  Judge judge(hand.recording(), model, claimed(squid, hand.recording().profile));
  EXPECT_EQ(judge.judge(hand.examination({hand.hit(put)})).verdict, Verdict::holds);
  // What only an order claim would forbid is among the allowed answers.
  Reading part = hand.hit(put);
  part.served_bytes = 5;
  const Judgement judgement = judge.judge(hand.examination({part}));
  EXPECT_EQ(violation(judgement, "no_partial_object").allowed, "miss | put#1");
}

}  // namespace
}  // namespace properties
