#pragma once

#include <string>

#include <fmt/format.h>

namespace faultfs {

/// Ends the process with `message` on standard error (exit code 70, EX_SOFTWARE): powercut itself
/// is wrong. Never used for trouble of the world (`Status`) or a lying cache (a verdict).
[[noreturn]] void harness_bug(const char* file, int line, const std::string& message);

}  // namespace faultfs

/// Checks a fact about powercut itself, in every build. `...` is a fmt format string and its
/// arguments, and should print both values of a comparison.
#define POWERCUT_CHECK(condition, ...)                                                          \
  do {                                                                                          \
    if (!(condition)) {                                                                         \
      ::faultfs::harness_bug(__FILE__, __LINE__, #condition ": " + ::fmt::format(__VA_ARGS__)); \
    }                                                                                           \
  } while (false)
