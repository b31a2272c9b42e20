#pragma once

#include <iosfwd>
#include <string>
#include <vector>

namespace runner {

/// One thing a campaign wants from this machine, and whether it is there.
struct Checkup {
  std::string name;  ///< "fuse", "squid" …
  bool ok = false;
  std::string text;  ///< ok: what was found; otherwise what is missing, and what to install or do
};

/// Looks at the machine: mounting, namespaces, shared memory, CPUs, the caches under test. Changes
/// nothing that outlives the call.
[[nodiscard]] std::vector<Checkup> check_machine();

/// A line for each checkup. True where all are ok.
bool tell(const std::vector<Checkup>& checkups, std::ostream& out);

/// `powercut doctor [--clean]`: tells of the machine and of what killed runs left behind, and
/// removes the latter where asked to. Returns the exit code: 0 all is well, 3 something is missing
/// or left.
[[nodiscard]] int doctor(bool clean, std::ostream& out);

}  // namespace runner
