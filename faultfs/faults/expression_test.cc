#include "faultfs/faults/expression.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "faultfs/faults/catalogue.h"
#include "faultfs/faults/programs.h"
#include "faultfs/faults/trigger.h"

namespace faultfs::faults {
namespace {

using ::testing::HasSubstr;

std::string round_trip(std::string_view text) {
  Result<Expression> expression = parse_expression(text);
  return expression ? to_text(*expression) : "error: " + expression.error().message;
}

TEST(FaultExpression, PrintsWhatDoesNotGoWithoutSaying) {
  EXPECT_EQ(round_trip("lying-flush"), "lying-flush");
  EXPECT_EQ(round_trip("lying-flush flush"), "lying-flush");
  EXPECT_EQ(round_trip("eio  write read nth=3"), "eio read write nth=3");
  EXPECT_EQ(round_trip("eio read nth=1"), "eio read nth=1");
  EXPECT_EQ(round_trip("eio read times=1"), "eio read nth=1");
  EXPECT_EQ(round_trip("eio read nth=1 times=always"), "eio read");
  EXPECT_EQ(round_trip("eio read nth=3 times=always"), "eio read nth=3 times=always");
  EXPECT_EQ(round_trip("eio read nth=3 every=2 times=always"), "eio read nth=3 every=2");
  EXPECT_EQ(round_trip("eio read every=2 times=1"), "eio read every=2 times=1");
  EXPECT_EQ(round_trip("eio read at=0x8000+4096 disk=d0"), "eio read disk=d0 at=32K+4K");
  EXPECT_EQ(round_trip("eio chance=2/2 seed=1"), "eio");
  EXPECT_EQ(round_trip("rot-on-write seed=7 chance=1/100 mark=put#5 times=3"),
            "rot-on-write mark=put#5 times=3 chance=1/100 seed=7");
  EXPECT_EQ(round_trip("misdirected-write to=0x8000"), "misdirected-write to=32K");
  EXPECT_EQ(round_trip("torn-write unit=sector keep=hole"), "torn-write keep=hole");
}

TEST(FaultExpression, SaysWhatIsWrongAndWhatIsAllowed) {
  EXPECT_THAT(round_trip("eoi"), HasSubstr("there is no fault \"eoi\"; allowed: eio, enodev"));
  EXPECT_THAT(round_trip(""), HasSubstr("there is no fault \"\""));
  EXPECT_THAT(round_trip("enospc read"),
              HasSubstr("\"read\" is not known to enospc; allowed: write"));
  EXPECT_THAT(round_trip("eio to=4K"), HasSubstr("\"to=4K\" is not known to eio; allowed: disk"));
  EXPECT_THAT(round_trip("eio nth=0"), HasSubstr("\"nth=0\" needs a number from 1 on"));
  EXPECT_THAT(round_trip("eio nth=2 nth=3"), HasSubstr("nth is given twice"));
  EXPECT_THAT(round_trip("eio chance=3/2"), HasSubstr("\"chance=3/2\" is no chance"));
  EXPECT_THAT(round_trip("eio at=4K"), HasSubstr("\"at=4K\" names no bytes"));
  EXPECT_THAT(round_trip("eio at=0+0"), HasSubstr("names no bytes"));
  EXPECT_THAT(round_trip("eio disk="), HasSubstr("names nothing"));
  EXPECT_THAT(round_trip("lying-flush at=0+4K"), HasSubstr("a flush touches no bytes"));
  EXPECT_THAT(round_trip("misdirected-write"), HasSubstr("needs to=…"));
  EXPECT_THAT(round_trip("torn-write keep=middle"),
              HasSubstr("allowed: prefix, suffix, hole, first"));
  EXPECT_THAT(round_trip("latency ms=0"), HasSubstr("needs a number from 1 on"));
}

TEST(FaultExpression, EveryDrawnOnePrintsAndParsesItself) {
  for (const FaultKind& kind : catalogue()) {
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
      std::string text = programs::drawn_expression(seed, kind.name);
      Result<Expression> once = parse_expression(text);
      ASSERT_TRUE(once) << text << ": " << once.error().message;
      Result<Expression> twice = parse_expression(to_text(*once));
      ASSERT_TRUE(twice) << to_text(*once) << ": " << twice.error().message;
      ASSERT_EQ(*once, *twice) << text << " became " << to_text(*once);
    }
  }
}

/// At which of the first 12 matches it fires.
std::vector<int> fires_at(std::string_view text) {
  Trigger trigger(parse_expression(text).value(), std::nullopt);
  std::vector<int> found;
  for (int match = 1; match <= 12; ++match) {
    if (trigger.due()) {
      trigger.fired();
      found.push_back(match);
    }
  }
  return found;
}

TEST(FaultTrigger, FiresWhenItsExpressionSays) {
  using ::testing::ElementsAre;
  EXPECT_EQ(fires_at("eio").size(), 12U);
  EXPECT_THAT(fires_at("eio nth=3"), ElementsAre(3));
  EXPECT_THAT(fires_at("eio nth=10 times=always"), ElementsAre(10, 11, 12));
  EXPECT_THAT(fires_at("eio nth=2 every=4"), ElementsAre(2, 6, 10));
  EXPECT_THAT(fires_at("eio every=5 times=2"), ElementsAre(1, 6));
  std::vector<int> drawn = fires_at("eio chance=1/2 seed=4");
  EXPECT_EQ(drawn, fires_at("eio chance=1/2 seed=4")) << "the same in every run";
  EXPECT_NE(drawn, fires_at("eio chance=1/2 seed=5"));
  EXPECT_GT(drawn.size(), 1U);
  EXPECT_LT(drawn.size(), 12U);
}

TEST(FaultTrigger, MeansTheRequestsItNames) {
  auto concerns = [](std::string_view text, Request request) {
    return Trigger(parse_expression(text).value(), DiskNumber{1}).concerns(request);
  };
  Request read{RequestKind::read, 1, 4096, 4096, {}, false, 1, 0};
  EXPECT_TRUE(concerns("eio read disk=d at=8191+1", read));
  EXPECT_FALSE(concerns("eio read disk=d at=8192+1", read));
  EXPECT_FALSE(concerns("eio read disk=d at=0+4K", read));
  EXPECT_TRUE(concerns("eio read disk=d at=0+4097", read));
  EXPECT_FALSE(concerns("eio write", read));
  Request other = read;
  other.disk = 0;
  EXPECT_FALSE(concerns("eio", other)) << "the disk named is number 1";
  EXPECT_FALSE(concerns("eio at=0+1M", {RequestKind::flush, 1, 0, 0, {}, false, 1, 0}));

  Trigger marked(parse_expression("eio mark=put#5").value(), std::nullopt);
  EXPECT_FALSE(marked.concerns(read));
  marked.mark("put#4");
  EXPECT_FALSE(marked.concerns(read));
  marked.mark("put#5 begins");
  EXPECT_TRUE(marked.concerns(read));
}

}  // namespace
}  // namespace faultfs::faults
