// Uploads that one life begins and the next one ends: what a handoff takes along.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "engine/cyclone/test_disk.h"

namespace engine::cyclone {
namespace {

/// An upload that is under way when the store is handed over.
struct Half {
  UploadId id = 0;
  std::string key;
  Bytes bytes;
  std::size_t sent = 0;
};

class ResumeTest : public ::testing::Test {
 protected:
  [[nodiscard]] Half begin(const std::string& key, std::uint64_t version, std::size_t bytes) {
    Half half{rig_.store->begin_put(key, "h", bytes).value(), key, body(version, bytes), bytes / 2};
    EXPECT_TRUE(rig_.store->append(half.id, std::span(half.bytes).first(half.sent)));
    return half;
  }
  [[nodiscard]] Status finish(const Half& half) {
    const Status done = rig_.store->append(half.id, std::span(half.bytes).subspan(half.sent));
    return done ? rig_.store->commit(half.id) : done;
  }
  /// As a handoff does it; the device may refuse.
  [[nodiscard]] Status hand_over() {
    const auto packed = rig_.store->pack_uploads();
    Status done = packed ? rig_.store->close() : tl::unexpected(packed.error());
    if (done && !rig_.start()) {
      return fail(Trouble::device, "it does not open");
    }
    return done ? rig_.store->resume(*packed) : done;
  }

  CycloneRig rig_;
};

TEST_F(ResumeTest, UploadsOfEverySizeGoOn) {
  ASSERT_TRUE(rig_.start());
  std::vector<Half> halves;
  for (const std::size_t bytes : {0U, 10U, 5000U, 9000U, 40000U, 100000U}) {
    halves.push_back(begin(fmt::format("k{}", bytes), bytes, bytes));
  }
  const Half given_up = begin("gone", 1, 20000);
  ASSERT_TRUE(hand_over());
  const UploadId next = rig_.store->begin_put("next", "h", 1).value();
  ASSERT_TRUE(rig_.store->abort(given_up.id));
  for (const Half& half : halves) {
    EXPECT_NE(half.id, next);
    ASSERT_TRUE(finish(half)) << half.key;
    EXPECT_TRUE(rig_.hits(half.key, half.bytes)) << half.key;
  }
  ASSERT_TRUE(rig_.start());  // behind a kill
  for (const Half& half : halves) {
    EXPECT_TRUE(rig_.hits(half.key, half.bytes)) << half.key;
  }
  EXPECT_FALSE(rig_.get("gone").hit);
}

TEST_F(ResumeTest, UploadsOfSeveralStripesGoOn) {
  rig_.config.division.stripes = 3;
  ASSERT_TRUE(rig_.start());
  std::vector<Half> halves;
  for (std::uint64_t n = 0; n < 9; ++n) {
    halves.push_back(begin(fmt::format("k{}", n), n, 9000));
  }
  for (int again = 0; again < 3; ++again) {
    ASSERT_TRUE(hand_over());
  }
  for (const Half& half : halves) {
    ASSERT_TRUE(finish(half));
    EXPECT_TRUE(rig_.hits(half.key, half.bytes)) << half.key;
  }
}

TEST_F(ResumeTest, AnUploadThatLostAPartIsNotTakenAlong) {
  ASSERT_TRUE(rig_.start());
  const Half half = begin("k", 1, 60000);
  rig_.disk.refuse_writes = {rig_.disk.writes};
  EXPECT_FALSE(rig_.put("other", body(2, 3000))) << "the write that would have had its fragments";
  ASSERT_TRUE(hand_over());
  EXPECT_EQ(finish(half).error().trouble, Trouble::gone);
  EXPECT_FALSE(rig_.get("k").hit);
}

TEST_F(ResumeTest, WhatCannotBeMadeDurableIsNotHandedOver) {
  ASSERT_TRUE(rig_.start());
  const Half half = begin("k", 1, 9000);
  ASSERT_TRUE(rig_.put("other", body(2, 3000)));
  rig_.disk.refuse_writes = {rig_.disk.writes};
  EXPECT_FALSE(rig_.store->pack_uploads());
  EXPECT_TRUE(finish(half)) << "the store is open as before";
  EXPECT_TRUE(rig_.hits("k", half.bytes) && rig_.hits("other", body(2, 3000)));
}

TEST_F(ResumeTest, WhatIsNotWholeIsRefused) {
  ASSERT_TRUE(rig_.start());
  static_cast<void>(begin("k", 1, 9000));
  static_cast<void>(begin("l", 1, 70000));
  const Bytes packed = rig_.store->pack_uploads().value();
  for (std::size_t bytes = 0; bytes < packed.size(); bytes += 1 + packed.size() / 200) {
    ASSERT_TRUE(rig_.start());
    EXPECT_FALSE(rig_.store->resume(std::span(packed).first(bytes))) << bytes;
  }
  ASSERT_TRUE(rig_.start());
  EXPECT_TRUE(rig_.store->resume(packed));
}

/// The power goes at every write of a handoff and of what comes behind it.
TEST_F(ResumeTest, ACutAnywhereLeavesTheOldVersionOrTheNewOne) {
  std::uint64_t cuts = 0, old = 0, renewed = 0;
  for (std::uint64_t at = 0;; ++at) {
    rig_ = CycloneRig();
    ASSERT_TRUE(rig_.start());
    for (std::uint64_t n = 0; n < 12; ++n) {
      ASSERT_TRUE(rig_.put(fmt::format("k{}", n), body(n, 900 * n)));
    }
    const Half half = begin("k7", 99, 30000);
    const std::uint64_t first = rig_.disk.writes;
    rig_.disk.cut_at = first + at / 5;
    rig_.disk.keep = at;
    Status done = hand_over();
    done = done ? finish(half) : done;
    done = done ? rig_.store->sync() : done;
    if (done) {
      EXPECT_GT(at / 5, 5U) << "a handoff and a sync write more than this";
      break;
    }
    ++cuts;
    rig_.disk.power_on();
    ASSERT_TRUE(rig_.start()) << at;
    for (std::uint64_t n = 0; n < 12; ++n) {
      const std::string key = fmt::format("k{}", n);
      const bool is_old = rig_.hits(key, body(n, 900 * n));
      const bool is_new = n == 7 && rig_.hits(key, half.bytes);
      EXPECT_TRUE(is_old || is_new) << key << " at " << at;
      old += n == 7 && is_old ? 1 : 0;
      renewed += is_new ? 1 : 0;
    }
  }
  EXPECT_GT(cuts, 25U);
  EXPECT_GT(old, 5U);
  EXPECT_GT(renewed, 2U);
}

}  // namespace
}  // namespace engine::cyclone
