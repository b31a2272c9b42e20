#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "faultfs/base/result.h"
#include "runner/stage.h"

namespace CLI {
class App;
}

namespace runner {

inline constexpr int usage = 2;      ///< exit code: the words are wrong
inline constexpr int undecided = 3;  ///< exit code: nothing is violated, but something unknown

/// Says `message` to the user; returns `code`.
int complain(const std::string& message, int code);

[[nodiscard]] bool on_terminal();
/// What --color says: auto, always, never.
[[nodiscard]] bool wants_color(const std::string& word);
void add_color_option(CLI::App& app, std::string& word);

/// For CLI11's `check`: refuses what is no whole number from `min` on, and says what is allowed.
[[nodiscard]] std::function<std::string(const std::string&)> whole_number(std::uint64_t min);
/// Lets each option of the commands of `app` that takes a whole number and has no check of its own
/// refuse other words like that.
void check_numbers(CLI::App& app);

/// "60s", "10m", "1h". Error: what is allowed.
[[nodiscard]] faultfs::Result<double> parse_seconds(const std::string& text);
/// What --device says; auto: memory for the engine, fuse for others.
[[nodiscard]] faultfs::Result<DeviceKind> device_of(const std::string& word,
                                                    const std::string& target);

}  // namespace runner
