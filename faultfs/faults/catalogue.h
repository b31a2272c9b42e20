#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "faultfs/faults/fault.h"

namespace faultfs::faults {

// One of each file of this folder that holds a fault.
[[nodiscard]] std::vector<FaultKind> errno_faults();
[[nodiscard]] std::vector<FaultKind> failed_flush_faults();
[[nodiscard]] std::vector<FaultKind> short_transfer_faults();
[[nodiscard]] std::vector<FaultKind> waiting_faults();
[[nodiscard]] FaultKind lying_flush();
[[nodiscard]] FaultKind lying_fua();
[[nodiscard]] FaultKind phantom_write();
[[nodiscard]] FaultKind misdirected_write();
[[nodiscard]] FaultKind torn_write();
[[nodiscard]] FaultKind late_write();
[[nodiscard]] FaultKind stale_read();
[[nodiscard]] FaultKind latent_sector_error();
[[nodiscard]] FaultKind rot_on_write();
[[nodiscard]] FaultKind rot_on_read();
[[nodiscard]] FaultKind run_rollback();
[[nodiscard]] FaultKind kill_client();

/// Every fault there is.
[[nodiscard]] const std::vector<FaultKind>& catalogue();

/// The entry called `name`, or null.
[[nodiscard]] const FaultKind* find_fault(std::string_view name,
                                          const std::vector<FaultKind>& kinds = catalogue());

/// The names, with commas between.
[[nodiscard]] std::string fault_names(const std::vector<FaultKind>& kinds = catalogue());

}  // namespace faultfs::faults
