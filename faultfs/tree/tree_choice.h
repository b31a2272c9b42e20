#pragma once

#include <cstdint>
#include <string_view>

#include "faultfs/tree/tree_model.h"

namespace faultfs::tree {

/// Everything was kept: an empty list of fates.
[[nodiscard]] CrashPlan all_kept(const CrashPoint& point);
/// Everything whose fate is open was lost.
[[nodiscard]] CrashPlan all_lost(const TreeModel& model, const CrashPoint& point);
/// Names and lengths were kept, bytes lost: files of zeros.
[[nodiscard]] CrashPlan bytes_lost(const TreeModel& model, const CrashPoint& point);
/// Names were kept, bytes and lengths lost: the empty file behind a rename.
[[nodiscard]] CrashPlan only_names(const TreeModel& model, const CrashPoint& point);
/// Bytes and lengths were kept, names lost.
[[nodiscard]] CrashPlan names_lost(const TreeModel& model, const CrashPoint& point);
/// Everything was kept but the open request `lost`, and what cannot be without it.
[[nodiscard]] CrashPlan one_lost(const TreeModel& model,
                                 const CrashPoint& point,
                                 std::uint32_t lost);
/// Everything was lost but the open request `kept`, and what it cannot be without.
[[nodiscard]] CrashPlan one_kept(const TreeModel& model,
                                 const CrashPoint& point,
                                 std::uint32_t kept);
/// A fate for each, drawn from `seed`.
[[nodiscard]] CrashPlan drawn(const TreeModel& model, const CrashPoint& point, std::uint64_t seed);

/// One of these by name: kept, lost, bytes-lost, only-names, names-lost, or random SEED. Error:
/// names the words and the allowed ones.
[[nodiscard]] Result<CrashPlan> choose(const TreeModel& model,
                                       const CrashPoint& point,
                                       std::string_view how);

}  // namespace faultfs::tree
