// Every fault that a campaign can have, in the scenario where it matters to a cache: the hardened
// engine claims little on such a device, and keeps it; another cache is seen to lie where the fault
// can lead there; and where it can only cost something, the cost is shown. Each of these is tried
// without the fault, too: then nothing lies and nothing is lost.

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "faultfs/faults/catalogue.h"
#include "faultfs/tear.h"
#include "runner/explore_task.h"
#include "runner/prober.h"
#include "scenarios/generate.h"

namespace runner {
namespace {

struct Row {
  const char* scenario;
  const char* store;
  const char* lie;      ///< property that the bad cache breaks; empty: it cannot come to that
  const char* preset;   ///< of the bad cache
  const char* without;  ///< … or the gate that it lacks
  bool costs;           ///< the hardened engine loses something: a hit, or an acknowledgement
};

void PrintTo(const Row& row, std::ostream* out) {
  *out << row.scenario;
}

constexpr Row rows[] = {
    {"fault_lying_flush", "rock", "no_unwritten_bytes", "squid", "", true},
    {"fault_lying_fua", "cyclone", "", "", "", true},
    {"fault_phantom_write", "rock", "no_hodgepodge", "squid", "", true},
    {"fault_misdirected_write", "rock", "no_foreign_bytes", "squid", "", true},
    {"fault_torn_write", "rock", "no_unwritten_bytes", "squid", "", true},
    {"fault_late_write", "rock", "", "", "", true},
    {"fault_stale_read", "rock", "no_hodgepodge", "squid", "", true},
    {"fault_latent_sector_error", "rock", "", "", "", true},
    {"fault_rot_on_write", "rock", "no_garbage", "squid", "", true},
    {"fault_rot_on_read", "rock", "no_garbage", "squid", "", true},
    {"fault_run_rollback", "rock", "no_hodgepodge", "squid", "", true},
    {"fault_kill_client", "rock", "", "", "", true},
    {"fault_eio_on_write", "rock", "", "", "", true},
    {"fault_eio_on_read", "rock", "", "", "", true},
    {"fault_enospc", "rock", "", "", "", true},
    {"fault_erofs", "rock", "", "", "", true},
    {"fault_enodev", "rock", "", "", "", true},
    {"fault_failed_flush_clean", "rock", "", "", "", true},
    {"fault_failed_flush_late", "rock", "", "", "", true},
    {"fault_failed_flush_reverted", "rock", "", "", "", true},
    {"fault_failed_flush_dirty", "rock", "", "", "", true},
    {"fault_short_read", "rock", "", "", "", false},
    {"fault_short_write", "rock", "", "", "", false},
    {"fault_latency", "rock", "", "", "", false},
};

const scenarios::NamedScenario& scenario(const std::string& name) {
  const auto& all = scenarios::named_scenarios();
  const auto found = std::ranges::find(all, name, &scenarios::NamedScenario::name);
  if (found == all.end()) {
    throw std::invalid_argument(name);
  }
  return *found;
}

/// What was seen of one cache in one scenario.
struct Seen {
  std::set<std::string> violated;
  std::uint64_t firings = 0, acknowledged = 0, hits_least = UINT64_MAX;
};

/// The states in which the power may go at the end, at most one write away from all or nothing.
std::vector<faultfs::CrashPlan> plans_at_the_end(const Experiment& experiment,
                                                 faultfs::CrashModel& model) {
  const std::uint32_t end = experiment.recording().log.size();
  const faultfs::CrashPoint cut{faultfs::CutKind::power_cut, end, false};
  faultfs::CrashPlan nothing{cut, {}};
  std::vector<faultfs::CrashPlan> plans = {{{faultfs::CutKind::kill, end, false}, {}}, {cut, {}}};
  for (const auto& write : model.volatile_writes(cut)) {
    const faultfs::Fate lost{write.entry, faultfs::FateKind::lost, {}, 0, 0};
    nothing.fates.push_back(lost);
    plans.push_back({cut, {lost}});
    for (const auto shape : {faultfs::TearShape::prefix, faultfs::TearShape::first}) {
      if (auto torn = faultfs::torn_fate(shape, write)) {
        plans.push_back({cut, {*torn}});
      }
    }
  }
  plans.push_back(nothing);
  std::erase_if(plans, [&](const auto& plan) { return !model.check(plan); });
  return plans;
}

std::uint64_t hits(const std::vector<scenarios::Reading>& readings) {
  return static_cast<std::uint64_t>(std::ranges::count_if(readings, [](const auto& reading) {
    return reading.kind == scenarios::GetReply::Kind::hit;
  }));
}

void note(const properties::Judgement& judgement, Seen& seen) {
  for (const auto& violation : judgement.violations) {
    seen.violated.insert(violation.property);
  }
}

Seen look(const scenarios::TargetConfig& config, const std::string& name, bool with_faults) {
  Seen seen;
  const auto& story = scenario(name);
  const auto profile = faultfs::find_profile("ssd_4k_volatile").value();
  auto stage = Stage::create(config, profile, {});
  EXPECT_TRUE(stage) << stage.error().message;
  auto experiment = Experiment::record(**stage,
                                       config,
                                       profile,
                                       1,
                                       story.commands,
                                       with_faults ? story.faults : scenarios::Faults());
  EXPECT_TRUE(experiment) << experiment.error().message;
  const auto& recording = (*experiment)->recording();
  const auto count = [&seen](const std::vector<faultfs::FaultState>& states) {
    for (const auto& state : states) {
      seen.firings += state.firings;
    }
  };
  note((*experiment)->judge_run(), seen);
  count(recording.fault_states);
  for (const auto& operation : recording.history.operations) {
    seen.acknowledged += operation.acknowledged ? 1 : 0;
  }
  for (const auto& plan : plans_at_the_end(**experiment, (*experiment)->model())) {
    auto result = (*experiment)->run(plan);
    EXPECT_TRUE(result) << result.error().message;
    note(result->judgement, seen);
    count(result->seen->fault_states);
    seen.hits_least = std::min(seen.hits_least, hits(result->seen->after_recovery));
  }
  return seen;
}

scenarios::TargetConfig cache(const Row& row, bool bad) {
  scenarios::TargetConfig config;
  config.store = row.store;
  config.disk_bytes = config.store == "cyclone" ? 4 << 20 : 1 << 20;
  if (bad && *row.preset != '\0') {
    config.preset = row.preset;
  }
  if (bad && *row.without != '\0') {
    config.without_gates = {row.without};
  }
  return config;
}

class FaultScenario : public ::testing::TestWithParam<Row> {};

INSTANTIATE_TEST_SUITE_P(, FaultScenario, ::testing::ValuesIn(rows), [](const auto& row) {
  return std::string(row.param.scenario);
});

TEST_P(FaultScenario, TheHardenedEngineKeepsWhatItClaimsAndThePriceShows) {
  const auto faulty = look(cache(GetParam(), false), GetParam().scenario, true);
  EXPECT_TRUE(faulty.violated.empty()) << *faulty.violated.begin();
  EXPECT_GT(faulty.firings, 0U);
  const auto honest = look(cache(GetParam(), false), GetParam().scenario, false);
  EXPECT_TRUE(honest.violated.empty()) << *honest.violated.begin();
  EXPECT_EQ(honest.firings, 0U);
  const bool lost =
      faulty.hits_least < honest.hits_least || faulty.acknowledged < honest.acknowledged;
  EXPECT_EQ(lost, GetParam().costs)
      << "hits " << faulty.hits_least << " and " << honest.hits_least << ", acknowledged "
      << faulty.acknowledged << " and " << honest.acknowledged;
}

TEST_P(FaultScenario, AWorseCacheLiesWithTheFaultAndOnlyWithIt) {
  if (*GetParam().lie == '\0') {
    return;  // this one can only cost something
  }
  const auto faulty = look(cache(GetParam(), true), GetParam().scenario, true);
  EXPECT_TRUE(faulty.violated.contains(GetParam().lie))
      << "seen: " << (faulty.violated.empty() ? "nothing" : *faulty.violated.begin());
  const auto honest = look(cache(GetParam(), true), GetParam().scenario, false);
  EXPECT_TRUE(honest.violated.empty()) << *honest.violated.begin();
}

TEST(FaultScenarios, EveryFaultHasOne) {
  std::set<std::string> told;
  for (const Row& row : rows) {
    for (const auto& fault : scenario(row.scenario).faults) {
      told.insert(fault.fault);
    }
  }
  for (const auto& kind : faultfs::faults::catalogue()) {
    // These two wait for somebody to release them: WaitingRequests in engine_mount_test.cc.
    const bool waits = kind.name == "hold" || kind.name == "stall";
    EXPECT_EQ(told.contains(std::string(kind.name)), !waits) << kind.name;
  }
}

TEST(FaultClaims, NoFaultTakesWhatMakesACacheACache) {
  for (const auto& kind : faultfs::faults::catalogue()) {
    faultfs::faults::Expression expression;
    expression.fault = kind.name;
    for (const char* store : {"rock", "cyclone"}) {
      scenarios::TargetConfig config;
      config.store = store;
      for (const auto& profile : faultfs::all_profiles()) {
        std::set<std::string_view> claims;
        for (const auto* property : properties::claimed(config, profile, {expression})) {
          claims.insert(property->name());
        }
        for (const char* name : {"no_hodgepodge",
                                 "no_foreign_bytes",
                                 "no_unfinished_object",
                                 "no_partial_object",
                                 "no_unwritten_bytes",
                                 "no_garbage",
                                 "no_wrong_length",
                                 "slots_conserved",
                                 "process_survives"}) {
          EXPECT_TRUE(claims.contains(name)) << name << ", " << kind.name << ", " << profile.name;
        }
      }
    }
  }
}

/// What is violated on a device whose lost sectors read as something else.
std::set<std::string> violated_on(const char* profile_name, const char* preset) {
  scenarios::TargetConfig config;
  config.store = "rock";
  config.disk_bytes = 1 << 20;
  config.preset = preset;
  const auto profile = faultfs::find_profile(profile_name).value();
  auto stage = Stage::create(config, profile, {});
  EXPECT_TRUE(stage) << stage.error().message;
  auto experiment = Experiment::record(
      **stage, config, profile, 1, scenario("fault_misdirected_write").commands, {});
  EXPECT_TRUE(experiment) << experiment.error().message;
  Seen seen;
  auto& model = (*experiment)->model();
  // The power goes behind every write; of each volatile one, alone, the first or last part is lost.
  for (std::uint32_t entry = 1; entry <= (*experiment)->recording().log.size(); ++entry) {
    const faultfs::CrashPoint cut{faultfs::CutKind::power_cut, entry, false};
    for (const auto& write : model.volatile_writes(cut)) {
      for (const auto shape : {faultfs::TearShape::prefix, faultfs::TearShape::suffix}) {
        const auto fate = faultfs::torn_fate(shape, write);
        if (!fate) {
          continue;
        }
        auto result = (*experiment)->run({cut, {*fate}});
        EXPECT_TRUE(result) << result.error().message;
        note(result->judgement, seen);
      }
    }
  }
  return seen.violated;
}

// Lost content that is another object's bytes: looks right to whoever checks nothing.
TEST(LostContent, BytesOfAnotherObjectAreServedByACacheWithoutChecksumsOnly) {
  EXPECT_TRUE(violated_on("ssd_4k_foreign", "squid").contains("no_foreign_bytes"));
  EXPECT_EQ(violated_on("ssd_4k_foreign", "hardened"), std::set<std::string>());
  EXPECT_FALSE(violated_on("ssd_4k_zeroing", "squid").contains("no_foreign_bytes"))
      << "that takes bytes of another object";
}

TEST(FaultScenarios, TheHardenedEngineHoldsInEveryCrashStateOfThem) {
  for (const Row& row : rows) {
    CampaignOptions options;
    options.config = cache(row, false);
    options.vary_slot = false;
    options.scenario = row.scenario;
    options.profile = "ssd_4k_volatile";
    options.states_per_history = 40;
    const auto result = explore(options, {}, {0});
    EXPECT_EQ(result.violated, 0U) << row.scenario;
    EXPECT_EQ(result.undecided, 0U) << row.scenario;
    EXPECT_EQ(result.trouble, "") << row.scenario;
    EXPECT_GT(result.faults.begin()->second.firings, 0U) << row.scenario;
  }
}

}  // namespace
}  // namespace runner
