#pragma once

#include <filesystem>
#include <memory>

#include "engine/base/descriptor.h"
#include "engine/block/device.h"

namespace engine::block {

enum class OpenMode {
  read_write,  ///< takes an advisory lock, so that two engines never write one disk
  read_only,   ///< writes, flushes and discards are refused
};

enum class Transfer {
  cached,  ///< through the page cache; durable writes are flushed one by one
  /// O_DIRECT and O_DSYNC: past the page cache, and every write is durable when it returns. Offsets
  /// and lengths of writes are multiples of the device's block; memory may lie anywhere.
  direct,
};

/// The disk in `file` (a regular file or a block device, which is opened for writing by nobody else
/// then), opened once with O_CLOEXEC. Its size is
/// fixed at opening. Short and interrupted requests are continued; a write is one `pwrite` where
/// the kernel takes it whole. Error: names the file and the reason; a file
/// system without direct I/O is one, never a reason to go on without, and so is a size that is no
/// multiple of the block.
[[nodiscard]] Result<std::unique_ptr<Device>> open_file_device(
    const std::filesystem::path& file, OpenMode mode, Transfer transfer = Transfer::cached);

/// The first half of it: a descriptor with the lock, which goes with the descriptor to any process
/// that it is sent to.
[[nodiscard]] Result<Descriptor> open_disk(const std::filesystem::path& file,
                                           OpenMode mode,
                                           Transfer transfer);
/// The second half: `descriptor` was opened so, here or elsewhere; `file` is for messages.
[[nodiscard]] Result<std::unique_ptr<Device>> make_file_device(Descriptor descriptor,
                                                               const std::filesystem::path& file,
                                                               OpenMode mode,
                                                               Transfer transfer);

}  // namespace engine::block
