#include "runner/explorer.h"

#include <algorithm>
#include <set>

#include <gtest/gtest.h>

#include "faultfs/base/random.h"
#include "runner/explorers/draw.h"

namespace runner {
namespace {

using namespace faultfs::literals;

struct Log {
  std::vector<faultfs::Image> base{faultfs::Image(1_MiB)};
  faultfs::WriteLog log;

  Log& write(std::uint64_t offset_bytes, std::uint64_t size_bytes, bool fua = false) {
    const faultfs::Bytes bytes(size_bytes, std::byte{static_cast<unsigned char>(log.size() + 1)});
    log.add_write(0, offset_bytes, bytes, fua, log.size());
    return *this;
  }
  Log& flush() {
    log.add_flush(0, log.size());
    return *this;
  }
};

faultfs::DeviceProfile profile(std::string_view name) {
  return *faultfs::find_profile(name);
}

std::vector<faultfs::CrashPlan> all_plans(const faultfs::CrashModel& model,
                                          ExplorerOptions options) {
  auto explorer = make_explorer(model, options);
  EXPECT_TRUE(explorer.has_value());
  std::vector<faultfs::CrashPlan> plans;
  constexpr std::size_t plans_max = 1000;  // some have more than anybody can count
  while (plans.size() < plans_max) {
    const auto plan = (*explorer)->next();
    if (!plan) {
      break;
    }
    plans.push_back(*plan);
  }
  return plans;
}

std::size_t distinct(const std::vector<faultfs::CrashPlan>& plans) {
  std::set<std::string> texts;
  for (const auto& plan : plans) {
    texts.insert(faultfs::to_text(plan));
  }
  return texts.size();
}

/// A log drawn from `seed`: odd sizes and offsets, flushes and FUA here and there.
Log random_log(std::uint64_t seed) {
  faultfs::Random random(seed);
  Log log;
  const std::uint64_t requests = 1 + random.below(20);
  for (std::uint64_t at = 0; at < requests; ++at) {
    if (random.chance(1, 6)) {
      log.flush();
    } else {
      log.write(random.below(900000), 1 + random.below(40000), random.chance(1, 5));
    }
  }
  return log;
}

TEST(Explorers, EveryPlanIsLegalOnEveryProfile) {
  std::uint64_t plans_seen = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    const Log log = random_log(seed);
    for (const auto& device : faultfs::all_profiles()) {
      faultfs::CrashModel model(log.base, log.log, device);
      for (const auto& name : explorer_names()) {
        const bool plans_all_first = name == "lazy" || name == "exhaustive";
        if (plans_all_first && seed >= 6) {
          continue;  // they look at every content of every sector before they give a plan
        }
        for (const auto& plan : all_plans(model, {name, seed, 1, 60})) {
          const auto legal = model.check(plan);
          ASSERT_TRUE(legal.has_value())
              << name << " on " << device.name << ": " << legal.error().message << "\n"
              << faultfs::to_text(plan);
          ++plans_seen;
        }
      }
    }
  }
  EXPECT_GT(plans_seen, 100000U);
}

// A kill after each request, each once, whatever the seed, and nothing else.
TEST(Explorers, KillsFallBetweenRequestsOnly) {
  const Log log = random_log(3);
  faultfs::CrashModel model(log.base, log.log, profile("ssd_4k_volatile"));
  const auto plans = all_plans(model, {"kills", 9, 0, 0});
  EXPECT_EQ(plans.size(), explorers::crash_entries(log.log).size());
  EXPECT_EQ(distinct(plans), plans.size());
  for (const auto& plan : plans) {
    EXPECT_TRUE(plan.fates.empty());
    EXPECT_FALSE(plan.point.inside);
    EXPECT_EQ(plan.point.kind, faultfs::CutKind::kill);
  }
}

// n writes of one page, no flush: at point i there are i volatile writes, so i + 1 in-order losses
// and one kill.
TEST(Explorers, PrefixCountsEveryInOrderLossAndKill) {
  Log log;
  constexpr std::size_t n = 7;
  for (std::size_t at = 0; at < n; ++at) {
    log.write(at * 4096, 4096);
  }
  faultfs::CrashModel model(log.base, log.log, profile("ssd_4k_volatile"));
  const auto plans = all_plans(model, {"prefix", 0, 0, 0});
  EXPECT_EQ(plans.size(), n * (n + 1) / 2 + n + n);
  EXPECT_EQ(distinct(plans), plans.size());
}

TEST(Explorers, PrefixCutsAKillAtEveryPageOfTheWriteInFlight) {
  Log log;
  log.write(4096, 16384);
  faultfs::CrashModel model(log.base, log.log, profile("disk_4k_write_through"));
  // Three page boundaries inside, the kill after, and the power cut after.
  EXPECT_EQ(all_plans(model, {"prefix", 0, 0, 0}).size(), 5U);
}

// At a point with i volatile writes and k deviations: sum over j ≤ k of C(i, j), twice (from all
// kept, from all lost), less what both name when i ≤ 2k.
TEST(Explorers, BoundedCountsAreTheClosedFormula) {
  Log log;
  constexpr std::uint64_t n = 8;
  for (std::uint64_t at = 0; at < n; ++at) {
    log.write(at * 4096, 4096);
  }
  faultfs::CrashModel model(log.base, log.log, profile("ssd_4k_volatile"));
  const auto plans = all_plans(model, {"bounded", 0, 1, 0});
  std::uint64_t expected = 0;
  for (std::uint64_t i = 1; i <= n; ++i) {
    const std::uint64_t all = std::uint64_t{1} << i;
    expected += std::min(2 * (1 + i), all);
  }
  EXPECT_EQ(plans.size(), expected);
  EXPECT_EQ(distinct(plans), plans.size());
}

// Writes to n pages of their own: at point i, 2^i power cuts; besides, a kill after each write.
TEST(Explorers, ExhaustiveCountsAreTheClosedFormula) {
  Log log;
  constexpr std::uint64_t n = 6;
  for (std::uint64_t at = 0; at < n; ++at) {
    log.write(at * 4096, 4096);
  }
  faultfs::CrashModel model(log.base, log.log, profile("ssd_4k_volatile"));
  const auto plans = all_plans(model, {"exhaustive", 0, 0, 0});
  EXPECT_EQ(plans.size(), (std::uint64_t{1} << (n + 1)) - 2 + n);
  EXPECT_EQ(distinct(plans), plans.size());
}

// n writes to one page are n + 1 versions, not 2^n states.
TEST(Explorers, ExhaustiveCountsVersionsNotFates) {
  Log log;
  constexpr std::uint64_t n = 6;
  for (std::uint64_t at = 0; at < n; ++at) {
    log.write(0, 4096);
  }
  faultfs::CrashModel model(log.base, log.log, profile("ssd_4k_volatile"));
  EXPECT_EQ(all_plans(model, {"exhaustive", 0, 0, 0}).size(), n * (n + 1) / 2 + n + n);
}

// A cache that reads one of n pages: at each point that page's two contents are all there is to
// try.
TEST(Explorers, LazyBranchesOnlyWhereSomethingWasRead) {
  Log log;
  constexpr std::uint64_t n = 6;
  for (std::uint64_t at = 0; at < n; ++at) {
    log.write(at * 4096, 4096);
  }
  faultfs::CrashModel model(log.base, log.log, profile("ssd_4k_volatile"));
  auto explorer = make_explorer(model, {"lazy", 0, 0, 0});
  std::uint64_t runs = 0;
  for (; (*explorer)->next(); ++runs) {
    const auto open = (*explorer)->undecided();
    const bool read = std::ranges::find(open, faultfs::SectorPlace{0, 0}) != open.end();
    (*explorer)->observed(read ? std::vector<faultfs::SectorPlace>{{0, 0}}
                               : std::vector<faultfs::SectorPlace>{});
  }
  EXPECT_EQ(runs, 2 * n + n);
  EXPECT_EQ((*explorer)->covered(), static_cast<double>((std::uint64_t{1} << (n + 1)) - 2 + n));
  EXPECT_TRUE((*explorer)->unexplored().empty());
}

// Stopped anywhere, it has given everything with fewer deviations first.
TEST(Explorers, LazyGoesByDeviations) {
  Log log;
  for (std::uint64_t at = 0; at < 5; ++at) {
    log.write(at * 4096, 4096);
  }
  faultfs::CrashModel model(log.base, log.log, profile("ssd_4k_volatile"));
  std::size_t deviations = 0;
  std::size_t number = 0;
  for (const auto& plan : all_plans(model, {"lazy", 0, 0, 0})) {
    if (++number <= 6) {
      // The end of the log: nothing lost, then one of its five writes.
      EXPECT_EQ(plan.point.entry, 5U);
      EXPECT_EQ(plan.fates.size(), number == 1 ? 0U : 1U);
      continue;
    }
    EXPECT_GE(plan.fates.size(), deviations);
    deviations = plan.fates.size();
  }
  EXPECT_EQ(deviations, 5U);
}

// What the shards of a log give together is what one explorer of it gives.
TEST(Explorers, ShardsDivideTheStates) {
  Log log;
  for (std::uint64_t at = 0; at < 6; ++at) {
    log.write((at % 4) * 4096, 8192);
  }
  faultfs::CrashModel model(log.base, log.log, profile("ssd_4k_volatile"));
  ExplorerOptions options{"exhaustive", 0, 0, 400};
  const auto given = [&] {
    auto explorer = make_explorer(model, options);
    std::multiset<std::string> plans;
    while (const auto plan = (*explorer)->next()) {
      plans.insert(faultfs::to_text(*plan));
    }
    return plans;
  };
  const auto all = given();
  std::multiset<std::string> together;
  options.shards = 3;
  for (options.shard = 0; options.shard < options.shards; ++options.shard) {
    together.merge(given());
  }
  EXPECT_EQ(all, together);
}

// With k as large as the number of writes, bounded gives every subset exactly once.
TEST(Explorers, BoundedWithoutABoundIsExhaustive) {
  Log log;
  constexpr std::uint64_t n = 6;
  for (std::uint64_t at = 0; at < n; ++at) {
    log.write(at * 4096, 4096);
  }
  faultfs::CrashModel model(log.base, log.log, profile("ssd_4k_volatile"));
  const auto plans = all_plans(model, {"bounded", 0, n, 0});
  EXPECT_EQ(plans.size(), (std::uint64_t{1} << (n + 1)) - 2);
  EXPECT_EQ(distinct(plans), plans.size());
}

TEST(Explorers, SameSeedSamePlansAnotherSeedOthers) {
  const Log log = random_log(3);
  faultfs::CrashModel model(log.base, log.log, profile("ssd_512_volatile"));
  EXPECT_TRUE(all_plans(model, {"mixed", 5, 0, 200}) == all_plans(model, {"mixed", 5, 0, 200}));
  EXPECT_FALSE(all_plans(model, {"mixed", 5, 0, 200}) == all_plans(model, {"mixed", 6, 0, 200}));
}

TEST(Explorers, WhereACircleBeginsAgainIsDrawnMoreOftenAndMostlyInside) {
  Log log;
  log.base = {faultfs::Image(4_MiB)};
  for (int round = 0; round < 2; ++round) {
    for (int write = 0; write < 30; ++write) {
      log.write(64_KiB + static_cast<std::uint64_t>(write) * 128_KiB, 128_KiB, true);
      log.write(0, 4_KiB, true);  // small: a header, no place in the circle
    }
  }
  const std::vector<std::uint32_t> wraps = explorers::wrap_entries(log.log);
  ASSERT_EQ(wraps, std::vector<std::uint32_t>{61});
  faultfs::CrashModel model(log.base, log.log, profile("disk_4k_write_through"));
  std::size_t there = 0;
  std::size_t inside = 0;
  for (const auto& plan : all_plans(model, {"mixed", 1, 0, 400})) {
    there += plan.point.entry == 61 ? 1U : 0U;
    inside += plan.point.entry == 61 && plan.point.inside ? 1U : 0U;
  }
  EXPECT_GT(there, 60U);
  EXPECT_GT(inside, there / 2);
}

TEST(Explorers, RandomReachesEveryKindOfFateTheProfileAllows) {
  const Log log = random_log(11);
  std::set<faultfs::FateKind> kinds;
  bool torn_inside = false;
  for (const auto& device : faultfs::all_profiles()) {
    faultfs::CrashModel model(log.base, log.log, device);
    for (std::uint64_t seed = 1; seed <= 6; ++seed) {
      for (const auto& plan : all_plans(model, {"random", seed, 0, 100})) {
        for (const auto& fate : plan.fates) {
          kinds.insert(fate.kind);
          torn_inside = torn_inside || fate.tear_bytes > 0;
        }
      }
    }
  }
  EXPECT_TRUE(kinds.contains(faultfs::FateKind::lost));
  EXPECT_TRUE(kinds.contains(faultfs::FateKind::torn));
  EXPECT_TRUE(kinds.contains(faultfs::FateKind::garbled));
  EXPECT_TRUE(kinds.contains(faultfs::FateKind::misdirected));
  EXPECT_TRUE(torn_inside);
}

// Swarm: a seed may have no kills at all, or no torn writes, so that what is left comes often.
TEST(Explorers, RandomLeavesWholeKindsOutOfSomeSeeds) {
  const Log log = random_log(11);
  faultfs::CrashModel model(log.base, log.log, profile("disk_512_torn"));
  int no_kills = 0;
  int no_tears = 0;
  int no_cuts_inside = 0;
  constexpr int seeds = 40;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    bool kills = false;
    bool tears = false;
    bool inside = false;
    for (const auto& plan : all_plans(model, {"random", seed, 0, 200})) {
      const bool kill = plan.point.kind == faultfs::CutKind::kill;
      kills = kills || kill;
      inside = inside || (plan.point.inside && !kill);
      for (const auto& fate : plan.fates) {
        tears = tears || (fate.kind == faultfs::FateKind::torn && !kill);
      }
    }
    no_kills += kills ? 0 : 1;
    no_tears += tears ? 0 : 1;
    no_cuts_inside += inside ? 0 : 1;
  }
  for (const int without : {no_kills, no_tears, no_cuts_inside}) {
    EXPECT_GT(without, 0);
    EXPECT_LT(without, seeds / 2);
  }
}

TEST(Explorers, UnknownNameIsRefusedWithTheAllowedOnes) {
  const Log log;
  faultfs::CrashModel model(log.base, log.log, profile("ssd_4k_volatile"));
  auto explorer = make_explorer(model, {"psychic", 0, 0, 0});
  ASSERT_FALSE(explorer.has_value());
  EXPECT_EQ(explorer.error().message,
            "\"psychic\" is no explorer; allowed: kills, prefix, bounded, random, mixed, lazy, "
            "exhaustive");
}

TEST(Explorers, SayWhatTheyLeaveOut) {
  const Log log = random_log(4);
  faultfs::CrashModel model(log.base, log.log, profile("ssd_4k_volatile"));
  for (const auto& name : explorer_names()) {
    auto explorer = make_explorer(model, {name, 0, 1, 10});
    for (int given = 0; given < 10 && (*explorer)->next(); ++given) {
    }
    EXPECT_FALSE((*explorer)->unexplored().empty()) << name;
  }
}

}  // namespace
}  // namespace runner
