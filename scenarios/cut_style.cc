#include "scenarios/cut_style.h"

#include "faultfs/base/random.h"

namespace scenarios {

namespace {

using faultfs::Fate;
using faultfs::FateKind;
using faultfs::VolatileWrite;

/// Tears `write` between its atomic units: each reaches the medium or does not.
Fate torn(const VolatileWrite& write, faultfs::Random& random) {
  Fate fate;
  fate.write = write.entry;
  fate.kind = FateKind::torn;
  for (std::size_t i = 0; i < write.unit_begins.size(); ++i) {
    const std::uint32_t end =
        i + 1 < write.unit_begins.size() ? write.unit_begins[i + 1] : write.sector_count;
    const bool kept = random.chance(1, 2);
    for (std::uint32_t sector = write.unit_begins[i]; kept && sector < end; ++sector) {
      fate.sectors.push_back(sector);
    }
  }
  if (fate.sectors.empty() || fate.sectors.size() == write.sector_count) {
    fate.kind = fate.sectors.empty() ? FateKind::lost : FateKind::kept;
    fate.sectors.clear();
  }
  return fate;
}

Fate any_fate(const VolatileWrite& write, faultfs::Random& random) {
  switch (random.below(3)) {
    case 0:
      return {write.entry, FateKind::kept, {}, 0, 0};
    case 1:
      return {write.entry, FateKind::lost, {}, 0, 0};
    default:
      return torn(write, random);
  }
}

}  // namespace

faultfs::CrashPlan chosen_plan(const faultfs::CrashModel& model, const Command& power_cut) {
  faultfs::CrashPlan plan;
  plan.point = {faultfs::CutKind::power_cut, model.log().size(), false};
  faultfs::Random random(power_cut.seed);
  for (const VolatileWrite& write : model.volatile_writes(plan.point)) {
    Fate fate{write.entry, FateKind::lost, {}, 0, 0};
    if (power_cut.cut == Command::CutStyle::random) {
      fate = any_fate(write, random);
    }
    if (power_cut.cut != Command::CutStyle::all_kept && fate.kind != FateKind::kept) {
      plan.fates.push_back(std::move(fate));
    }
  }
  return plan;
}

}  // namespace scenarios
