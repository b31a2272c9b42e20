#pragma once

#include <filesystem>

#include "faultfs/base/result.h"

namespace runner {

/// Ok where workers can make files in `directory`, which need not exist. Tried, and taken back.
/// Error: the path and the reason.
[[nodiscard]] faultfs::Status can_fill(const std::filesystem::path& directory);

/// Ok where workers see the same under `path` as we do: they have an empty /dev/shm of their own
/// (sandbox.h). Links are followed; no path at all is fine. Error: the path and what is allowed.
[[nodiscard]] faultfs::Status workers_see(const std::filesystem::path& path);

/// Ok where `file` can be written. Tried without changing it; one that was not there is not there
/// afterwards.
[[nodiscard]] faultfs::Status can_write(const std::filesystem::path& file);

/// Ok where `program` is a file that this user may execute.
[[nodiscard]] faultfs::Status can_execute(const std::filesystem::path& program);

}  // namespace runner
