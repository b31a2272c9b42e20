#pragma once

#include <cstdint>
#include <filesystem>

namespace faultfs::mount {

/// The number (as `st_dev`) of the file system that `directory` leads to; 0: nothing is there. It
/// asks no server, as `stat` would: a process that waits for its own serving thread when it is
/// killed can never end, because the answer does not come and its descriptors stay open.
[[nodiscard]] std::uint64_t file_system_at(const std::filesystem::path& directory);

}  // namespace faultfs::mount
