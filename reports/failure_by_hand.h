#pragma once

#include <cstdint>
#include <string_view>

#include "runner/observer.h"

namespace reports {

/// Failure cases made by hand, for tests of the reports.

/// A hodgepodge of two puts: the first slot of the second put lost, its second slot kept.
[[nodiscard]] runner::FailureCase overwrite_failure(std::string_view profile = "ssd_4k_volatile");

/// A purged object that comes back at a kill, after reopen, in a history with a power cut in it.
[[nodiscard]] runner::FailureCase purge_failure();

/// A structure that lost count, under torn, lost and misdirected writes, after many operations.
[[nodiscard]] runner::FailureCase structure_failure();

/// A run with everything in it that a summary can say.
[[nodiscard]] runner::RunSummary full_summary();

}  // namespace reports
