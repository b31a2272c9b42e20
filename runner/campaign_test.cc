// Whole campaigns on the memory device: the harness is trusted only if it is seen to fail.

#include "runner/campaign.h"

#include <signal.h>
#include <stdlib.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "faultfs/mount/mount.h"
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

  static void expect_same(const RunSummary& a,
                          const Collector& first,
                          const RunSummary& b,
                          const Collector& second) {
    EXPECT_EQ(a.states, b.states);
    EXPECT_EQ(a.held, b.held);
    EXPECT_EQ(a.violated_states, b.violated_states);
    EXPECT_EQ(a.undecided_why, b.undecided_why);
    EXPECT_EQ(a.gate_refusals, b.gate_refusals);
    EXPECT_EQ(a.executed, b.executed);
    EXPECT_EQ(a.covered, b.covered);
    EXPECT_EQ(a.nested, b.nested);
    ASSERT_EQ(first.cases.size(), second.cases.size());
    for (std::size_t at = 0; at < first.cases.size(); ++at) {
      EXPECT_EQ(first.cases[at].number, second.cases[at].number);
      EXPECT_EQ(to_text(first.cases[at].file), to_text(second.cases[at].file));
      EXPECT_EQ(first.cases[at].violation.observed, second.cases[at].violation.observed);
      EXPECT_EQ(first.cases[at].trace, second.cases[at].trace);
      EXPECT_EQ(first.cases[at].order_first, second.cases[at].order_first);
    }
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
  auto one = options(1200);
  one.config.preset = "squid";
  one.jobs = 1;
  auto two = one;
  two.jobs = 2;
  two.out = out_ / "two";
  Collector first, second;
  const auto a = run(one, first);
  const auto b = run(two, second);
  EXPECT_FALSE(first.cases.empty());
  expect_same(a, first, b, second);
}

TEST_F(Campaigns, JobsDoNotChangeTheOutcomeOfCutsInsideRecoveries) {
  auto one = options(1500);
  one.config.without_gates = {"inode_required"};
  one.explorer = "lazy";
  one.states_per_history = 300;
  one.depth = 2;
  one.jobs = 1;
  auto two = one;
  two.jobs = 2;
  two.out = out_ / "two";
  Collector first, second;
  const auto a = run(one, first);
  const auto b = run(two, second);
  EXPECT_GT(a.nested, 0U);
  EXPECT_LT(a.executed, a.states);
  expect_same(a, first, b, second);
}

TEST_F(Campaigns, ACrashStateThatKillsTheWorkerIsBlamedOnceWhateverTheJobs) {
  auto one = options(1200);
  one.jobs = 1;
  one.before_state = [](std::uint64_t index, std::uint64_t state) {
    if ((index == 0 && (state == 7 || state == 300)) || (index == 2 && state == 1)) {
      raise(SIGSEGV);
    }
  };
  auto two = one;
  two.jobs = 2;
  two.out = out_ / "two";
  Collector first, second;
  const auto a = run(one, first);
  const auto b = run(two, second);
  expect_same(a, first, b, second);
  EXPECT_EQ(a.exit_code, 1);
  EXPECT_EQ(a.properties.at("process_survives").violated, 3U);
  EXPECT_EQ(a.violated_states, 3U);
  // Nothing that a replay sees made the process die: so it is neither shrunk nor called certain.
  ASSERT_EQ(first.cases.size(), 1U);
  EXPECT_EQ(first.cases[0].violation.property, "process_survives");
  EXPECT_EQ(first.cases[0].reproduced, 0U);
  EXPECT_EQ(first.cases[0].not_shrunk, "no replay showed it again");
  EXPECT_EQ(first.cases[0].file.commands.size(), first.cases[0].commands_before);
}

TEST_F(Campaigns, ADeadWorkerThatNobodyCanBlameIsUndecided) {
  auto wanted = options(1200);
  wanted.before_state = [](std::uint64_t index, std::uint64_t state) {
    if (index == 1 && state == 5) {
      raise(SIGKILL);  // as an operator, or a kernel that is short of memory, would
    }
  };
  Collector collector;
  const auto summary = run(wanted, collector);
  EXPECT_EQ(summary.exit_code, 3);
  EXPECT_EQ(summary.violated_states, 0U);
  EXPECT_EQ(summary.undecided_why.count("a worker ended (signal 9) in history 1, crash state 5"),
            1U);
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

scenarios::Faults faults(const std::vector<std::string>& texts) {
  scenarios::Faults faults;
  for (const auto& text : texts) {
    faults.push_back(faultfs::faults::parse_expression(text).value());
  }
  return faults;
}

TEST_F(Campaigns, HardenedEngineServesNoWrongByteOnADeviceThatRotsAndMisdirects) {
  auto wanted = options(1200);
  wanted.states_per_history = 40;
  wanted.faults = faults({"rot-on-write chance=1/10", "misdirected-write chance=1/20 to=64K"});
  Collector collector;
  const auto summary = run(wanted, collector);
  EXPECT_EQ(summary.exit_code, 0);
  ASSERT_EQ(summary.faults.size(), 2U);
  for (const auto& [asked, count] : summary.faults) {
    EXPECT_GT(count.firings, 0U) << asked;
    EXPECT_GT(count.matches, count.firings) << asked;
  }
  EXPECT_FALSE(summary.properties.contains("recall_floor")) << "rot may cost any object";
  EXPECT_EQ(summary.properties.at("no_garbage").holds, summary.states);
}

TEST_F(Campaigns, AFaultThatNeverFiredIsSaidAndNothingIsDecided) {
  auto wanted = options(100);
  wanted.faults = faults({"lying-fua", "eio write nth=1000000"});
  Collector collector;
  const auto summary = run(wanted, collector);
  EXPECT_EQ(summary.exit_code, 3);
  EXPECT_EQ(summary.violated_states, 0U);
  EXPECT_THAT(
      summary.undecided_why,
      Contains(testing::Key(testing::StartsWith("the fault eio write nth=1000000 never fired"))));
  EXPECT_THAT(summary.undecided_why,
              Contains(testing::Key(testing::StartsWith("the fault lying-fua never fired"))));
}

// Squid's format has no checksum: rot is served. A fault that has nothing to do with it is dropped,
// and the one that has fires once.
TEST_F(Campaigns, SquidPresetIsCaughtServingRotAndTheFaultsAreShrunk) {
  auto wanted = options(200);
  wanted.config.preset = "squid";
  wanted.overwrites = false;
  wanted.explorer = "kills";
  wanted.stop_at_first = true;
  wanted.states_per_history = 20;
  wanted.faults = faults({"short-read chance=1/2", "rot-on-write chance=1/3"});
  Collector collector;
  EXPECT_EQ(run(wanted, collector).exit_code, 1);
  const auto found = std::ranges::find_if(collector.cases, [](const FailureCase& failure) {
    return failure.violation.property == "no_garbage";
  });
  ASSERT_NE(found, collector.cases.end());
  ASSERT_EQ(found->file.faults.size(), 1U) << to_text(found->file);
  EXPECT_EQ(found->file.faults[0].fault, "rot-on-write");
  EXPECT_EQ(found->file.faults[0].times, 1U) << to_text(found->file);
  EXPECT_EQ(found->reproduced, found->replays);
  ReplayOptions replay_options;
  replay_options.file = found->directory;
  replay_options.render = wanted.render;
  std::ostringstream out, error;
  EXPECT_EQ(replay(replay_options, out, error), 1) << error.str();
  // A run without the fault does not try the case: it would say nothing about it.
  auto later = wanted;
  later.faults.clear();
  later.states_max = 20;
  Collector again;
  EXPECT_EQ(run(later, again).exit_code, 0);
}

TEST_F(Campaigns, UnknownDirectoryOrProfileNeverHangs) {
  auto wanted = options(10);
  wanted.profile = "no_such_profile";
  EXPECT_FALSE(run_campaign(wanted, {}).has_value());
}

TEST_F(Campaigns, CutsInsideRecoveriesShowTheSameOnAMount) {
  if (const auto status = faultfs::mount::can_mount(); !status) {
    GTEST_SKIP() << status.error().message;
  }
  CampaignOptions wanted = options(120);
  wanted.depth = 2;
  wanted.states_per_history = 40;
  Collector first;
  Collector second;
  const RunSummary memory = run(wanted, first);
  wanted.device = DeviceKind::fuse;
  const RunSummary mounted = run(wanted, second);
  EXPECT_GT(memory.nested, 20U);
  EXPECT_EQ(mounted.nested, memory.nested);
  EXPECT_EQ(mounted.states, memory.states);
  EXPECT_EQ(mounted.held, memory.states);
  EXPECT_EQ(memory.held, memory.states);
  EXPECT_EQ(mounted.gate_refusals, memory.gate_refusals);
}

}  // namespace
}  // namespace runner
