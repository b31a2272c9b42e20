// The slow tier: the standard campaign with a million executed crash states, cuts inside recoveries
// among them, on both stores. `.ci/test slow` runs it; it prints what it covered and what not.

#include <stdlib.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "runner/campaign.h"

namespace runner {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t executed_min = 1000000;

RunSummary campaign(const std::string& store, std::uint64_t states) {
  std::string name = (fs::temp_directory_path() / "powercut-test-XXXXXX").string();
  CampaignOptions options;
  options.out = mkdtemp(name.data());
  options.config.store = store;
  options.seed = 0x510;
  options.depth = 2;
  options.prune = PruneOptions::none();
  options.states_max = states;
  options.jobs = 2;
  auto summary = run_campaign(options, {});
  fs::remove_all(options.out);
  EXPECT_TRUE(summary.has_value()) << (summary ? "" : summary.error().message);
  return summary ? *summary : RunSummary{};
}

TEST(Slow, AMillionExecutedCrashStatesHold) {
  double cpu_seconds = 0;
  double seconds = 0;
  std::uint64_t executed = 0;
  for (const auto& [store, states] : {std::pair("rock", 750000), {"cyclone", 250000}}) {
    const RunSummary summary = campaign(store, static_cast<std::uint64_t>(states));
    EXPECT_EQ(summary.exit_code, 0);
    EXPECT_EQ(summary.violated_states, 0U);
    EXPECT_EQ(summary.undecided_states, 0U);
    EXPECT_EQ(summary.executed, summary.states);
    EXPECT_GT(summary.nested, summary.states / 10);
    executed += summary.executed;
    seconds += summary.seconds;
    cpu_seconds += summary.cost.cpu_seconds;
    fmt::print("{}: {} crash states of {} histories executed, {} with a cut inside the recovery\n",
               store,
               summary.executed,
               summary.histories,
               summary.nested);
    for (const auto& [profile, count] : summary.states_by_profile) {
      fmt::print("  on {}: {}\n", profile, count);
    }
    for (const std::string& left : summary.not_explored) {
      fmt::print("  not explored: {}\n", left);
    }
  }
  fmt::print("{} executed in {:.0f} s; {:.0f} s of CPU\n", executed, seconds, cpu_seconds);
  EXPECT_GE(executed, executed_min);
}

}  // namespace
}  // namespace runner
