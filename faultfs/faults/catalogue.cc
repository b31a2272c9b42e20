#include "faultfs/faults/catalogue.h"

#include <algorithm>

namespace faultfs::faults {

namespace {

std::vector<FaultKind> make_catalogue() {
  std::vector<FaultKind> kinds;
  for (auto family : {errno_faults, failed_flush_faults, short_transfer_faults, waiting_faults}) {
    for (FaultKind& kind : family()) {
      kinds.push_back(std::move(kind));
    }
  }
  for (auto single : {lying_flush,
                      lying_fua,
                      phantom_write,
                      misdirected_write,
                      torn_write,
                      late_write,
                      stale_read,
                      latent_sector_error,
                      rot_on_write,
                      rot_on_read,
                      run_rollback,
                      kill_client}) {
    kinds.push_back(single());
  }
  return kinds;
}

}  // namespace

const std::vector<FaultKind>& catalogue() {
  static const std::vector<FaultKind> kinds = make_catalogue();
  return kinds;
}

const FaultKind* find_fault(std::string_view name, const std::vector<FaultKind>& kinds) {
  auto found = std::find_if(
      kinds.begin(), kinds.end(), [&](const FaultKind& kind) { return kind.name == name; });
  return found == kinds.end() ? nullptr : &*found;
}

std::string fault_names(const std::vector<FaultKind>& kinds) {
  std::string names;
  for (const FaultKind& kind : kinds) {
    names += (names.empty() ? "" : ", ") + std::string(kind.name);
  }
  return names;
}

}  // namespace faultfs::faults
