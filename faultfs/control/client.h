#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "faultfs/base/result.h"

namespace faultfs::control {

/// Sends one control line to the server at `socket` and waits for the answer, which is returned
/// without its "ok". Error: the server's sentence, or why it could not be asked.
[[nodiscard]] Result<std::string> request(const std::filesystem::path& socket,
                                          std::string_view line);

/// The control line of command-line words: joined, with file names made absolute from here.
[[nodiscard]] std::string line_of(const std::vector<std::string>& words);

}  // namespace faultfs::control
