#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>

#include "runner/observer.h"
#include "scenarios/targets/config.h"

namespace runner {

/// Prints a line for each target: what it is, and whether it can run here (else: what to install).
/// Returns 0, or 3 when one cannot.
int print_targets(std::ostream& out);

/// Gate → how often it refused something in the run; gates never seen to refuse are listed too.
[[nodiscard]] std::string gate_table(const scenarios::TargetConfig& config,
                                     const RunSummary& summary);

}  // namespace runner
