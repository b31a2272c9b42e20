#pragma once

#include <filesystem>

#include "faultfs/base/result.h"

namespace runner {

/// Ok where files can be made in `directory`, which need not exist. Tried, and taken back. Error:
/// the path and the reason.
[[nodiscard]] faultfs::Status can_fill(const std::filesystem::path& directory);

/// Ok where `file` can be written. Tried without changing it; one that was not there is not there
/// afterwards.
[[nodiscard]] faultfs::Status can_write(const std::filesystem::path& file);

/// Ok where `program` is a file that this user may execute.
[[nodiscard]] faultfs::Status can_execute(const std::filesystem::path& program);

}  // namespace runner
