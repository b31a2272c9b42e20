// Random programs against the second voice: what they do to a tree, which plans are legal at any
// point of their log, and what each leaves.

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "faultfs/base/random.h"
#include "faultfs/tree/naive_tree.h"
#include "faultfs/tree/tree_choice.h"
#include "faultfs/tree/tree_rig_test.h"

namespace faultfs::tree {
namespace {

constexpr std::array<std::string_view, 8> paths = {
    "a", "d", "e", "d/a", "e/a", "d/e", "e/d", "d/e/a"};
constexpr std::array<std::string_view, 3> promises = {"ordered", "journal", "loose"};
constexpr std::array<std::string_view, 8> devices = {"ssd_512_volatile",
                                                     "ssd_512_volatile",
                                                     "ssd_4k_volatile",
                                                     "disk_512_write_through",
                                                     "ssd_4k_zeroing",
                                                     "ssd_4k_foreign",
                                                     "disk_512_torn",
                                                     "ssd_512_lying_flush"};

template <typename List>
auto one_of(Random& random, const List& list) {
  return list[random.below(list.size())];
}

int try_step(Rig& rig, Random& random) {
  const std::string_view path = one_of(random, paths);
  const std::string_view other = one_of(random, paths);
  const std::string bytes(1 + random.below(1500), static_cast<char>('a' + random.below(26)));
  switch (random.below(14)) {
    case 0:
      return rig.create(path);
    case 1:
    case 2:
      return rig.mkdir(path);
    case 3:
      return rig.link(path, other);
    case 4:
      return rig.unlink(path);
    case 5:
      return rig.rmdir(path);
    case 6:
    case 7:
    case 8:
      return rig.rename(path, other);
    case 9:
    case 10:
      return rig.write(path, random.below(2500), bytes);
    case 11:
      return rig.truncate(path, random.below(4000));
    case 12:
      return rig.sync(path);
    default:
      return rig.sync("");
  }
}

/// A step that does something, if one is found soon.
void step(Rig& rig, Random& random) {
  for (int tries = 0; tries < 8 && try_step(rig, random) != 0; ++tries) {
  }
}

/// A plan that need not be legal: a choice with a fate or two changed.
CrashPlan guess(const TreeModel& model, Random& random) {
  CrashPoint point{random.chance(1, 8) ? CutKind::kill : CutKind::power_cut,
                   static_cast<std::uint32_t>(random.below(model.log().size() + 1)),
                   false};
  point.inside = point.entry > 0 && random.chance(1, 4);
  CrashPlan plan = drawn(model, point, random.next());
  for (std::uint64_t more = random.below(3); more > 0 && point.entry > 0; --more) {
    Fate fate{.write = static_cast<std::uint32_t>(1 + random.below(point.entry)),
              .kind = random.chance(1, 2) ? FateKind::lost : FateKind::torn};
    if (fate.kind == FateKind::torn) {
      fate.sectors.push_back(0);
    }
    std::erase_if(plan.fates, [&](const Fate& there) { return there.write == fate.write; });
    plan.fates.push_back(fate);
    std::sort(plan.fates.begin(), plan.fates.end(), [](const Fate& a, const Fate& b) {
      return a.write < b.write;
    });
  }
  return plan;
}

void compare(const Rig& rig, Random& random, std::array<int, 2>& seen) {
  const Recording recording = rig.tree.recording();
  TreeModel model(recording);
  const naive::Model voice(recording);
  RC_ASSERT(naive::shown(rig.tree.snapshot()) ==
            voice.build(all_kept({CutKind::power_cut, recording.log.size(), false})));
  for (int plans = 0; plans < 8; ++plans) {
    const CrashPlan plan = guess(model, random);
    const Status legal = model.check(plan);
    RC_LOG() << to_text(plan) << (legal ? "legal" : legal.error().message) << "\n";
    RC_ASSERT(legal.has_value() == voice.legal(plan));
    ++seen.at(legal ? 1 : 0);
    if (legal) {
      RC_ASSERT(naive::shown(model.build(plan)) == voice.build(plan));
    }
  }
}

RC_GTEST_PROP(TreePrograms, LeaveWhatTheProseSays, (std::uint64_t seed)) {
  static std::array<int, 2> seen{};
  Random random(seed);
  Rig rig(one_of(random, promises), one_of(random, devices));
  for (std::uint64_t steps = random.below(20); steps > 0; --steps) {
    step(rig, random);
  }
  if (random.chance(1, 2)) {  // the log begins on a tree that is not empty
    rig.tree.power_on(rig.tree.snapshot());
  }
  for (std::uint64_t steps = random.below(14); steps > 0; --steps) {
    step(rig, random);
  }
  for (const std::string& line : rig.lines()) {
    RC_LOG() << line << "\n";
  }
  compare(rig, random, seen);
  RC_CLASSIFY(seen[0] > 0, "some illegal");
  RC_CLASSIFY(seen[1] > 0, "some legal");
}

RC_GTEST_PROP(TreePrograms, EveryChoiceIsLegal, (std::uint64_t seed)) {
  Random random(seed);
  Rig rig(one_of(random, promises), one_of(random, devices));
  for (std::uint64_t steps = random.below(25); steps > 0; --steps) {
    step(rig, random);
  }
  const Recording recording = rig.tree.recording();
  RC_ASSERT(check_recording(recording).has_value());
  TreeModel model(recording);
  for (const std::uint32_t entry : model.crash_entries()) {
    const CrashPoint point{CutKind::power_cut, entry, false};
    for (const char* how : {"kept", "lost", "bytes-lost", "only-names", "names-lost", "random 7"}) {
      const auto plan = choose(model, point, how);
      const Status legal = model.check(*plan);
      RC_LOG() << how << " " << to_text(*plan) << (legal ? "" : legal.error().message) << "\n";
      RC_ASSERT(legal.has_value());
    }
  }
}

}  // namespace
}  // namespace faultfs::tree
