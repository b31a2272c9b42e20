#pragma once

#include <cstdint>
#include <vector>

#include "faultfs/base/random.h"
#include "faultfs/crash_model.h"

namespace runner::explorers {

/// The entries of `log` at which a run can end: every write, flush and discard, and the last
/// entry, whatever it is.
[[nodiscard]] std::vector<std::uint32_t> crash_entries(const faultfs::WriteLog& log);

/// The writes with which a cache that writes in a circle began again at the front: large ones that
/// begin far below the end of the large one before. What they overwrite is oldest, and most often
/// still believed to be there.
[[nodiscard]] std::vector<std::uint32_t> wrap_entries(const faultfs::WriteLog& log);

/// Adds to `plan` that `write`, which comes after all its fates, was lost.
void lose(faultfs::CrashPlan& plan, std::uint32_t write);

/// A torn fate that keeps the atomic units of `write` for which `keep` says so; kept or lost where
/// that is all or none.
[[nodiscard]] faultfs::Fate by_units(const faultfs::VolatileWrite& write,
                                     const std::vector<bool>& keep);

/// How a kill may cut the write in flight at `entry`: keeping its first `pages` 4 KiB pages.
[[nodiscard]] faultfs::CrashPlan kill_inside(const faultfs::CrashModel& model,
                                             std::uint32_t entry,
                                             std::uint32_t pages);

/// The number of 4 KiB page boundaries strictly inside write `entry`; 0 for other entries.
[[nodiscard]] std::uint32_t pages_inside(const faultfs::WriteLog& log, std::uint32_t entry);

/// Kinds of damage that plans may have at all.
struct DamageKinds {
  bool kills = true, cuts_inside = true, unit_tears = true, sector_tears = true, noise = true,
       misdirected = true;
};

/// A random damage to `write`: lost, torn by units, and what the profile allows besides, as far as
/// `kinds` have it.
[[nodiscard]] faultfs::Fate damage(const faultfs::CrashModel& model,
                                   const faultfs::VolatileWrite& write,
                                   const DamageKinds& kinds,
                                   faultfs::Random& random);

}  // namespace runner::explorers
