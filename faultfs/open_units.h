#pragma once

#include <cstdint>
#include <vector>

#include "faultfs/write_log.h"

namespace faultfs {

/// A place whose content is open at a power cut: the part of one aligned atomic write unit that
/// volatile writes touch, and every content it may hold. The contents of different units are
/// independent of each other, so a crash state is one choice for each unit.
struct OpenUnit {
  DiskNumber disk = 0;
  std::uint64_t first_sector = 0;
  std::uint32_t sector_count = 0;
  /// Each is a content, named by the writes that are lost here (ascending; the others are kept).
  /// The first names none: the newest content. No two give the same bytes where equal ones were
  /// merged.
  std::vector<std::vector<std::uint32_t>> options;
};

}  // namespace faultfs
