// Whole campaigns on the memory device: the harness is trusted only if it is seen to fail.

#include "runner/campaign.h"

#include <stdlib.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runner/replay.h"

namespace runner {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::Le;

/// Keeps what a run told.
class Collector : public Observer {
 public:
  void case_kept(const FailureCase& failure) override { cases.push_back(failure); }
  std::vector<FailureCase> cases;
};

class Campaigns : public testing::Test {
 protected:
  Campaigns() {
    std::string name = (fs::temp_directory_path() / "powercut-test-XXXXXX").string();
    out_ = mkdtemp(name.data());
  }
  ~Campaigns() override { fs::remove_all(out_); }
  Campaigns(const Campaigns&) = delete;
  Campaigns& operator=(const Campaigns&) = delete;
  Campaigns(Campaigns&&) = delete;
  Campaigns& operator=(Campaigns&&) = delete;

  CampaignOptions options(std::uint64_t states) const {
    CampaignOptions options;
    options.seed = 0x5eed;
    options.states_max = states;
    options.jobs = 2;
    options.out = out_;
    options.render = [](const FailureCase& failure, bool) { return to_text(failure.file); };
    return options;
  }

  static RunSummary run(const CampaignOptions& options, Collector& collector) {
    auto summary = run_campaign(options, {&collector});
    EXPECT_TRUE(summary.has_value()) << (summary ? "" : summary.error().message);
    return summary ? *summary : RunSummary{};
  }

  fs::path out_;
};

TEST_F(Campaigns, HardenedEngineHoldsEveryClaim) {
  Collector collector;
  const auto summary = run(options(20000), collector);
  EXPECT_EQ(summary.exit_code, 0);
  EXPECT_GE(summary.states, 20000U);
  EXPECT_EQ(summary.violated_states, 0U);
  EXPECT_EQ(summary.undecided_states, 0U);
  EXPECT_FALSE(summary.not_explored.empty()) << "a green run must say how much it did not look at";
  for (const auto& failure : collector.cases) {
    ADD_FAILURE() << failure.violation.property << ": " << failure.violation.observed << "\n"
                  << failure.trace;
  }
  EXPECT_FALSE(fs::exists(out_ / "0001")) << "a run that kept nothing leaves no directory";
}

TEST_F(Campaigns, JobsAndRepetitionDoNotChangeTheOutcome) {
  auto one = options(6000);
  one.config.preset = "squid";
  one.jobs = 1;
  one.shrink = false;  // its bound on time is no function of the seed
  auto two = one;
  two.jobs = 2;
  two.out = out_ / "two";
  Collector first, second;
  const auto a = run(one, first);
  const auto b = run(two, second);
  EXPECT_EQ(a.states, b.states);
  EXPECT_EQ(a.violated_states, b.violated_states);
  EXPECT_TRUE(a.gate_refusals == b.gate_refusals);
  ASSERT_EQ(first.cases.size(), second.cases.size());
  // Numbers are given in the order of the histories; which shrinks first is a matter of the clock.
  std::ranges::sort(first.cases, {}, &FailureCase::number);
  std::ranges::sort(second.cases, {}, &FailureCase::number);
  for (std::size_t at = 0; at < first.cases.size(); ++at) {
    EXPECT_EQ(to_text(first.cases[at].file), to_text(second.cases[at].file));
  }
}

TEST_F(Campaigns, SquidPresetIsCaughtServingAHodgepodgeAndShrunk) {
  auto wanted = options(6000);
  wanted.config.preset = "squid";
  Collector collector;
  EXPECT_EQ(run(wanted, collector).exit_code, 1);
  const auto found = std::ranges::find_if(collector.cases, [](const FailureCase& failure) {
    return failure.violation.property == "no_hodgepodge";
  });
  ASSERT_NE(found, collector.cases.end());
  EXPECT_THAT(found->file.commands.size(), Le(4U)) << to_text(found->file);
  EXPECT_THAT(found->file.plan.fates.size(), Le(2U)) << to_text(found->file);
  EXPECT_EQ(found->reproduced, found->replays);
  for (const char* name :
       {"trace.txt", "plan.txt", "writes.log", "before.img", "crash.img", "history.jsonl"}) {
    EXPECT_TRUE(fs::exists(found->directory / name)) << name;
  }
  // The whole of it replays from the file alone.
  ReplayOptions replay_options;
  replay_options.file = found->directory;
  replay_options.times = 3;
  replay_options.render = wanted.render;
  std::ostringstream out, error;
  EXPECT_EQ(replay(replay_options, out, error), 1) << error.str();
  // And the next campaign tries it first.
  Collector again;
  auto later = wanted;
  later.states_max = 1;
  run(later, again);
  ASSERT_FALSE(again.cases.empty());
  EXPECT_THAT(again.cases.size(), testing::Ge(collector.cases.size()));
}

TEST_F(Campaigns, UnknownDirectoryOrProfileNeverHangs) {
  auto wanted = options(10);
  wanted.profile = "no_such_profile";
  EXPECT_FALSE(run_campaign(wanted, {}).has_value());
}

}  // namespace
}  // namespace runner
