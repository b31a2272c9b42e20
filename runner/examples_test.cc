// The programs of "Test your own cache" (scenarios/README.md): the ones that are bad on purpose are
// caught, the one that is not stays clean over as many states.
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include <gtest/gtest.h>

#include "faultfs/base/random.h"
#include "runner/experiment.h"
#include "runner/explorer.h"
#include "runner/options.h"

namespace runner {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t histories_max = 4, states_of_each = 10;

struct Found {
  std::uint32_t states = 0, violated = 0;
  std::string trouble;
};

CampaignOptions options_of(const std::string& program) {
  CampaignOptions options;
  options.config.target = "command";
  options.config.program = program;
  options.config.disk_bytes = scenarios::default_disk_bytes("command");
  options.config.slot_bytes = scenarios::default_slot_bytes("command");
  options.device = DeviceKind::fuse;
  options.seed = 7;
  return options;
}

void look_at(Experiment& experiment, std::uint64_t seed, Found& found) {
  auto explorer = make_explorer(experiment.model(),
                                {.name = "mixed", .seed = seed, .states_max = states_of_each});
  ASSERT_TRUE(explorer.has_value());
  found.violated += experiment.judge_run().verdict == properties::Verdict::violated ? 1 : 0;
  while (const auto plan = (*explorer)->next()) {
    const auto state = experiment.run(*plan);
    ASSERT_TRUE(state.has_value()) << state.error().message;
    ++found.states;
    found.violated += state->judgement.verdict == properties::Verdict::violated ? 1 : 0;
  }
}

/// The generated histories of one campaign, until something was violated or they are over.
Found campaign_on(const std::string& example) {
  const CampaignOptions options = options_of((fs::path(POWERCUT_EXAMPLES) / example).string());
  std::string name = (fs::temp_directory_path() / "powercut-test-XXXXXX").string();
  const fs::path scratch = mkdtemp(name.data());
  Found found;
  for (std::uint64_t index = 0; index < histories_max && found.violated == 0; ++index) {
    HistoryPlan plan = plan_history(options, index);
    auto stage = Stage::create(plan.config, plan.profile, {DeviceKind::fuse, scratch, -1});
    EXPECT_TRUE(stage.has_value()) << stage.error().message;
    plan_commands(options, (*stage)->target().traits(), plan);
    auto experiment =
        Experiment::record(**stage, plan.config, plan.profile, plan.seed, plan.commands);
    EXPECT_TRUE(experiment.has_value()) << experiment.error().message;
    look_at(**experiment, plan.seed, found);
  }
  fs::remove_all(scratch);
  return found;
}

class Examples : public testing::Test {
 protected:
  void SetUp() override {
    if (const auto mountable = faultfs::mount::can_mount(); !mountable) {
      GTEST_SKIP() << mountable.error().message;
    }
  }
};

TEST_F(Examples, TheNaiveStoreIsCaught) {
  const Found found = campaign_on("naive_store");
  EXPECT_GT(found.violated, 0U) << "in " << found.states << " states";
}

TEST_F(Examples, SqliteWithoutAJournalIsCaught) {
  if (::access("/usr/bin/sqlite3", X_OK) != 0) {
    GTEST_SKIP() << "sqlite3 is not installed: apt-get install sqlite3";
  }
  const Found found = campaign_on("sqlite_store");
  EXPECT_GT(found.violated, 0U) << "in " << found.states << " states";
}

TEST_F(Examples, TheLogStoreStaysClean) {
  const Found found = campaign_on("log_store");
  EXPECT_EQ(found.violated, 0U);
  EXPECT_GE(found.states, histories_max * states_of_each / 2) << "a green run looked at something";
}

}  // namespace
}  // namespace runner
