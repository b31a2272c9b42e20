// Cuts inside recoveries find what no single cut finds: each history here holds in every crash
// state of its own log, judged to the end, and lies in one with a second cut.

#include <cstdlib>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include "runner/explorer.h"
#include "runner/shrink.h"
#include "runner/small_history_test.h"

namespace runner {
namespace {

struct Found {
  std::uint64_t runs = 0, violated = 0;
  bool finished = false;
  faultfs::CrashPlan first;
  std::string property;
};

Found explore(Experiment& experiment, std::uint32_t depth, std::uint64_t runs_max) {
  Found found;
  ExplorerOptions options;
  options.name = "lazy";
  options.depth = depth;
  experiment.configure({{}, depth});
  auto explorer = make_explorer(experiment.model(), options);
  while (found.runs < runs_max) {
    const auto plan = (*explorer)->next();
    if (!plan) {
      found.finished = true;
      break;
    }
    EXPECT_TRUE(experiment.check(*plan).has_value());
    const auto state = experiment.run(*plan, (*explorer)->undecided());
    EXPECT_TRUE(state.has_value());
    (*explorer)->recovered(*state->reads, state->recovery);
    ++found.runs;
    if (!state->judgement.violations.empty() && ++found.violated == 1) {
      found.first = *plan;
      found.property = state->judgement.violations.front().property;
    }
  }
  return found;
}

constexpr const char* story[] = {"put k1 12000", "sync", "put k1 12000"};

/// A store that takes chains without their inode, on a drive that writes through: every state of
/// one cut holds; killed again while it recovers, it serves a hodgepodge.
SmallStore without_inode() {
  SmallStore store;
  store.without_gates = {"inode_required"};
  return store;
}

TEST(Nested, FindsWhatNoSingleCutDoes) {
  const Recorded recorded =
      record_small(without_inode(), "disk_4k_write_through", {std::begin(story), std::end(story)});
  const Found single = explore(*recorded.experiment, 0, 20000);
  EXPECT_TRUE(single.finished);
  EXPECT_EQ(single.violated, 0U);
  const Found nested = explore(*recorded.experiment, 2, 20000);
  EXPECT_TRUE(nested.finished);
  ASSERT_GT(nested.violated, 0U);
  EXPECT_EQ(nested.property, "no_hodgepodge");
  EXPECT_FALSE(nested.first.again.empty());
  const Recorded hardened =
      record_small(SmallStore{}, "disk_4k_write_through", {std::begin(story), std::end(story)});
  EXPECT_EQ(explore(*hardened.experiment, 2, 20000).violated, 0U);
}

// The plan prints, parses, is legal in a new recording, fails there, and shrinks to one that does.
TEST(Nested, PlansReplayAndShrink) {
  const Recorded recorded =
      record_small(without_inode(), "disk_4k_write_through", {std::begin(story), std::end(story)});
  const Found nested = explore(*recorded.experiment, 2, 20000);
  ASSERT_GT(nested.violated, 0U);
  const auto parsed = faultfs::parse_plan(faultfs::to_text(nested.first));
  ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
  EXPECT_EQ(*parsed, nested.first);
  const auto& recording = recorded.experiment->recording();
  Prober prober({}, recording.config, recording.profile, recording.seed, nested.property);
  ASSERT_TRUE(*prober.breaks(recording.commands, *parsed));
  std::size_t smaller = 0;
  ShrinkOptions options;
  options.smaller = [&](const std::vector<scenarios::Command>& commands,
                        const faultfs::CrashPlan& plan) -> faultfs::Status {
    ++smaller;
    Prober again({}, recording.config, recording.profile, recording.seed, nested.property);
    EXPECT_TRUE(*again.breaks(commands, plan)) << faultfs::to_text(plan);
    return {};
  };
  const auto shrunk = shrink(prober, recording.commands, {*parsed, recording.log.size()}, options);
  ASSERT_TRUE(shrunk.has_value()) << shrunk.error().message;
  EXPECT_TRUE(shrunk->finished);
  EXPECT_GT(smaller, 0U);
  EXPECT_TRUE(*prober.breaks(shrunk->commands, shrunk->plan));
  EXPECT_FALSE(shrunk->plan.again.empty()) << "no single cut shows it";
  EXPECT_LE(shrunk->plan.again.size(), parsed->again.size());
}

TEST(Nested, IllegalCutsInRecoveriesAreNamed) {
  const Recorded recorded =
      record_small(SmallStore{}, "ssd_4k_volatile", {std::begin(story), std::end(story)});
  const auto end = recorded.experiment->recording().log.size();
  auto plan = faultfs::parse_plan(fmt::format("cut after w{:04}\nagain cut after w9999\n", end));
  ASSERT_TRUE(plan.has_value());
  const auto legal = recorded.experiment->check(*plan);
  ASSERT_FALSE(legal.has_value());
  EXPECT_NE(legal.error().message.find("recovery 1"), std::string::npos) << legal.error().message;
}

// A tool for whoever looks for such cases: POWERCUT_NESTED_SWEEP=1 prints what each gate's absence
// shows with and without cuts inside recoveries.
TEST(NestedSweep, PrintsWhatEachGateShows) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): one thread.
  if (std::getenv("POWERCUT_NESTED_SWEEP") == nullptr) {
    GTEST_SKIP() << "set POWERCUT_NESTED_SWEEP=1 to run the sweep";
  }
  const std::vector<std::vector<std::string>> histories = {
      {"put k1 5000", "sync", "put k1 5000"},
      {"put k1 12000", "sync", "put k1 12000"},
      {"put k1 5000", "sync", "purge k1", "put k2 5000"},
      {"put k1 5000", "sync", "update k1 100"},
      {"put k1 12000", "sync", "update k1 3000", "put k2 100"},
      {"put k1 12000", "kill", "put k1 12000"}};
  for (const char* gate : {"none",
                           "db_header",
                           "slot_instance",
                           "slot_header_checksum",
                           "slot_payload_checksum",
                           "write_id",
                           "inode_required",
                           "tail_required",
                           "owner_check",
                           "durable_invalidation",
                           "update_supersedes"}) {
    for (const char* profile : {"ssd_4k_volatile", "ssd_16k_atomic", "disk_4k_write_through"}) {
      for (const auto& history : histories) {
        SmallStore store;
        if (std::string(gate) != "none") {
          store.without_gates = {gate};
        }
        const Recorded recorded = record_small(store, profile, history);
        const Found single = explore(*recorded.experiment, 0, 20000);
        const Found nested = explore(*recorded.experiment, 2, 20000);
        fmt::print("{} {} {}: single {} of {}{}, nested {} of {} {}\n",
                   gate,
                   profile,
                   fmt::join(history, "; "),
                   single.violated,
                   single.runs,
                   single.finished ? "" : "+",
                   nested.violated,
                   nested.runs,
                   single.violated == 0 && nested.violated > 0
                       ? "ONLY NESTED " + nested.property + "\n" + faultfs::to_text(nested.first)
                       : "");
      }
    }
  }
}

}  // namespace
}  // namespace runner
