// The lazy explorer against the exhaustive one: on histories small enough for both, the cache under
// test answers in exactly the same set of ways, and the runs stand for exactly the states there
// are.

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "faultfs/base/random.h"
#include "runner/explorer.h"
#include "runner/small_history_test.h"

namespace runner {
namespace {

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
    (*explorer)->observed(*state->reads);
    found.covered = (*explorer)->covered();
    found.observations.insert(observation(*plan, *state));
    found.violated += state->judgement.verdict == properties::Verdict::violated ? 1 : 0;
    ++found.runs;
  }
  return found;
}

class LazyTest : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {};

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
    const Recorded bench = record_small(preset, profile, history);
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

/// How many writes are volatile at once, at most.
std::size_t volatile_most(Experiment& experiment) {
  std::size_t most = 0;
  for (std::uint32_t entry = 1; entry <= experiment.recording().log.size(); ++entry) {
    most = std::max(
        most,
        experiment.model().volatile_writes({faultfs::CutKind::power_cut, entry, false}).size());
  }
  return most;
}

// Both stores, on logs with up to a dozen volatile writes at once.
TEST(LazyOfBothStores, SeesWhatTheExhaustiveExplorerSees) {
  const std::vector<std::vector<std::string>> histories = {
      {"put k1 2000", "put k2 3000", "put k1 1500", "purge k2", "put k3 900"},
      {"put k1 300",
       "put k2 300",
       "sync",
       "put k1 300",
       "put k3 300",
       "put k2 300",
       "sync",
       "update k1 100",
       "put k4 300"},
      {"put k1 6000", "sync", "put k1 6000", "kill", "put k2 100"}};
  for (const char* name : {"rock", "cyclone"}) {
    SmallStore store;
    store.store = name;
    store.disk_bytes = std::uint64_t{256} << 10U;
    std::size_t most = 0;
    std::uint64_t lazy_runs = 0;
    std::uint64_t exhaustive_runs = 0;
    for (const auto& history : histories) {
      const Recorded recorded = record_small(store, "ssd_4k_volatile", history);
      most = std::max(most, volatile_most(*recorded.experiment));
      const Found exhaustive = explore(*recorded.experiment, "exhaustive", 120000);
      ASSERT_TRUE(exhaustive.finished) << name << " " << history.front();
      const Found lazy = explore(*recorded.experiment, "lazy", 120000);
      ASSERT_TRUE(lazy.finished);
      EXPECT_EQ(lazy.observations, exhaustive.observations) << name << " " << history.front();
      EXPECT_EQ(lazy.covered, exhaustive.covered);
      EXPECT_EQ(lazy.violated, 0U);
      EXPECT_EQ(exhaustive.violated, 0U);
      lazy_runs += lazy.runs;
      exhaustive_runs += exhaustive.runs;
    }
    fmt::print("{}: up to {} volatile writes; {} runs see what {} crash states show\n",
               name,
               most,
               lazy_runs,
               exhaustive_runs);
    EXPECT_LT(lazy_runs, exhaustive_runs);
  }
}

}  // namespace
}  // namespace runner
