#pragma once

#include <functional>
#include <iosfwd>
#include <string>

#include "faultfs/base/result.h"
#include "faultfs/tree/tree.h"

// NOLINTNEXTLINE(readability-identifier-naming): not ours.
namespace CLI {
class App;
}

namespace runner {

/// Adds `powercut tree` to `app`: any program on a directory tree, cut at every request. The
/// function returned does what was asked for and gives the exit code.
[[nodiscard]] std::function<int(std::ostream& out, std::ostream& error)> add_tree_command(
    CLI::App& app);

}  // namespace runner
