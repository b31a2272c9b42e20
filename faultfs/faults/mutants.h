#pragma once

#include <string_view>
#include <vector>

#include "faultfs/faults/fault.h"

namespace faultfs::programs {

/// A fault with an error planted in it: what `mutants.cmake` makes of its file.
struct Mutant {
  std::string_view fault;
  faults::MakeFault make = nullptr;
};

/// One of each fault, at least one of each file.
[[nodiscard]] std::vector<Mutant> mutants();

}  // namespace faultfs::programs
