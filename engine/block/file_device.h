#pragma once

#include <filesystem>
#include <memory>

#include "engine/block/device.h"

namespace engine::block {

enum class OpenMode {
  read_write,  ///< takes an advisory lock, so that two engines never write one disk
  read_only,   ///< writes, flushes and discards are refused
};

/// The disk in `file` (a regular file or a block device), opened once with O_CLOEXEC. Its size is
/// fixed at opening. Short and interrupted requests are continued; a write is one `pwrite` where
/// the kernel takes it whole. Error: names the file and the reason.
[[nodiscard]] Result<std::unique_ptr<Device>> open_file_device(const std::filesystem::path& file,
                                                               OpenMode mode);

}  // namespace engine::block
