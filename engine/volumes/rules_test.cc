// Keys, hosting rules and the choice of a stripe: what follows from a URL.

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/volumes/assignment.h"
#include "engine/volumes/hosting.h"
#include "engine/volumes/key_policy.h"

namespace engine::volumes {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char* original = "http://www.example.com/a";
constexpr const char* mapped = "http://origin.example.net/a";

std::string key(const KeyPolicy& policy) {
  RequestKey request(policy, original, mapped);
  return *request.key();
}

TEST(KeyPolicy, ModeIsPartOfTheIdentity) {
  EXPECT_EQ(key({KeyMode::original, {}}), "original http://www.example.com/a");
  EXPECT_EQ(key({KeyMode::mapped, {}}), "mapped http://origin.example.net/a");
  RequestKey same({KeyMode::mapped, {}}, original, original);
  EXPECT_NE(*same.key(), key({KeyMode::original, {}}));
  EXPECT_NE(key({KeyMode::original, 1}), key({KeyMode::original, 2}));
  EXPECT_NE(key({KeyMode::original, 1}), key({KeyMode::original, {}}));
}

TEST(KeyPolicy, SuppliedKeyIsSetOnceBeforeItIsUsed) {
  RequestKey request({}, original, mapped);
  EXPECT_THAT(request.supply("no url").error().message, HasSubstr("allowed: scheme://host/path"));
  EXPECT_TRUE(request.supply("cache://variant/1"));
  EXPECT_THAT(request.supply("cache://variant/2").error().message, HasSubstr("set once"));
  EXPECT_EQ(*request.key(), "supplied cache://variant/1");
  EXPECT_EQ(*request.key(), *request.key());
  EXPECT_EQ(request.hosting_url(), "cache://variant/1");
  RequestKey used({}, original, mapped);
  EXPECT_TRUE(used.key());
  EXPECT_FALSE(used.supply("cache://variant/1"));
}

TEST(KeyPolicy, SuppliedKeyIsNeverTheKeyOfAnUrl) {
  RequestKey request({}, "http://other/", "http://other/");
  ASSERT_TRUE(request.supply(original));
  EXPECT_NE(*request.key(), key({KeyMode::original, {}}));
}

TEST(KeyPolicy, UrlsByTheirSyntax) {
  for (const char* url : {original, "s3+x://bucket", "http://user@h:80/", "http://[::1]:80/x"}) {
    EXPECT_TRUE(is_url(url)) << url;
  }
  for (const char* text : {"", "a", "://h/", "http://", "http:///a", "http://a b/", "1x://h/"}) {
    EXPECT_FALSE(is_url(text)) << text;
  }
  EXPECT_EQ(host_of("http://user@WWW.Example.com:80/a"), "www.example.com");
  EXPECT_EQ(host_of("http://[::1]:80/x"), "[::1]");
  EXPECT_EQ(path_of("http://h/a/b?c"), "/a/b?c");
  EXPECT_EQ(path_of("http://h"), "/");
  EXPECT_THAT(find_key_mode("both").error().message, HasSubstr("allowed: original, mapped"));
  EXPECT_FALSE(RequestKey({}, "x", "y").key());
}

TEST(Hosting, LongestPrefixThenHostThenLongestDomain) {
  const auto rules = Hosting::parse(
      "# where things live\n"
      "hostname=*                           volume=1\n"
      "domain=example.com                   volume=2   # and below\n"
      "domain=img.example.com               volume=3\n"
      "hostname=WWW.example.com             volume=4\n"
      "prefix=http://www.example.com/v/     volume=5\n"
      "prefix=http://www.example.com/v/new/ volume=6\n");
  ASSERT_TRUE(rules) << rules.error().message;
  const std::vector<std::pair<const char*, int>> cases = {{"http://elsewhere.org/", 1},
                                                          {"http://example.com/", 2},
                                                          {"http://a.example.com/", 2},
                                                          {"http://notexample.com/", 1},
                                                          {"http://a.img.example.com/", 3},
                                                          {"http://www.example.com/", 4},
                                                          {"http://www.example.com/v/1", 5},
                                                          {"http://www.example.com/v/new/1", 6},
                                                          {"no url at all", 1}};
  for (const auto& [url, volume] : cases) {
    EXPECT_EQ(rules->volume_of(url), volume) << url;
  }
  EXPECT_THAT(rules->volumes(), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_EQ(Hosting::parse(rules->to_text())->to_text(), rules->to_text());
}

TEST(Hosting, BadRulesAreOneSentence) {
  for (const char* line : {"hostname=a",
                           "hostname volume=1",
                           "hostname=a volume=0",
                           "hostname=a volume=256",
                           "hostname=a volume=1x",
                           "prefix=/path volume=1",
                           "color=red volume=1",
                           "domain= volume=1"}) {
    const auto rules = Hosting::parse(std::string("hostname=* volume=1\n") + line);
    ASSERT_FALSE(rules) << line;
    EXPECT_THAT(rules.error().message, HasSubstr(line));
    EXPECT_THAT(rules.error().message, HasSubstr("allowed: prefix=URL"));
  }
  EXPECT_THAT(Hosting::parse("hostname=a volume=1").error().message, HasSubstr("lack 'hostname=*"));
  EXPECT_THAT(Hosting::parse("hostname=* volume=1\nhostname=* volume=2").error().message,
              HasSubstr("twice"));
}

std::vector<StripeFacts> stripes(int count) {
  std::vector<StripeFacts> all;
  for (int n = 0; n < count; ++n) {
    all.push_back({fmt::format("disk {} skip 16384", n), 16ULL << 30U});
  }
  return all;
}

TEST(Assignment, LosingAStripeMovesItsSlotsOnly) {
  const Assignment all(stripes(4));
  std::vector<StripeFacts> fewer = stripes(4);
  fewer.erase(fewer.begin() + 1);
  const Assignment rest(fewer);
  const std::array<std::uint16_t, 4> now = {0, 9, 1, 2};
  const auto before = all.table(), after = rest.table();
  for (std::size_t slot = 0; slot < Assignment::slots; ++slot) {
    if (before[slot] != 1) {
      EXPECT_EQ(after[slot], now.at(before[slot])) << slot;
    }
  }
}

TEST(Assignment, SharesFollowSizesAndNotTheOrder) {
  std::vector<StripeFacts> facts = stripes(3);
  facts[2].size_bytes *= 2;
  const Assignment forward(facts);
  std::array<int, 3> share = {};
  const auto table = forward.table();
  for (const std::uint16_t stripe : table) {
    ++share.at(stripe);
  }
  EXPECT_NEAR(share[0], Assignment::slots / 4, Assignment::slots / 40);
  EXPECT_NEAR(share[2], Assignment::slots / 2, Assignment::slots / 40);
  std::reverse(facts.begin(), facts.end());
  const auto there = forward.table(), back = Assignment(facts).table();
  for (std::size_t slot = 0; slot < Assignment::slots; ++slot) {
    EXPECT_EQ(back[slot], 2 - there[slot]);
  }
}

TEST(Assignment, EveryKeyHasOneStripe) {
  EXPECT_FALSE(Assignment({}).stripe_of("k"));
  const Assignment all(stripes(2));
  std::array<int, 2> keys = {};
  for (int n = 0; n < 1000; ++n) {
    ++keys.at(*all.stripe_of(fmt::format("key {}", n)));
  }
  EXPECT_GT(keys[0], 350);
  EXPECT_GT(keys[1], 350);
}

}  // namespace
}  // namespace engine::volumes
