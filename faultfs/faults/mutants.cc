// The faults as `mutants.cmake` compiled them a second time, each file with one error planted.

#include "faultfs/faults/mutants.h"

#include <string>

#include "faultfs/faults/catalogue.h"

namespace faultfs::mutants {

using faults::FaultKind;
std::vector<FaultKind> errno_faults();
std::vector<FaultKind> failed_flush_faults();
std::vector<FaultKind> short_transfer_faults();
std::vector<FaultKind> waiting_faults();
FaultKind lying_flush();
FaultKind lying_fua();
FaultKind phantom_write();
FaultKind misdirected_write();
FaultKind torn_write();
FaultKind late_write();
FaultKind stale_read();
FaultKind latent_sector_error();
FaultKind rot_on_write();
FaultKind rot_on_read();
FaultKind run_rollback();
FaultKind kill_client();

}  // namespace faultfs::mutants

namespace faultfs::programs {

std::vector<Mutant> mutants() {
  std::vector<Mutant> found;
  for (const auto& family : {mutants::errno_faults(),
                             mutants::failed_flush_faults(),
                             mutants::short_transfer_faults(),
                             mutants::waiting_faults()}) {
    for (const faults::FaultKind& kind : family) {
      found.push_back({kind.name, kind.make});
    }
  }
  for (const faults::FaultKind& kind : {mutants::lying_flush(),
                                        mutants::lying_fua(),
                                        mutants::phantom_write(),
                                        mutants::misdirected_write(),
                                        mutants::torn_write(),
                                        mutants::late_write(),
                                        mutants::stale_read(),
                                        mutants::latent_sector_error(),
                                        mutants::rot_on_write(),
                                        mutants::rot_on_read(),
                                        mutants::run_rollback(),
                                        mutants::kill_client()}) {
    found.push_back({kind.name, kind.make});
  }
  return found;
}

}  // namespace faultfs::programs
