// Faults in a campaign. They are on the device while a history is recorded, and again, counting
// from one, each time a crash state is restarted: so what a crash state shows hangs on nothing that
// was run before it. Marks say where in a life a fault begins, with `mark=`:
//
//     start N, ready N, put#7 k3 begin, put#7 k3 done, kill, stop …      while the history runs
//     recovery N, recovered N, traffic                                   after the cut
//
// so `rot-on-read mark=recovery` spares the history, and `lying-flush mark=start` what comes after
// the cut.

#include "scenarios/device_faults.h"

#include <fmt/format.h>

namespace scenarios {

bool kills(const faultfs::faults::Expression& fault) {
  return fault.fault == "kill-client";
}

std::uint64_t kills_by_faults(const faultfs::Device& device) {
  std::uint64_t kills = 0;
  for (const auto& fault : device.faults()) {
    kills += fault.expression.starts_with("kill-client") ? fault.firings : 0;
  }
  return kills;
}

faultfs::Status power_on_with(faultfs::Device& device,
                              std::vector<faultfs::Image> disks,
                              const Faults& faults,
                              FaultsFor what) {
  device.clear_faults();
  device.power_on(std::move(disks));
  for (const auto& fault : faults) {
    if (what == FaultsFor::examination && kills(fault)) {
      continue;
    }
    if (auto number = device.add_fault(fault); !number) {
      return tl::unexpected(number.error());
    }
  }
  return {};
}

faultfs::Status check_faults(const Faults& faults,
                             const faultfs::DeviceProfile& profile,
                             const std::vector<faultfs::DiskSpec>& disks) {
  auto device = faultfs::Device::create(profile, disks);
  if (!device) {
    return tl::unexpected(device.error());
  }
  for (const auto& fault : faults) {
    if (fault.fault == "hold" || fault.fault == "stall") {
      return faultfs::fail(
          fmt::format("fault {} waits until somebody releases it, and in a campaign nobody does; "
                      "allowed: latency, late-write, or `powercut mount` and `powercut ctl fault "
                      "release`",
                      fault.fault));
    }
    if (auto number = (*device)->add_fault(fault); !number) {
      return tl::unexpected(number.error());
    }
  }
  return {};
}

}  // namespace scenarios
