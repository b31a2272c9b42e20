#pragma once

#include <string>
#include <vector>

#include "runner/options.h"

namespace runner {

/// Reads the words of `--fault` into `options`, and checks them, and those of its scenario, against
/// every device profile the campaign goes through. Error: quotes the fault, says what is wrong and
/// what is allowed.
[[nodiscard]] faultfs::Status read_faults(const std::vector<std::string>& texts,
                                          CampaignOptions& options);

/// `word` as a shell wants it typed: in quotes where it holds a blank.
[[nodiscard]] std::string quoted(const std::string& word);

}  // namespace runner
