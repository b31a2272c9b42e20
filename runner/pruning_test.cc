// What pruning may leave out: nothing. Every crash state of small histories, with each way of
// pruning on and off, gets the same answers and the same verdict.

#include "runner/pruning.h"

#include <map>
#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "runner/explorer.h"
#include "runner/small_history_test.h"

namespace runner {
namespace {

struct Found {
  std::map<std::string, std::string> by_plan;  // plan -> observation and verdict
  std::set<std::string> observations;
  std::uint64_t runs = 0, executed = 0, violated = 0;
};

Found explore(Experiment& experiment,
              const std::string& name,
              const PruneOptions& prune,
              std::uint32_t depth) {
  Found found;
  ExplorerOptions options;
  options.name = name;
  options.depth = depth;
  options.equal = prune.contents ? faultfs::EqualContents::merged : faultfs::EqualContents::apart;
  experiment.configure({prune, depth});
  auto explorer = make_explorer(experiment.model(), options);
  constexpr std::uint64_t runs_max = 40000;
  while (const auto plan = (*explorer)->next()) {
    EXPECT_TRUE(experiment.check(*plan).has_value());
    const auto state = experiment.run(*plan, (*explorer)->undecided());
    EXPECT_TRUE(state.has_value());
    (*explorer)->recovered(*state->reads, state->recovery);
    std::string seen = observation(*plan, *state);
    found.observations.insert(seen);
    for (const auto& violation : state->judgement.violations) {
      seen += "\n" + violation.property + ": " + violation.observed;
    }
    found.by_plan[faultfs::to_text(*plan)] = seen;
    found.executed += state->executed ? 1 : 0;
    found.violated += state->judgement.violations.empty() ? 0 : 1;
    if (++found.runs == runs_max) {
      ADD_FAILURE() << "the history is too large for this test";
      break;
    }
  }
  return found;
}

class PruningTest : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {};

TEST_P(PruningTest, ChangesNoAnswerAndNoVerdict) {
  const auto [preset, profile] = GetParam();
  const std::vector<std::vector<std::string>> histories = {
      {"put k1 9000", "put k1 9000"},
      {"put k1 3000", "put k2 6000", "purge k1", "put k3 2000"},
      {"put k1 5000", "sync", "update k1 100", "put k2 100"},
      {"put k1 300", "stop", "reformat 4K", "put k1 200"}};
  std::uint64_t runs = 0;
  std::uint64_t executed = 0;
  std::uint64_t violated = 0;
  for (const auto& history : histories) {
    const Recorded recorded = record_small(preset, profile, history);
    PruneOptions none = PruneOptions::none();
    none.contents = true;  // which plans there are must not change
    const Found plain = explore(*recorded.experiment, "exhaustive", none, 0);
    EXPECT_EQ(plain.executed, plain.runs);
    PruneOptions options;
    for (const char* off : {"answers", "reads", "image"}) {
      const Found pruned = explore(*recorded.experiment, "exhaustive", options, 0);
      EXPECT_EQ(pruned.by_plan, plain.by_plan) << history.front();
      EXPECT_LE(pruned.executed, pruned.runs);
      if (options.reads && options.answers) {
        runs += pruned.runs;
        executed += pruned.executed;
        violated += pruned.violated;
      }
      ASSERT_TRUE(switch_off(off, options).has_value());
    }
    const Found apart = explore(*recorded.experiment, "exhaustive", PruneOptions::none(), 0);
    EXPECT_EQ(apart.observations, plain.observations);
    EXPECT_GE(apart.runs, plain.runs);
  }
  EXPECT_LT(executed, runs);
  fmt::print("{} on {}: {} of {} crash states executed, {} violated\n",
             preset,
             profile,
             executed,
             runs,
             violated);
}

INSTANTIATE_TEST_SUITE_P(Presets,
                         PruningTest,
                         ::testing::Combine(::testing::Values("hardened", "squid"),
                                            ::testing::Values("ssd_4k_volatile",
                                                              "ssd_4k_zeroing",
                                                              "disk_4k_write_through")));

// With cuts inside the recoveries too.
TEST(NestedPruning, ChangesNoAnswerAndNoVerdict) {
  const Recorded recorded =
      record_small("hardened", "ssd_4k_volatile", {"put k1 5000", "sync", "put k1 5000"});
  PruneOptions none = PruneOptions::none();
  none.contents = true;
  const Found plain = explore(*recorded.experiment, "bounded", none, 2);
  const Found pruned = explore(*recorded.experiment, "bounded", {}, 2);
  EXPECT_EQ(pruned.by_plan, plain.by_plan);
  EXPECT_LT(pruned.executed, plain.executed);
  const Found lazy = explore(*recorded.experiment, "lazy", {}, 1);
  const Found exhaustive = explore(*recorded.experiment, "exhaustive", {}, 1);
  EXPECT_EQ(lazy.observations, exhaustive.observations);
  EXPECT_LT(lazy.runs, exhaustive.runs);
}

TEST(Pruning, NamesAreChecked) {
  PruneOptions options;
  const auto wrong = switch_off("magic", options);
  ASSERT_FALSE(wrong.has_value());
  EXPECT_NE(wrong.error().message.find("allowed"), std::string::npos);
  ASSERT_TRUE(switch_off("all", options).has_value());
  EXPECT_FALSE(options.image || options.reads || options.answers || options.contents);
}

}  // namespace
}  // namespace runner
