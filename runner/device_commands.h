#pragma once

#include <functional>
#include <iosfwd>

// NOLINTNEXTLINE(readability-identifier-naming): not ours.
namespace CLI {
class App;
}

namespace runner {

/// Adds `powercut mount` and `powercut ctl`, the fault device alone, to `app`. The function
/// returned does what was asked for and gives the exit code.
[[nodiscard]] std::function<int(std::ostream& out, std::ostream& error)> add_device_commands(
    CLI::App& app);

}  // namespace runner
