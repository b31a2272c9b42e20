#pragma once

#include "engine/rock/core.h"
#include "engine/rock/rebuild.h"

namespace engine::rock {

/// Finds slots for what is to be written: free ones; while the rebuild runs, the ones it comes by;
/// those in quarantine, after a barrier; and at last those of a victim, chosen by a clock that
/// walks over the entries.
class Space {
 public:
  Space(Core& core, Rebuild& rebuild) : core_(core), rebuild_(rebuild) {}

  /// A slot whose content on the medium is durably nothing. `Trouble::full` where no entry can be
  /// evicted.
  [[nodiscard]] Result<std::uint32_t> take();

 private:
  [[nodiscard]] Result<bool> evict();

  Core& core_;
  Rebuild& rebuild_;
  std::uint32_t cursor_ = 0;
};

}  // namespace engine::rock
