#pragma once

#include <string>
#include <vector>

#include "faultfs/tree/tree_model.h"

namespace runner {

/// A crash state of a tree on which a check failed, as far as a reader needs it.
struct TreeFailure {
  std::string check;     ///< the command
  std::string observed;  ///< how it ended
  std::string output;    ///< what it wrote
  std::string profile;
  std::uint32_t number = 1;      ///< of the case
  std::size_t fates_before = 0;  ///< before shrinking
  std::string kept_in;           ///< its directory
  std::string replay;            ///< what to type next
};

/// The trace of a failure under `plan`: claim, observation, what the program had said, what became
/// of each request, what was left, what to type next.
[[nodiscard]] std::string tree_trace(faultfs::tree::TreeModel& model,
                                     const faultfs::CrashPlan& plan,
                                     const TreeFailure& failure);

/// What the program had said before the cut: the marks of the log up to `entry`.
[[nodiscard]] std::vector<std::string> said_before(const faultfs::WriteLog& log,
                                                   std::uint32_t entry);

}  // namespace runner
