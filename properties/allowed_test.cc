#include "properties/allowed.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "properties/evidence_by_hand.h"

namespace properties {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr scenarios::Key k1 = 1;
constexpr scenarios::Key k2 = 2;

std::vector<Version> ended_versions(const KeyAnswers& answers) {
  std::vector<Version> versions;
  for (const EndedVersion& ended : answers.ended) {
    versions.push_back(ended.version);
  }
  return versions;
}

TEST(Allowed, NothingWasPutNothingMayBeServed) {
  EvidenceByHand hand;
  hand.put(k1);
  EXPECT_THAT(hand.answers(k1, 0).may, ElementsAre(Version{1, 0}));  // in flight: it began at 0
  hand.put(k2);
  EXPECT_THAT(hand.answers(k2, 1).may, IsEmpty());
  EXPECT_EQ(hand.answers(k2, 1).must, 0U);
}

TEST(Allowed, APutInFlightMayBeThereOrNot) {
  EvidenceByHand hand;
  const auto put = hand.begin(k1);
  const KeyAnswers answers = hand.answers(k1);
  EXPECT_THAT(answers.may, ElementsAre(Version{put, 0}));
  EXPECT_THAT(answers.in_flight, ElementsAre(put));
  EXPECT_EQ(answers.must, 0U);
}

TEST(Allowed, AnAcknowledgedPutIsNotYetDurable) {
  EvidenceByHand hand;
  const auto put = hand.put(k1);
  EXPECT_EQ(hand.answers(k1).must, 0U);
  hand.sync();
  EXPECT_EQ(hand.answers(k1).must, put);
}

TEST(Allowed, AWriteThroughDeviceMakesItDurableAtOnce) {
  EvidenceByHand hand("disk_4k_write_through");
  const auto put = hand.put(k1);
  EXPECT_EQ(hand.answers(k1).must, put);
}

TEST(Allowed, ALyingFlushMakesNothingDurable) {
  EvidenceByHand hand("ssd_4k_lying_flush");
  hand.put(k1);
  hand.sync();
  EXPECT_EQ(hand.answers(k1).must, 0U);
}

TEST(Allowed, AKillLeavesEverythingAcknowledged) {
  EvidenceByHand hand;
  const auto first = hand.put(k1);
  const auto second = hand.put(k1);
  const KeyAnswers answers = hand.answers(k1, {}, faultfs::CutKind::kill);
  EXPECT_THAT(answers.may, ElementsAre(Version{second, 0}));
  EXPECT_THAT(ended_versions(answers), ElementsAre(Version{first, 0}));
  EXPECT_EQ(answers.must, second);
}

TEST(Allowed, VolatileVersionsAreAllPossible) {
  EvidenceByHand hand;
  const auto first = hand.put(k1);
  hand.sync();
  const auto second = hand.put(k1);
  const auto third = hand.put(k1);
  const KeyAnswers answers = hand.answers(k1);
  EXPECT_THAT(answers.may,
              UnorderedElementsAre(Version{first, 0}, Version{second, 0}, Version{third, 0}));
  EXPECT_THAT(answers.ended, IsEmpty());
  EXPECT_EQ(answers.must, 0U);
}

TEST(Allowed, ADurablePutEndsTheOlderOnes) {
  EvidenceByHand hand;
  const auto first = hand.put(k1);
  const auto second = hand.put(k1);
  hand.sync();
  const KeyAnswers answers = hand.answers(k1);
  EXPECT_THAT(answers.may, ElementsAre(Version{second, 0}));
  ASSERT_EQ(answers.ended.size(), 1U);
  EXPECT_EQ(answers.ended[0].version, (Version{first, 0}));
  EXPECT_EQ(answers.ended[0].by, second);
  EXPECT_EQ(answers.ended[0].how, scenarios::OperationKind::put);
}

TEST(Allowed, APurgeIsDurableWhenItIsAcknowledged) {
  EvidenceByHand hand;
  const auto put = hand.put(k1);
  const auto before = hand.now();
  const auto purge = hand.purge(k1);
  const KeyAnswers answers = hand.answers(k1);
  EXPECT_THAT(answers.may, IsEmpty());
  ASSERT_EQ(answers.ended.size(), 1U);
  EXPECT_EQ(answers.ended[0].version, (Version{put, 0}));
  EXPECT_EQ(answers.ended[0].by, purge);
  // One entry earlier it was in flight.
  EXPECT_THAT(hand.answers(k1, before + 1).may, ElementsAre(Version{put, 0}));
  EXPECT_EQ(hand.answers(k1, before + 1).must, 0U);
}

TEST(Allowed, InsideAnEntryItsOperationIsStillInFlight) {
  EvidenceByHand hand;
  const auto put = hand.put(k1);
  const auto purge = hand.purge(k1);
  const auto operation = hand.recording().history.operations[purge - 1];
  const faultfs::CrashPoint inside{faultfs::CutKind::power_cut, operation.ended, true};
  EXPECT_EQ(state_at(operation, inside, 0), OperationState::in_flight);
  EXPECT_EQ(state_at(hand.recording().history.operations[put - 1], inside, 0),
            OperationState::acknowledged);
}

TEST(Allowed, AClearEndsEveryKey) {
  EvidenceByHand hand;
  const auto a = hand.put(k1);
  const auto b = hand.put(k2);
  const auto open = hand.begin(k1);
  const auto clear = hand.clear();
  EXPECT_THAT(ended_versions(hand.answers(k1)),
              UnorderedElementsAre(Version{a, 0}, Version{open, 0}));
  EXPECT_THAT(ended_versions(hand.answers(k2)), ElementsAre(Version{b, 0}));
  EXPECT_EQ(hand.answers(k2).ended[0].by, clear);
}

/// In flight it may have reached any of the keys; an upload that was open goes on.
TEST(Allowed, APurgeOfEverythingIsAPurgeOfEachKey) {
  EvidenceByHand hand;
  const auto a = hand.put(k1);
  const auto b = hand.put(k2);
  hand.sync();
  EXPECT_EQ(hand.answers(k1).must, a);
  EXPECT_EQ(hand.answers(k2).must, b);
  const auto before = hand.now();
  const auto purge = hand.purge_all();
  for (const auto& [key, put] : {std::pair(k1, a), {k2, b}}) {
    EXPECT_THAT(hand.answers(key, before + 1).may, ElementsAre(Version{put, 0}));
    EXPECT_EQ(hand.answers(key, before + 1).must, 0U);
    const KeyAnswers answers = hand.answers(key);
    EXPECT_THAT(answers.may, IsEmpty());
    ASSERT_EQ(answers.ended.size(), 1U);
    EXPECT_EQ(answers.ended[0].by, purge);
    EXPECT_EQ(answers.ended[0].how, scenarios::OperationKind::purge_all);
  }
  const auto open = hand.begin(k1);
  hand.purge_all();
  EXPECT_THAT(hand.answers(k1).may, ElementsAre(Version{open, 0}));
}

TEST(Allowed, AnAbortedPutIsNoVersion) {
  EvidenceByHand hand;
  const auto first = hand.put(k1);
  hand.sync();
  const auto second = hand.begin(k1);
  const auto while_open = hand.now();
  hand.abort(second);
  EXPECT_THAT(hand.answers(k1, while_open).may,
              UnorderedElementsAre(Version{first, 0}, Version{second, 0}));
  const KeyAnswers answers = hand.answers(k1);
  EXPECT_THAT(answers.may, ElementsAre(Version{first, 0}));
  EXPECT_THAT(answers.given_up, ElementsAre(second));
}

TEST(Allowed, AnAbortProtectsTheOlderVersionAgainWhenItIsDurable) {
  EvidenceByHand hand;
  const auto first = hand.put(k1);
  hand.sync();
  const auto second = hand.begin(k1);
  EXPECT_EQ(hand.answers(k1).must, 0U);
  hand.abort(second);
  EXPECT_EQ(hand.answers(k1).must, 0U);
  hand.sync();
  EXPECT_EQ(hand.answers(k1).must, first);
}

TEST(Allowed, ARefusedPutIsNoVersion) {
  EvidenceByHand hand;
  const auto refused = hand.refused_put(k1);
  EXPECT_THAT(hand.answers(k1).may, IsEmpty());
  EXPECT_THAT(hand.answers(k1).given_up, ElementsAre(refused));
}

TEST(Allowed, AVolatileHeaderUpdateAllowsEitherHeader) {
  EvidenceByHand hand;
  const auto put = hand.put(k1);
  hand.sync();
  const auto update = hand.update(k1, put);
  KeyAnswers answers = hand.answers(k1);
  EXPECT_THAT(answers.may, UnorderedElementsAre(Version{put, 0}, Version{put, update}));
  EXPECT_EQ(answers.must, put);
  hand.sync();
  answers = hand.answers(k1);
  EXPECT_THAT(answers.may, ElementsAre(Version{put, update}));
  EXPECT_THAT(ended_versions(answers), ElementsAre(Version{put, 0}));
  EXPECT_EQ(answers.must, put);
}

TEST(Allowed, AHeaderUpdateGoesOntoWhateverMayBeThere) {
  EvidenceByHand hand;
  const auto first = hand.put(k1);
  hand.sync();
  const auto second = hand.put(k1);
  const auto update = hand.update(k1, second);
  EXPECT_THAT(
      hand.answers(k1).may,
      UnorderedElementsAre(
          Version{first, 0}, Version{second, 0}, Version{first, update}, Version{second, update}));
}

TEST(Allowed, AnUploadEndsWhenTheNextPutOfItsKeyBegins) {
  EvidenceByHand hand;
  const auto killed = hand.begin(k1);  // never ended: its process was killed
  EXPECT_THAT(hand.answers(k1).may, ElementsAre(Version{killed, 0}));
  const auto next = hand.put(k1);
  hand.sync();
  const KeyAnswers answers = hand.answers(k1);
  EXPECT_THAT(answers.may, ElementsAre(Version{next, 0}));
  EXPECT_THAT(ended_versions(answers), ElementsAre(Version{killed, 0}));
}

TEST(Allowed, AnUploadEndsWithItsProcess) {
  EvidenceByHand hand;
  const auto killed = hand.begin(k1);
  hand.kill();
  EXPECT_THAT(hand.answers(k1).may, ElementsAre(Version{killed, 0}));
  hand.purge(k1);
  EXPECT_THAT(hand.answers(k1).may, IsEmpty());
  EXPECT_THAT(ended_versions(hand.answers(k1)), ElementsAre(Version{killed, 0}));
}

TEST(Allowed, AnUploadOutlivesAPurgeOfTheOlderVersion) {
  EvidenceByHand hand;
  const auto old = hand.put(k1);
  const auto upload = hand.begin(k1);
  hand.purge(k1);
  EXPECT_THAT(hand.answers(k1).may, ElementsAre(Version{upload, 0}));
  EXPECT_THAT(ended_versions(hand.answers(k1)), ElementsAre(Version{old, 0}));
  hand.finish(upload);
  hand.sync();
  EXPECT_EQ(hand.answers(k1).must, upload);
}

TEST(Allowed, APowerCutInsideTheHistoryLeavesWhatWasAllowedThere) {
  EvidenceByHand hand;
  const auto first = hand.put(k1);
  hand.sync();
  const auto second = hand.put(k1);
  hand.power_cut();
  const KeyAnswers answers = hand.answers(k1);
  EXPECT_THAT(answers.may, UnorderedElementsAre(Version{first, 0}, Version{second, 0}));
  EXPECT_EQ(answers.must, 0U);
}

TEST(Allowed, WhatWasProtectedStaysProtectedAcrossAPowerCut) {
  EvidenceByHand hand;
  const auto put = hand.put(k1);
  hand.sync();
  hand.put(k2);
  hand.power_cut();
  EXPECT_EQ(hand.answers(k1).must, put);
  EXPECT_EQ(hand.answers(k2).must, 0U);
}

TEST(Allowed, OperationsAfterAPowerCutFoldOnTop) {
  EvidenceByHand hand;
  const auto first = hand.put(k1);
  const auto second = hand.put(k1);
  hand.power_cut();
  const auto update = hand.update(k1, second);
  EXPECT_THAT(
      hand.answers(k1).may,
      UnorderedElementsAre(
          Version{first, 0}, Version{second, 0}, Version{first, update}, Version{second, update}));
  const auto purge = hand.purge(k1);
  EXPECT_THAT(hand.answers(k1).may, IsEmpty());
  EXPECT_EQ(hand.answers(k1).ended.size(), 4U);
  EXPECT_EQ(hand.answers(k1).ended[0].by, purge);
}

TEST(Allowed, PositionsOfEarlierSegmentsAreNotThoseOfTheLast) {
  EvidenceByHand hand;
  hand.put(k2);
  const auto put = hand.put(k1);  // began at entry 2 of segment 0
  hand.power_cut();
  EXPECT_THAT(hand.answers(k1, 0).may, ElementsAre(Version{put, 0}));
}

TEST(Allowed, TrafficIsDurableWhenAcknowledged) {
  EvidenceByHand hand;
  const auto old = hand.put(k1);
  std::vector<KeyAnswers> answers = {hand.answers(k1)};
  scenarios::Operation put;
  put.number = 9;
  put.key = k1;
  put.acknowledged = true;
  fold_traffic(put, answers);
  EXPECT_THAT(answers[0].may, ElementsAre(Version{9, 0}));
  EXPECT_EQ(answers[0].ended[0].version, (Version{old, 0}));
  EXPECT_EQ(answers[0].must, 9U);
  put.number = 10;
  put.key = k2;
  put.acknowledged = false;
  fold_traffic(put, answers);
  ASSERT_EQ(answers.size(), 2U);
  EXPECT_THAT(answers[1].may, IsEmpty());
  EXPECT_THAT(answers[1].given_up, ElementsAre(10U));
}

}  // namespace
}  // namespace properties
