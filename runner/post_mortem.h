#pragma once

#include <string>
#include <vector>

#include "scenarios/targets/target.h"

namespace runner {

/// What a dead process can still say.
struct PostMortem {
  std::vector<std::string> stack;  ///< "MIMEHdrImpl::unmarshal", the innermost first
  std::string undecided;           ///< why there is no stack; empty: there is one
};

/// Asks gdb for the stack in the core that `death` left. Ended by a signal only: what exits by
/// itself leaves no core.
[[nodiscard]] PostMortem post_mortem(const scenarios::Death& death);

}  // namespace runner
