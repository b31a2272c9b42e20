#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "runner/prober.h"

namespace runner {

/// One pair of writes that explains a failure: were `first` durable before `later` reached the
/// medium, the claim would hold.
struct Ordering {
  std::uint32_t first = 0;  ///< entries of the log of the failing case
  std::uint32_t later = 0;
  std::uint64_t states = 0;  ///< crash states that keep the order and were seen to hold
  [[nodiscard]] bool operator==(const Ordering&) const = default;
};

/// Looks for the pair that explains why `plan` breaks the prober's property: a write X that is not
/// there (lost, or not yet issued) and a write Y that is, such that the claim holds once X is there
/// too, and once Y is lost, and in those of a sample of `states_max` crash states of the same log
/// in which Y is not there without X. Empty where no one pair does.
[[nodiscard]] faultfs::Result<std::optional<Ordering>> explain(
    Prober& prober,
    const std::vector<scenarios::Command>& commands,
    const faultfs::CrashPlan& plan,
    std::uint64_t states_max);

}  // namespace runner
