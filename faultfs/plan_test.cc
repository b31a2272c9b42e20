#include "faultfs/plan.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace faultfs {
namespace {

using ::testing::HasSubstr;

rc::Gen<Fate> fate_of(std::uint32_t write) {
  auto sectors = rc::gen::map(
      rc::gen::container<std::set<std::uint32_t>>(rc::gen::oneOf(
          rc::gen::inRange<std::uint32_t>(0, 12), rc::gen::inRange<std::uint32_t>(0, 1U << 20))),
      [](const std::set<std::uint32_t>& drawn) {
        return std::vector<std::uint32_t>(drawn.begin(), drawn.end());
      });
  return rc::gen::map(rc::gen::tuple(rc::gen::inRange(0, 5),
                                     sectors,
                                     rc::gen::arbitrary<std::uint32_t>(),
                                     rc::gen::arbitrary<std::uint64_t>()),
                      [write](const auto& drawn) {
                        auto [kind, listed, tear, target] = drawn;
                        Fate fate;
                        fate.write = write;
                        fate.kind = static_cast<FateKind>(kind);
                        bool torn = fate.kind == FateKind::torn;
                        fate.tear_bytes = torn ? tear : 0;
                        fate.sectors =
                            torn || fate.kind == FateKind::garbled ? listed : fate.sectors;
                        fate.to_offset_bytes = fate.kind == FateKind::misdirected ? target : 0;
                        return fate;
                      });
}

CrashPlan any_plan() {
  CrashPlan plan;
  plan.point.kind = *rc::gen::element(CutKind::power_cut, CutKind::kill);
  plan.point.entry = *rc::gen::arbitrary<std::uint32_t>();
  plan.point.inside = *rc::gen::arbitrary<bool>();
  auto writes = *rc::gen::container<std::set<std::uint32_t>>(rc::gen::positive<std::uint32_t>());
  for (std::uint32_t write : writes) {
    plan.fates.push_back(*fate_of(write));
  }
  return plan;
}

RC_GTEST_PROP(Plan, ParseUndoesToText, ()) {
  CrashPlan plan = any_plan();
  Result<CrashPlan> parsed = parse_plan(to_text(plan));
  RC_ASSERT(parsed.has_value());
  RC_ASSERT(*parsed == plan);
  RC_ASSERT(to_text(*parsed) == to_text(plan));
}

RC_GTEST_PROP(Plan, AnyTextIsReadOrRefused, (const std::string& noise)) {
  std::string text = to_text(any_plan());
  auto at = *rc::gen::inRange<std::size_t>(0, text.size());
  text.replace(at, *rc::gen::inRange<std::size_t>(0, 8), noise);
  Result<CrashPlan> parsed = parse_plan(text);
  bool understood =
      parsed ? parse_plan(to_text(*parsed)).value() == *parsed : !parsed.error().message.empty();
  RC_ASSERT(understood);
}

TEST(Plan, ReadsAsInTheManual) {
  constexpr std::string_view text =
      "cut       after w0118\n"
      "w0112     lost\n"
      "w0115     torn sectors 0-3,6\n"
      "w0116     torn sectors 0-1 then 256 bytes\n"
      "w0117     garbled sectors 2\n"
      "w0118     misdirected to 0x8000\n";
  Result<CrashPlan> plan = parse_plan(text);
  ASSERT_TRUE(plan) << plan.error().message;
  ASSERT_EQ(plan->fates.size(), 5U);
  EXPECT_EQ(plan->fates[1].sectors, (std::vector<std::uint32_t>{0, 1, 2, 3, 6}));
  EXPECT_EQ(plan->fates[2].tear_bytes, 256U);
  EXPECT_EQ(plan->fates[4].to_offset_bytes, 0x8000U);
  EXPECT_EQ(to_text(*plan), text);
}

TEST(Plan, CommentsBlanksAndOrderAreFree) {
  Result<CrashPlan> plan =
      parse_plan("# found by hand\n\nw0007 lost # the header\n  w3\tkept\nkill inside w0009");
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(to_text(*plan), "kill      inside w0009\nw0003     kept\nw0007     lost\n");
}

TEST(Plan, KnowsItsOwnLines) {
  for (const char* line : {"cut after w1", "kill inside w1", "w0001 lost", "  w2 whatever"}) {
    EXPECT_TRUE(is_plan_line(line)) << line;
  }
  for (const char* line : {"", "# cut", "device ssd", "w", "w12x lost", "cutter"}) {
    EXPECT_FALSE(is_plan_line(line)) << line;
  }
}

struct Refusal {
  const char* line;
  const char* why;
};

void PrintTo(const Refusal& refusal, std::ostream* out) {
  *out << refusal.line;
}

class PlanRefuses : public ::testing::TestWithParam<Refusal> {};

TEST_P(PlanRefuses, WithOneSentenceThatQuotesTheLine) {
  CrashPlan plan;
  ASSERT_TRUE(parse_plan_line("w0001 lost", plan));
  Status read = parse_plan_line(GetParam().line, plan);
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().message, HasSubstr(std::string("\"") + GetParam().line + "\""));
  EXPECT_THAT(read.error().message, HasSubstr(GetParam().why));
  EXPECT_THAT(read.error().message, HasSubstr("allowed"));
}

INSTANTIATE_TEST_SUITE_P(
    Lines,
    PlanRefuses,
    ::testing::Values(Refusal{"cut before w0118", "crash point"},
                      Refusal{"cut after 118", "crash point"},
                      Refusal{"kill after", "kill inside w0118"},
                      Refusal{"cut after w4294967296", "crash point"},
                      Refusal{"w0000 lost", "\"w0000\" is not a write"},
                      Refusal{"w99999999999 lost", "is not a write"},
                      Refusal{"w0001 kept", "has a fate already"},
                      Refusal{"w0002", "no fate"},
                      Refusal{"w0002 gone", "no fate"},
                      Refusal{"w0002 lost twice", "no fate"},
                      Refusal{"w0002 torn", "needs its sectors"},
                      Refusal{"w0002 torn sectors 3-1", "ascending"},
                      Refusal{"w0002 torn sectors 1,1", "ascending"},
                      Refusal{"w0002 torn sectors 1,,2", "ascending"},
                      Refusal{"w0002 torn sectors 0-4294967295", "below 1048576"},
                      Refusal{"w0002 torn sectors 1 then 0 bytes", "at least 1"},
                      Refusal{"w0002 garbled sectors 1 then 9 bytes", "\"then\" is not allowed"},
                      Refusal{"w0002 misdirected", "target"},
                      Refusal{"w0002 misdirected to here", "target"},
                      Refusal{"device ssd_4k_volatile", "begins with"}));

TEST(Plan, NeedsExactlyOneCrashPoint) {
  EXPECT_THAT(parse_plan("w0001 lost\n").error().message, HasSubstr("no crash point"));
  EXPECT_THAT(parse_plan("cut after w1\nkill after w2\n").error().message,
              HasSubstr("one cut or kill line"));
}

TEST(CutsInsideRecoveries, PrintAndParse) {
  const std::string text =
      "cut       after w0118\n"
      "w0112     lost\n"
      "again     cut inside w0003\n"
      "w0002     torn sectors 0-1\n"
      "again     kill after w0001\n";
  const auto plan = parse_plan(text);
  ASSERT_TRUE(plan.has_value()) << plan.error().message;
  ASSERT_EQ(plan->again.size(), 2U);
  EXPECT_EQ(plan->fates.size(), 1U);
  EXPECT_EQ(plan->again[0].fates.size(), 1U);
  EXPECT_TRUE(plan->again[0].point.inside);
  EXPECT_EQ(plan->again[1].point.kind, CutKind::kill);
  EXPECT_EQ(to_text(*plan), text);
  EXPECT_EQ(to_text(plan->first_cuts(1)), text.substr(0, text.find("again")));
  EXPECT_EQ(to_text(plan->alone(2)), "kill      after w0001\n");
}

TEST(CutsInsideRecoveries, AreRefusedWithASentence) {
  for (const char* line : {"again", "again after w0001", "again cut", "again cut after 7"}) {
    const auto plan = parse_plan(std::string("cut after w0001\n") + line + "\n");
    ASSERT_FALSE(plan.has_value()) << line;
    EXPECT_NE(plan.error().message.find("allowed"), std::string::npos) << plan.error().message;
  }
  std::string deep = "cut after w0001\n";
  for (std::size_t at = 0; at <= cuts_again_max; ++at) {
    deep += "again cut after w0001\n";
  }
  EXPECT_FALSE(parse_plan(deep).has_value());
  EXPECT_FALSE(parse_plan("again cut after w0001\n").has_value());
}

}  // namespace
}  // namespace faultfs
