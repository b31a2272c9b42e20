// What a rebuild remembers under either policy for entries that contradict themselves: the same
// crash images, restarted under the documented rule (the whole entry goes) and under
// newest-complete. Neither may lie; the difference in what is recalled is measured and printed.

#include <iostream>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "faultfs/base/random.h"
#include "scenarios/generate.h"
#include "scenarios/recording.h"

namespace scenarios {
namespace {

constexpr std::uint64_t histories = 150;
constexpr std::uint64_t cuts_per_history = 20;

/// The engine in this process under one policy.
struct Bench {
  explicit Bench(const char* policy)
      : device(std::move(*faultfs::Device::create(*faultfs::find_profile("ssd_4k_volatile"),
                                                  {{disk_name(config), config.disk_bytes}}))),
        rig{*device, {}, {}, -1} {
    config.policy = policy;
    config.slot_bytes = 4096;
    auto made = make_target(config, rig);
    EXPECT_TRUE(made);
    target = std::move(*made);
  }

  std::vector<Reading> read(const Recording& recording,
                            faultfs::CrashModel& model,
                            const faultfs::CrashPlan& plan) {
    ExamineOptions options;
    options.reopen = options.traffic = false;
    auto seen = examine(*target, rig, recording, plan.point, model.build(plan), options);
    EXPECT_TRUE(seen);
    return seen->after_recovery;
  }

  TargetConfig config;
  std::unique_ptr<faultfs::Device> device;
  Rig rig;
  std::unique_ptr<Target> target;
};

struct Recall {
  std::uint64_t reads = 0, whole_entry = 0, newest_complete = 0;
};

/// A power cut anywhere in the log; each volatile write is lost or kept.
faultfs::CrashPlan random_cut(const faultfs::CrashModel& model, std::uint64_t seed) {
  faultfs::Random random(seed);
  const auto entry = static_cast<std::uint32_t>(1 + random.below(model.log().size()));
  faultfs::CrashPlan plan{{faultfs::CutKind::power_cut, entry, false}, {}};
  for (const auto& write : model.volatile_writes(plan.point)) {
    if (random.chance(1, 2)) {
      plan.fates.push_back({write.entry, faultfs::FateKind::lost, {}, 0, 0});
    }
  }
  return plan;
}

void compare(const std::vector<Reading>& whole, const std::vector<Reading>& newest, Recall& sum) {
  ASSERT_EQ(whole.size(), newest.size());
  for (std::size_t key = 0; key < whole.size(); ++key) {
    for (const Reading* reading : {&whole[key], &newest[key]}) {
      EXPECT_LE(reading->pieces.size(), 1U) << to_text(*reading);
    }
    const bool kept = whole[key].kind == GetReply::Kind::hit;
    ++sum.reads;
    sum.whole_entry += kept ? 1 : 0;
    sum.newest_complete += newest[key].kind == GetReply::Kind::hit ? 1 : 0;
    if (kept) {
      EXPECT_EQ(whole[key], newest[key]) << "the documented rule remembers something else";
    }
  }
}

TEST(RebuildPolicies, NewestCompleteRemembersMoreAndLiesNoMore) {
  Bench whole("whole_entry"), newest("newest_complete");
  GenerateOptions options;
  options.traits = whole.target->traits();
  options.slot_bytes = whole.config.slot_bytes;
  Recall sum;
  for (std::uint64_t seed = 0; seed < histories; ++seed) {
    auto recording = record(*whole.target, whole.rig, whole.config, seed, generate(seed, options));
    ASSERT_TRUE(recording);
    faultfs::CrashModel model(recording->base, recording->log, recording->profile);
    for (std::uint64_t cut = 0; cut < cuts_per_history; ++cut) {
      const auto plan = random_cut(model, faultfs::mix(seed, cut));
      compare(whole.read(*recording, model, plan), newest.read(*recording, model, plan), sum);
      ASSERT_FALSE(HasFailure()) << "history " << seed << "\n" << to_text(plan);
    }
  }
  const auto percent = [&sum](std::uint64_t hits) {
    return 100.0 * static_cast<double>(hits) / static_cast<double>(sum.reads);
  };
  std::cout << fmt::format(
      "{} reads after {} cuts: whole_entry recalls {} ({:.1f} %), newest_complete {} ({:.1f} %)\n",
      sum.reads,
      histories * cuts_per_history,
      sum.whole_entry,
      percent(sum.whole_entry),
      sum.newest_complete,
      percent(sum.newest_complete));
  EXPECT_GT(sum.newest_complete, sum.whole_entry) << "no entry contradicted itself";
}

}  // namespace
}  // namespace scenarios
