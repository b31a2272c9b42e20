// Each property once violated, and once in a near case where it holds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "properties/evidence_by_hand.h"

namespace properties {
namespace {

using scenarios::Piece;
using scenarios::Reading;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr scenarios::Key k1 = 1;
constexpr scenarios::Key k2 = 2;
constexpr std::uint64_t size = 65536;
constexpr std::uint64_t half = 32768;

struct Properties : ::testing::Test {
  EvidenceByHand hand;
};

/// The first half of one put, the second of another.
Reading halves(const Reading& whole, const Piece& first, const Piece& second) {
  Reading reading = whole;
  reading.pieces = {first, second};
  return reading;
}

TEST_F(Properties, AHodgepodgeOfTwoPuts) {
  const auto old = hand.put(k1, size);
  hand.sync();
  const auto fresh = hand.put(k1, size);
  const Reading mixed = halves(hand.hit(old),
                               {0, half, Piece::Kind::body, k1, old},
                               {half, size, Piece::Kind::body, k1, fresh});
  const Judgement judgement = hand.judge({mixed});
  EXPECT_EQ(judgement.verdict, Verdict::violated);
  EXPECT_THAT(violated(judgement), ElementsAre("no_hodgepodge"));
  const Violation found = violation(judgement, "no_hodgepodge");
  EXPECT_EQ(found.claim, "A hit returns the bytes of one PUT, whole.");
  EXPECT_EQ(found.observed, "GET k1 -> hit, 64K: [0, 32K) from put#1, [32K, 64K) from put#3");
  EXPECT_EQ(found.allowed, "miss | put#1 | put#3");
  EXPECT_EQ(found.phase, "after recovery");
  EXPECT_EQ(found.key, k1);

  EXPECT_THAT(violated(hand.judge({hand.hit(old)})), IsEmpty());
  EXPECT_THAT(violated(hand.judge({hand.hit(fresh)})), IsEmpty());
  EXPECT_THAT(violated(hand.judge({hand.miss(k1)})), IsEmpty());
}

TEST_F(Properties, AHeaderOverTheBodyOfAnotherPut) {
  const auto old = hand.put(k1, size);
  const auto fresh = hand.put(k1, size);
  Reading mixed = hand.hit(fresh);
  mixed.header = hand.hit(old).header;
  EXPECT_THAT(violated(hand.judge({mixed})), ElementsAre("no_hodgepodge"));
  EXPECT_EQ(violation(hand.judge({mixed}), "no_hodgepodge").observed,
            "GET k1 -> hit, 64K: [0, 64K) from put#2; header of put#1");
}

TEST_F(Properties, BytesInAnotherPlace) {
  const auto put = hand.put(k1, size);
  const Reading moved = halves(hand.hit(put),
                               {0, half, Piece::Kind::body, k1, put},
                               {half, size, Piece::Kind::displaced, k1, put});
  EXPECT_THAT(violated(hand.judge({moved})), ElementsAre("no_hodgepodge"));
}

TEST_F(Properties, TheHeaderOfAnUpdateBelongsToItsPut) {
  const auto old = hand.put(k1, size);
  const auto fresh = hand.put(k1, size);
  hand.sync();
  const auto update = hand.update(k1, fresh);
  Reading updated = hand.hit(fresh);
  updated.header->update = update;
  EXPECT_THAT(violated(hand.judge({updated})), IsEmpty());
  EXPECT_THAT(violated(hand.judge({hand.hit(fresh)})), IsEmpty());  // the update is not durable
  Reading wrong = hand.hit(old);
  wrong.header->update = update;
  EXPECT_THAT(violated(hand.judge({wrong})), ElementsAre("no_hodgepodge", "no_rollback"));
}

TEST_F(Properties, AfterAPowerCutAnUpdateMayMeetAnotherVersion) {
  const auto old = hand.put(k1, size);
  const auto fresh = hand.put(k1, size);
  hand.power_cut();
  const auto update = hand.update(k1, fresh);
  Reading met = hand.hit(old);
  met.header = scenarios::HeaderId{k1, fresh, update, size};
  EXPECT_THAT(violated(hand.judge({met})), IsEmpty());
}

TEST_F(Properties, BytesOfAnotherKey) {
  const auto mine = hand.put(k1, size);
  const auto other = hand.put(k2, size);
  const Reading mixed = halves(hand.hit(mine),
                               {0, half, Piece::Kind::body, k1, mine},
                               {half, size, Piece::Kind::body, k2, other});
  EXPECT_THAT(violated(hand.judge({mixed})), ElementsAre("no_foreign_bytes"));
  EXPECT_EQ(violation(hand.judge({mixed}), "no_foreign_bytes").observed,
            "GET k1 -> hit, 64K: [0, 32K) from put#1, [32K, 64K) from put#2 of k2");
}

TEST_F(Properties, TheHeaderOfAnotherKey) {
  const auto mine = hand.put(k1, size);
  const auto other = hand.put(k2, size);
  Reading wrong = hand.hit(mine);
  wrong.header = hand.hit(other).header;
  EXPECT_THAT(violated(hand.judge({wrong})), ElementsAre("no_foreign_bytes"));
}

TEST_F(Properties, APartOfAnObject) {
  const auto put = hand.put(k1, size);
  Reading part = hand.hit(put);
  part.pieces = {{0, half, Piece::Kind::body, k1, put}};
  part.served_bytes = half;
  part.claimed_bytes = half;
  EXPECT_THAT(violated(hand.judge({part})), ElementsAre("no_partial_object", "no_wrong_length"));
  Reading nothing = hand.hit(put);
  nothing.pieces.clear();
  nothing.served_bytes = 0;
  EXPECT_THAT(violated(hand.judge({nothing})), ElementsAre("no_partial_object", "no_wrong_length"));
}

TEST_F(Properties, AnAnswerThatIsBrokenOffIsNoHitOfAPartButMayLie) {
  const auto put = hand.put(k1, size);
  const auto other = hand.put(k2, size);
  Reading part = hand.hit(put);
  part.pieces = {{0, half, Piece::Kind::body, k1, put}};
  part.served_bytes = half;
  part.broken_off = true;
  EXPECT_THAT(violated(hand.judge({part})), IsEmpty());
  part.pieces = {{0, half, Piece::Kind::body, k2, other}};
  EXPECT_THAT(violated(hand.judge({part})), ElementsAre("no_foreign_bytes"));
}

TEST_F(Properties, AnEmptyObjectIsWhole) {
  const auto put = hand.put(k1, 0);
  EXPECT_THAT(violated(hand.judge({hand.hit(put)})), IsEmpty());
}

TEST_F(Properties, ALengthThatIsNotThePuts) {
  const auto put = hand.put(k1, size);
  Reading longer = hand.hit(put);
  longer.claimed_bytes = size + 1;
  EXPECT_THAT(violated(hand.judge({longer})), ElementsAre("no_wrong_length"));
  EXPECT_EQ(violation(hand.judge({longer}), "no_wrong_length").observed,
            "GET k1 -> hit, 64K of 65537 announced: [0, 64K) from put#1");
}

TEST_F(Properties, BytesNobodyWrote) {
  const auto put = hand.put(k1, size);
  const Reading hole = halves(hand.hit(put),
                              {0, half, Piece::Kind::body, k1, put},
                              {half, size, Piece::Kind::unwritten, 0, 0});
  EXPECT_THAT(violated(hand.judge({hole})), ElementsAre("no_unwritten_bytes"));
}

TEST_F(Properties, Garbage) {
  const auto put = hand.put(k1, size);
  const Reading noise = halves(hand.hit(put),
                               {0, half, Piece::Kind::body, k1, put},
                               {half, size, Piece::Kind::garbage, 0, 0});
  EXPECT_THAT(violated(hand.judge({noise})), ElementsAre("no_garbage"));
  Reading headless = hand.hit(put);
  headless.header.reset();
  EXPECT_THAT(violated(hand.judge({headless})), ElementsAre("no_garbage"));
  Reading unheard_of = hand.hit(put);
  unheard_of.pieces[0].put = 77;
  unheard_of.header->put = 77;
  EXPECT_THAT(violated(hand.judge({unheard_of})), ElementsAre("no_garbage"));
}

TEST_F(Properties, APutThatHadNotBegunIsNobodys) {
  hand.put(k1, size);
  const auto entry = hand.now();
  hand.put(k2, size);
  const auto later = hand.put(k1, size);
  scenarios::Examination seen = hand.examination({hand.hit(later)});
  seen.point.entry = entry;
  EXPECT_THAT(violated(hand.judge(seen)), ElementsAre("no_garbage"));
}

TEST_F(Properties, AnAbortedPut) {
  const auto aborted = hand.begin(k1, size);
  EXPECT_THAT(violated(hand.judge({hand.hit(aborted)})), IsEmpty());  // in flight, and whole
  hand.abort(aborted);
  const Judgement judgement = hand.judge({hand.hit(aborted)});
  EXPECT_THAT(violated(judgement), ElementsAre("no_unfinished_object"));
  EXPECT_EQ(violation(judgement, "no_unfinished_object").observed,
            "GET k1 -> hit, 64K: [0, 64K) from put#1; put#1 was given up by the client");
  EXPECT_EQ(violation(judgement, "no_unfinished_object").allowed, "miss");
}

TEST_F(Properties, APartOfAPutInFlight) {
  const auto open = hand.begin(k1, size);
  Reading part = hand.hit(open);
  part.pieces[0].end = half;
  part.served_bytes = half;
  EXPECT_THAT(violated(hand.judge({part})),
              ElementsAre("no_partial_object", "no_unfinished_object", "no_wrong_length"));
}

TEST_F(Properties, ARefusedPut) {
  const auto refused = hand.refused_put(k1, size);
  EXPECT_THAT(violated(hand.judge({hand.hit(refused)})), ElementsAre("no_unfinished_object"));
}

TEST_F(Properties, APurgedObjectComesBack) {
  const auto put = hand.put(k1, size);
  hand.sync();
  const auto before = hand.now();
  hand.purge(k1);
  const Judgement judgement = hand.judge({hand.hit(put)});
  EXPECT_THAT(violated(judgement), ElementsAre("purged_stays_purged"));
  EXPECT_EQ(violation(judgement, "purged_stays_purged").observed,
            "GET k1 -> hit, 64K: [0, 64K) from put#1; purged by purge#3");
  scenarios::Examination earlier = hand.examination({hand.hit(put)});
  earlier.point.entry = before + 1;  // the purge was in flight
  EXPECT_THAT(violated(hand.judge(earlier)), IsEmpty());
}

TEST_F(Properties, AReformattedObjectComesBack) {
  const auto put = hand.put(k1, size);
  hand.clear();
  const Judgement judgement = hand.judge({hand.hit(put)});
  EXPECT_THAT(violated(judgement), ElementsAre("purged_stays_purged"));
  EXPECT_THAT(violation(judgement, "purged_stays_purged").observed,
              ::testing::EndsWith("; cleared by clear#2"));
}

TEST_F(Properties, AnOlderVersionComesBack) {
  const auto old = hand.put(k1, size);
  hand.sync();
  hand.put(k1, size);
  EXPECT_THAT(violated(hand.judge({hand.hit(old)})), IsEmpty());  // the newer one may be lost
  hand.sync();
  const Judgement judgement = hand.judge({hand.hit(old)});
  EXPECT_THAT(violated(judgement), ElementsAre("no_rollback"));
  EXPECT_EQ(violation(judgement, "no_rollback").observed,
            "GET k1 -> hit, 64K: [0, 64K) from put#1; replaced by put#3, which was durable");
  EXPECT_EQ(violation(judgement, "no_rollback").allowed, "put#3");
}

TEST_F(Properties, AnOlderHeaderComesBack) {
  const auto put = hand.put(k1, size);
  const auto update = hand.update(k1, put);
  hand.sync();
  EXPECT_THAT(violated(hand.judge({hand.hit(put)})), ElementsAre("no_rollback"));
  Reading updated = hand.hit(put);
  updated.header->update = update;
  EXPECT_THAT(violated(hand.judge({updated})), IsEmpty());
}

TEST_F(Properties, ADurableObjectIsForgotten) {
  const auto put = hand.put(k1, size);
  EXPECT_THAT(violated(hand.judge({hand.miss(k1)})), IsEmpty());
  hand.sync();
  const Judgement judgement = hand.judge({hand.miss(k1)});
  EXPECT_THAT(violated(judgement), ElementsAre("recall_floor"));
  EXPECT_EQ(violation(judgement, "recall_floor").observed, "GET k1 -> miss");
  EXPECT_EQ(violation(judgement, "recall_floor").allowed, "put#1");
  EXPECT_THAT(violated(hand.judge({hand.hit(put)})), IsEmpty());
}

TEST_F(Properties, AFailedGetLeavesTheFloorUndecided) {
  hand.put(k1, size);
  hand.sync();
  Reading failed = hand.miss(k1);
  failed.kind = scenarios::GetReply::Kind::failed;
  failed.detail = "no answer in 5 s";
  const Judgement judgement = hand.judge({failed});
  EXPECT_EQ(judgement.verdict, Verdict::undecided);
  EXPECT_THAT(judgement.undecided, ElementsAre("recall_floor: a get failed: no answer in 5 s"));
}

TEST_F(Properties, TheSecondRestartTellsSomethingElse) {
  const auto old = hand.put(k1, size);
  hand.sync();
  const auto fresh = hand.put(k1, size);
  scenarios::Examination seen = hand.examination({hand.hit(old)});
  EXPECT_THAT(violated(hand.judge(seen)), IsEmpty());
  seen.after_reopen = {hand.hit(fresh)};
  const Judgement judgement = hand.judge(seen);
  EXPECT_THAT(violated(judgement), ElementsAre("recovery_stable"));
  const Violation found = violation(judgement, "recovery_stable");
  EXPECT_EQ(found.observed,
            "GET k1 -> hit, 64K: [0, 64K) from put#3; after recovery it was: hit, 64K: [0, 64K) "
            "from put#1");
  EXPECT_EQ(found.phase, "after reopen");
}

TEST_F(Properties, TrafficMayEvictButBringsNothingBack) {
  const auto put = hand.put(k1, size);
  scenarios::Examination seen = hand.examination({hand.hit(put)});
  seen.after_traffic = {hand.miss(k1)};
  EXPECT_THAT(violated(hand.judge(seen)), IsEmpty());
  seen = hand.examination({hand.miss(k1)});
  seen.after_traffic = {hand.hit(put)};
  EXPECT_THAT(violated(hand.judge(seen)), ElementsAre("recovery_stable"));
}

TEST_F(Properties, TheLastRestartTellsWhatTrafficLeft) {
  const auto put = hand.put(k1, size);
  scenarios::Examination seen = hand.examination({hand.hit(put)});
  seen.after_traffic = {hand.hit(put)};
  seen.after_last_restart = {hand.hit(put)};
  EXPECT_THAT(violated(hand.judge(seen)), IsEmpty());
  seen.after_last_restart = {hand.miss(k1)};
  EXPECT_THAT(violated(hand.judge(seen)), ElementsAre("recovery_stable"));
}

TEST_F(Properties, TrafficExtendsTheHistory) {
  const auto old = hand.put(k1, size);
  scenarios::Examination seen = hand.examination({hand.hit(old)});
  scenarios::Operation put;
  put.number = 10;
  put.key = k1;
  put.body_bytes = size;
  put.acknowledged = true;
  seen.traffic = {put};
  Reading fresh = hand.hit(old);
  fresh.header->put = 10;
  fresh.pieces[0].put = 10;
  seen.after_traffic = {fresh};
  seen.after_last_restart = {fresh};
  EXPECT_THAT(violated(hand.judge(seen)), IsEmpty());
  seen.after_last_restart = {hand.hit(old)};
  EXPECT_THAT(violated(hand.judge(seen)), ElementsAre("no_rollback", "recovery_stable"));
  seen.after_traffic = {hand.miss(k1)};
  seen.after_last_restart = {hand.miss(k1)};
  EXPECT_THAT(violated(hand.judge(seen)), ElementsAre("recall_floor"));
}

TEST_F(Properties, TrafficThatDoesNotFitMayEvict) {
  EvidenceByHand small("ssd_4k_volatile", 6);
  const auto put = small.put(k1, size);
  small.sync();
  scenarios::Examination seen = small.examination({small.hit(put)});
  scenarios::Operation more;
  more.number = 10;
  more.key = k2;
  more.body_bytes = 100;
  more.acknowledged = true;
  seen.traffic = {more};
  seen.after_traffic = {small.miss(k1)};
  EXPECT_THAT(violated(small.judge(seen)), ElementsAre("recall_floor"));
  seen.traffic[0].body_bytes = size;
  EXPECT_THAT(violated(small.judge(seen)), IsEmpty());
}

TEST_F(Properties, RecoveryThatDoesNotEnd) {
  const auto put = hand.put(k1, size);
  scenarios::Examination seen = hand.examination({hand.hit(put)});
  seen.recovery_ended = false;
  EXPECT_THAT(violated(hand.judge(seen)), ElementsAre("recovery_ends"));
  scenarios::Examination unready;
  unready.started = scenarios::Outcome::lost;
  unready.start_detail = "no answer in 10 s";
  const Judgement judgement = hand.judge(unready);
  EXPECT_THAT(violated(judgement), ElementsAre("recovery_ends"));
  EXPECT_EQ(violation(judgement, "recovery_ends").observed,
            "the cache does not answer: no answer in 10 s");
}

TEST_F(Properties, ADeathIsAVerdictOfItsOwn) {
  hand.put(k1, size);
  hand.sync();
  scenarios::Examination seen;
  seen.started = scenarios::Outcome::lost;
  seen.death = scenarios::Death{11, 0, "loading\nslot 12: bad pointer\n"};
  const Judgement judgement = hand.judge(seen);
  EXPECT_THAT(violated(judgement), ElementsAre("process_survives"));
  EXPECT_EQ(violation(judgement, "process_survives").observed,
            "the process died by signal 11; its last words: slot 12: bad pointer");
  EXPECT_EQ(violation(judgement, "process_survives").phase, "during recovery");
}

TEST_F(Properties, AKillBySomebodyElseIsUndecided) {
  hand.put(k1, size);
  scenarios::Examination seen;
  seen.started = scenarios::Outcome::lost;
  seen.death = scenarios::Death{9, 0, ""};
  const Judgement judgement = hand.judge(seen);
  EXPECT_THAT(violated(judgement), testing::IsEmpty());
  EXPECT_THAT(judgement.undecided, ElementsAre(testing::StartsWith("process_survives: ")));
}

struct SlotsConserved : Properties {
  std::vector<std::string> violated_with(const scenarios::Structure& shown) {
    const auto put = hand.put(k1, size);
    scenarios::Examination seen = hand.examination({hand.hit(put)});
    seen.structure = shown;
    const Judgement judgement = hand.judge(seen);
    observed = violation(judgement, "slots_conserved").observed;
    return violated(judgement);
  }
  scenarios::Structure structure{{{"k1", {2, 1}}, {"k2", {4}}}, {0, 3}, 5, 0, ""};
  std::string observed;
};

TEST_F(SlotsConserved, Sound) {
  EXPECT_THAT(violated_with(structure), IsEmpty());
  structure.unit_count = 7;
  structure.held_units = 2;
  EXPECT_THAT(violated_with(structure), IsEmpty());
}

TEST_F(SlotsConserved, ASlotInTwoChains) {
  structure.entries[1].units = {1};
  EXPECT_THAT(violated_with(structure), ElementsAre("slots_conserved"));
  EXPECT_EQ(observed, "slot 1 is in the chain of k1 and in the chain of k2");
}

TEST_F(SlotsConserved, ASlotFreeAndUsed) {
  structure.free_units = {0, 3, 4};
  EXPECT_THAT(violated_with(structure), ElementsAre("slots_conserved"));
  EXPECT_EQ(observed, "slot 4 is free and in the chain of k2");
}

TEST_F(SlotsConserved, ASlotLost) {
  structure.unit_count = 6;
  EXPECT_THAT(violated_with(structure), ElementsAre("slots_conserved"));
  EXPECT_EQ(observed, "2 free + 3 in chains + 0 held are not the store's 6 slots");
}

TEST_F(SlotsConserved, ASlotOutside) {
  structure.entries[1].units = {9};
  EXPECT_THAT(violated_with(structure), ElementsAre("slots_conserved"));
}

TEST_F(SlotsConserved, WhatTheStoreItselfFound) {
  structure.conservation_error = "unit 3 has no row";
  EXPECT_THAT(violated_with(structure), ElementsAre("slots_conserved"));
  EXPECT_EQ(observed, "unit 3 has no row");
}

TEST_F(SlotsConserved, AfterTraffic) {
  const auto put = hand.put(k1, size);
  scenarios::Examination seen = hand.examination({hand.hit(put)});
  seen.after_traffic = seen.after_recovery;
  EXPECT_THAT(violated(hand.judge(seen)), IsEmpty());
  seen.structure_after_traffic->free_units.push_back(1);
  EXPECT_EQ(violation(hand.judge(seen), "slots_conserved").phase, "after traffic");
  seen.structure_after_traffic.reset();
  EXPECT_THAT(hand.judge(seen).undecided,
              ElementsAre("slots_conserved: the target does not show its structure"));
}

TEST_F(Properties, AttachedItTellsSomethingElseThanTheDisk) {
  const auto old = hand.put(k1, size);
  const auto fresh = hand.put(k1, size);
  scenarios::Examination seen = hand.examination({hand.hit(old)});
  seen.after_reopen = {hand.hit(fresh)};
  EXPECT_THAT(violated(hand.judge(seen)), Not(Contains("attach_equals_rebuild")));
  seen.attached = true;
  EXPECT_THAT(violated(hand.judge(seen)), Contains("attach_equals_rebuild"));
  EXPECT_EQ(violation(hand.judge(seen), "attach_equals_rebuild").observed,
            "GET k1 -> hit, 64K: [0, 64K) from put#1; rebuilt from the disk it is: hit, 64K: [0, "
            "64K) from put#2");
  seen.after_recovery = seen.after_reopen;
  EXPECT_THAT(violated(hand.judge(seen)), Not(Contains("attach_equals_rebuild")));
  // A rebuild may forget.
  seen.after_reopen = {hand.miss(k1)};
  EXPECT_THAT(violated(hand.judge(seen)), Not(Contains("attach_equals_rebuild")));
}

}  // namespace
}  // namespace properties
