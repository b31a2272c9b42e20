// The RAM-only store, the RAM cache and its two policies.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/memory/ram_cache.h"
#include "engine/memory/ram_store.h"

namespace engine::memory {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::byte> body(std::size_t size_bytes, int value) {
  return std::vector<std::byte>(size_bytes, static_cast<std::byte>(value));
}

Status put(Store& store, std::string_view key, std::span<const std::byte> bytes) {
  const auto upload = store.begin_put(key, "h", bytes.size());
  if (!upload) {
    return tl::unexpected(upload.error());
  }
  const Status done = store.append(*upload, bytes);
  return done ? store.commit(*upload) : done;
}

GetReply get(Store& store, std::string_view key, ByteRange range = {}) {
  GetReply reply;
  EXPECT_TRUE(store.get(key, range, reply));
  return reply;
}

std::unique_ptr<Store> ram_store(std::uint64_t capacity_bytes) {
  RamStoreConfig config;
  config.capacity_bytes = capacity_bytes;
  return std::move(*open_ram_store(config));
}

std::uint64_t counter(const Store& store, const char* name) {
  return store.stats().counters.at(name);
}

TEST(RamStore, KeepsUpdatesAndPurges) {
  const auto store = ram_store(1 << 20);
  EXPECT_FALSE(get(*store, "a").hit);
  ASSERT_TRUE(put(*store, "a", body(100, 1)));
  EXPECT_EQ(get(*store, "a").body, body(100, 1));
  EXPECT_EQ(get(*store, "a", {90, 50}).body, body(10, 1));
  EXPECT_EQ(get(*store, "a", {200, 50}).body_bytes, 100U);
  EXPECT_TRUE(*store->update_header("a", "newer"));
  EXPECT_EQ(get(*store, "a").header, "newer");
  EXPECT_FALSE(*store->update_header("b", "newer"));
  EXPECT_TRUE(*store->purge("a"));
  EXPECT_FALSE(*store->purge("a"));
  EXPECT_FALSE(get(*store, "a").hit);
  EXPECT_EQ(counter(*store, "used_bytes"), 0U);
}

TEST(RamStore, APurgeOfEverythingSparesUploads) {
  const auto store = ram_store(1 << 20);
  ASSERT_TRUE(put(*store, "a", body(100, 1)));
  ASSERT_TRUE(put(*store, "a|b", body(100, 2)));
  const auto upload = store->begin_put("c", "h", 50);
  ASSERT_TRUE(store->purge_all());
  EXPECT_FALSE(get(*store, "a").hit);
  EXPECT_FALSE(get(*store, "a|b").hit);
  ASSERT_TRUE(store->append(*upload, body(50, 3)) && store->commit(*upload));
  EXPECT_EQ(get(*store, "c").body, body(50, 3));
  ASSERT_TRUE(store->purge_all());
  EXPECT_EQ(counter(*store, "used_bytes"), 0U);
}

TEST(RamStore, OldVersionStaysUntilTheCommit) {
  const auto store = ram_store(1 << 20);
  ASSERT_TRUE(put(*store, "a", body(100, 1)));
  const auto upload = store->begin_put("a", "h", 50);
  ASSERT_TRUE(store->append(*upload, body(50, 2)));
  EXPECT_EQ(get(*store, "a").body, body(100, 1));
  EXPECT_EQ(store->begin_put("a", "h", 1).error().trouble, Trouble::busy);
  ASSERT_TRUE(store->commit(*upload));
  EXPECT_EQ(get(*store, "a").body, body(50, 2));
}

TEST(RamStore, RefusesInOneSentence) {
  const auto store = ram_store(4096);
  EXPECT_THAT(store->begin_put("", "", 1).error().message, HasSubstr("allowed: 1 to"));
  EXPECT_THAT(store->begin_put("k", std::string(5000, 'h'), 1).error().message,
              HasSubstr("a header of 5000 bytes"));
  EXPECT_EQ(store->begin_put("k", "", 5000).error().trouble, Trouble::full);
  EXPECT_EQ(store->begin_put("k", "", UINT64_MAX).error().trouble, Trouble::full);
  EXPECT_EQ(store->append(7, body(1, 1)).error().trouble, Trouble::gone);
  const auto upload = store->begin_put("k", "", 10);
  EXPECT_EQ(store->append(*upload, body(11, 1)).error().trouble, Trouble::invalid);
  EXPECT_EQ(store->commit(*upload).error().trouble, Trouble::invalid);
  EXPECT_TRUE(store->abort(*upload));
  EXPECT_TRUE(store->close());
  EXPECT_EQ(store->sync().error().trouble, Trouble::gone);
  GetReply reply;
  EXPECT_EQ(store->get("k", {}, reply).error().trouble, Trouble::gone);
  EXPECT_FALSE(open_ram_store({10, 10}));
}

TEST(RamStore, EvictsWhatWasUsedLongestAgo) {
  const auto store = ram_store(4 * (object_overhead_bytes + 2 + 1000));
  for (const char* key : {"a", "b", "c", "d"}) {
    ASSERT_TRUE(put(*store, key, body(1000, 1)));
  }
  EXPECT_TRUE(get(*store, "a").hit);
  ASSERT_TRUE(put(*store, "e", body(1000, 1)));
  EXPECT_FALSE(get(*store, "b").hit);
  EXPECT_TRUE(get(*store, "a").hit);
  EXPECT_EQ(counter(*store, "evictions"), 1U);
  ASSERT_TRUE(put(*store, "f", body(3000, 1)));
  EXPECT_EQ(store->inspect().entries.size(), 2U);
}

TEST(RamStore, UploadsAreNotEvicted) {
  const auto store = ram_store(2000);
  const auto upload = store->begin_put("a", "", 1500);
  ASSERT_TRUE(upload);
  EXPECT_EQ(store->begin_put("b", "", 1000).error().trouble, Trouble::full);
  ASSERT_TRUE(store->append(*upload, body(1500, 1)));
  ASSERT_TRUE(store->commit(*upload));
  EXPECT_EQ(store->update_header("a", std::string(600, 'x')).error().trouble, Trouble::full);
  EXPECT_TRUE(get(*store, "a").hit);
}

TEST(RamStore, ShowsEveryUnitOnce) {
  const auto store = ram_store(1 << 20);
  EXPECT_EQ(store->inspect().units.size(), 1U);
  ASSERT_TRUE(put(*store, "a", body(10, 1)));
  ASSERT_TRUE(store->begin_put("b", "", 10));
  const Inspection view = store->inspect();
  ASSERT_EQ(view.units.size(), 3U);
  EXPECT_EQ(view.units[0].kind, UnitUse::Kind::entry);
  EXPECT_EQ(view.units[1].kind, UnitUse::Kind::upload);
  EXPECT_THAT(view.entries[0].units, ElementsAre(0U));
}

TEST(Policies, LruLetsTheOldestGo) {
  const auto policy = make_lru(30);
  EXPECT_THAT(policy->insert("a", 10), IsEmpty());
  EXPECT_THAT(policy->insert("b", 10), IsEmpty());
  EXPECT_THAT(policy->insert("c", 10), IsEmpty());
  policy->hit("a");
  EXPECT_THAT(policy->insert("d", 20), ElementsAre("b", "c"));
  EXPECT_THAT(policy->insert("e", 31), ElementsAre("a", "d", "e"));
  EXPECT_EQ(policy->used_bytes(), 0U);
}

TEST(Policies, S3FifoPromotesWhatWasUsedTwice) {
  const auto policy = make_s3_fifo(100);
  for (const char* key : {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}) {
    EXPECT_THAT(policy->insert(key, 10), IsEmpty());
  }
  policy->hit("a");
  policy->hit("a");
  policy->hit("b");
  // a moves on to the main queue, b was used once only and goes.
  EXPECT_THAT(policy->insert("k", 10), ElementsAre("b"));
  EXPECT_THAT(policy->insert("l", 101), ElementsAre("l"));
  policy->erase("a");
  EXPECT_EQ(policy->used_bytes(), 90U);
}

TEST(Policies, S3FifoLetsWhatWentTooEarlyIntoTheMainQueue) {
  const auto policy = make_s3_fifo(1000);
  ASSERT_THAT(policy->insert("back", 100), IsEmpty());
  for (int n = 0; n < 9; ++n) {
    ASSERT_THAT(policy->insert(std::to_string(n), 100), IsEmpty());
  }
  EXPECT_THAT(policy->insert("one more", 100), ElementsAre("back"));
  // Known by name: it enters the main queue and outlives a scan.
  static_cast<void>(policy->insert("back", 100));
  for (int n = 0; n < 50; ++n) {
    for (const std::string& gone : policy->insert("scan" + std::to_string(n), 100)) {
      EXPECT_NE(gone, "back");
    }
  }
}

/// How many gets of a few popular keys hit while a scan goes on.
int popular_hits(std::unique_ptr<Policy> policy) {
  std::map<std::string, bool> in;
  const auto use = [&](const std::string& key) {
    if (in[key]) {
      policy->hit(key);
      return 1;
    }
    in[key] = true;
    for (const std::string& gone : policy->insert(key, 1000)) {
      in[gone] = false;
    }
    return 0;
  };
  int hits = 0;
  for (int n = 0; n < 4000; ++n) {
    // A popular key comes back after 40 other keys, twice what fits.
    hits += n % 5 == 0 ? use("popular" + std::to_string(n / 5 % 8)) : 0;
    static_cast<void>(use("scan" + std::to_string(n)));
  }
  return hits;
}

TEST(Policies, S3FifoStandsAScanThatEmptiesLru) {
  EXPECT_EQ(popular_hits(make_lru(20'000)), 0);
  EXPECT_GT(popular_hits(make_s3_fifo(20'000)), 700);
}

TEST(Policies, BadNameIsOneSentence) {
  EXPECT_THAT(make_policy("clock", 1).error().message, HasSubstr("allowed: lru, s3fifo"));
}

class RamCacheTest : public ::testing::TestWithParam<std::string> {
 protected:
  RamCacheTest() {
    RamCacheConfig config;
    config.capacity_bytes = 10'000;
    config.cutoff_bytes = 4000;
    config.policy = GetParam();
    store = std::move(*make_ram_cache(ram_store(1 << 20), config));
  }
  std::unique_ptr<Store> store;
};
INSTANTIATE_TEST_SUITE_P(All, RamCacheTest, ::testing::Values("lru", "s3fifo"));

TEST_P(RamCacheTest, AnswersForTheStore) {
  ASSERT_TRUE(put(*store, "a", body(1000, 1)));
  for (int n = 0; n < 3; ++n) {
    EXPECT_EQ(get(*store, "a").body, body(1000, 1));
  }
  EXPECT_EQ(get(*store, "a", {999, 9}).body, body(1, 1));
  EXPECT_EQ(counter(*store, "ram_hits"), 3U);
  EXPECT_EQ(counter(*store, "gets"), 1U);
}

TEST_P(RamCacheTest, IsNeverOlderThanTheStore) {
  ASSERT_TRUE(put(*store, "a", body(1000, 1)));
  get(*store, "a");
  const auto upload = store->begin_put("a", "h", 500);
  get(*store, "a");
  ASSERT_TRUE(store->append(*upload, body(500, 2)));
  ASSERT_TRUE(store->commit(*upload));
  EXPECT_EQ(get(*store, "a").body, body(500, 2));
  ASSERT_TRUE(store->update_header("a", "newer"));
  EXPECT_EQ(get(*store, "a").header, "newer");
  ASSERT_TRUE(store->purge("a"));
  EXPECT_FALSE(get(*store, "a").hit);
}

TEST_P(RamCacheTest, KeepsWithinItsRoomAndItsCutoff) {
  for (int n = 0; n < 30; ++n) {
    const std::string key = "k" + std::to_string(n);
    ASSERT_TRUE(put(*store, key, body(1000, n)));
    get(*store, key);
    EXPECT_LE(counter(*store, "ram_bytes"), 10'000U);
  }
  EXPECT_GT(counter(*store, "ram_evictions"), 15U);
  ASSERT_TRUE(put(*store, "large", body(4001, 1)));
  get(*store, "large");
  get(*store, "large");
  EXPECT_EQ(counter(*store, "ram_hits"), 0U);
  get(*store, "k29", {0, 10});
  EXPECT_TRUE(store->close());
}

}  // namespace
}  // namespace engine::memory
