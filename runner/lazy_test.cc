// The lazy explorer against the exhaustive one: on histories small enough for both, the cache under
// test answers in exactly the same set of ways, and the runs stand for exactly the states there
// are.

#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "faultfs/base/random.h"
#include "runner/experiment.h"
#include "runner/explorer.h"
#include "scenarios/generate.h"

namespace runner {
namespace {

/// Everything a client could tell a run by.
std::string observation(const faultfs::CrashPlan& plan, const StateResult& state) {
  std::string text = faultfs::to_text(plan.point);
  for (const auto* readings : {&state.seen.after_recovery,
                               &state.seen.after_reopen,
                               &state.seen.after_traffic,
                               &state.seen.after_last_restart}) {
    for (const auto& reading : *readings) {
      text += "\n" + scenarios::to_text(reading);
    }
    text += "\n--";
  }
  for (const auto& [gate, refusals] : state.seen.gate_refusals) {
    text += "\n" + gate + " " + std::to_string(refusals);
  }
  return text;
}

struct Found {
  std::set<std::string> observations;
  std::uint64_t runs = 0, violated = 0;
  double covered = 0;
  bool finished = false;
};

Found explore(Experiment& experiment, const std::string& name, std::uint64_t runs_max) {
  Found found;
  ExplorerOptions options;
  options.name = name;
  auto explorer = make_explorer(experiment.model(), options);
  EXPECT_TRUE(explorer.has_value());
  while (found.runs < runs_max) {
    const auto plan = (*explorer)->next();
    if (!plan) {
      found.finished = true;
      break;
    }
    const auto state = experiment.run(*plan, (*explorer)->undecided());
    EXPECT_TRUE(state.has_value()) << (state ? "" : state.error().message);
    found.covered += (*explorer)->observed(state->reads);
    found.observations.insert(observation(*plan, *state));
    found.violated += state->judgement.verdict == properties::Verdict::violated ? 1 : 0;
    ++found.runs;
  }
  return found;
}

/// A cache on the memory device, and a history it was given.
struct Bench {
  std::unique_ptr<Stage> stage;
  std::unique_ptr<Experiment> experiment;
};

Bench record(const std::string& preset,
             const std::string& profile_name,
             const std::vector<std::string>& lines) {
  scenarios::TargetConfig config;
  config.target = "engine";
  config.store = "rock";
  config.preset = preset;
  config.slot_bytes = 8192;
  config.disk_bytes = std::uint64_t{128} << 10U;
  const auto profile = *faultfs::find_profile(profile_name);
  Bench bench;
  bench.stage = std::move(*Stage::create(config, profile, {}));
  std::vector<scenarios::Command> commands;
  for (const std::string& line : lines) {
    commands.push_back(*scenarios::parse_command(line));
  }
  bench.experiment = std::move(*Experiment::record(*bench.stage, config, profile, 7, commands));
  return bench;
}

class LazyTest : public ::testing::TestWithParam<std::tuple<const char*, const char*>> {};

TEST_P(LazyTest, SeesExactlyWhatTheExhaustiveExplorerSees) {
  const auto [preset, profile] = GetParam();
  const std::vector<std::vector<std::string>> histories = {
      {"put k1 9000", "put k1 9000"},
      {"put k1 3000", "put k2 6000", "purge k1", "put k3 2000"},
      {"put k1 5000", "sync", "update k1 100", "put k2 100"},
      {"begin k1 9000 5000", "put k2 3000", "abort k1"}};
  std::uint64_t lazy_runs = 0;
  std::uint64_t exhaustive_runs = 0;
  for (const auto& history : histories) {
    const Bench bench = record(preset, profile, history);
    const Found exhaustive = explore(*bench.experiment, "exhaustive", 60000);
    ASSERT_TRUE(exhaustive.finished) << history.front();
    const Found lazy = explore(*bench.experiment, "lazy", 60000);
    ASSERT_TRUE(lazy.finished);
    EXPECT_EQ(lazy.observations, exhaustive.observations) << history.front();
    EXPECT_EQ(lazy.covered, exhaustive.covered);
    EXPECT_EQ(static_cast<double>(exhaustive.runs), exhaustive.covered);
    EXPECT_EQ(lazy.violated > 0, exhaustive.violated > 0);
    lazy_runs += lazy.runs;
    exhaustive_runs += exhaustive.runs;
  }
  RecordProperty("lazy_runs", std::to_string(lazy_runs));
  RecordProperty("exhaustive_runs", std::to_string(exhaustive_runs));
  if (std::string_view(profile).ends_with("4k_volatile")) {
    EXPECT_LT(lazy_runs, exhaustive_runs);
  }
  fmt::print(
      "{} on {}: {} runs cover {} crash states\n", preset, profile, lazy_runs, exhaustive_runs);
}

INSTANTIATE_TEST_SUITE_P(Presets,
                         LazyTest,
                         ::testing::Combine(::testing::Values("hardened", "squid"),
                                            ::testing::Values("ssd_4k_volatile",
                                                              "ssd_16k_atomic",
                                                              "ssd_4k_zeroing",
                                                              "disk_4k_write_through")));

}  // namespace
}  // namespace runner
