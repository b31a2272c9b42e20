#pragma once

#include <cstdint>
#include <vector>

#include "faultfs/device.h"
#include "faultfs/faults/expression.h"

namespace scenarios {

/// What the device under a cache does wrong: faultfs/faults, in the order in which requests meet
/// them.
using Faults = std::vector<faultfs::faults::Expression>;

/// When faults are put on a device.
enum class FaultsFor {
  history,      ///< while a history runs and is recorded
  examination,  ///< while a crash state is restarted and asked; nobody is killed then
};

/// Powers `device` on with `disks` and with exactly `faults`, all of them at their first match.
/// Error: names the fault and what of it does not fit this device.
[[nodiscard]] faultfs::Status power_on_with(faultfs::Device& device,
                                            std::vector<faultfs::Image> disks,
                                            const Faults& faults,
                                            FaultsFor what);

/// Ok where `faults` can be part of a history on a device with these disks. Error:
/// names the fault, and what is allowed.
[[nodiscard]] faultfs::Status check_faults(const Faults& faults,
                                           const faultfs::DeviceProfile& profile,
                                           const std::vector<faultfs::DiskSpec>& disks);

/// True for a fault that ends the cache's process.
[[nodiscard]] bool kills(const faultfs::faults::Expression& fault);
/// How often faults killed the client of `device`.
[[nodiscard]] std::uint64_t kills_by_faults(const faultfs::Device& device);

}  // namespace scenarios
