#pragma once

#include <cstdint>
#include <filesystem>

#include "faultfs/base/result.h"

namespace faultfs::mount {

/// Opens /dev/fuse and mounts it on `directory` with mount(2), as file system type fuse.powercut.
/// Returns the descriptor (close-on-exec); requests already wait on it. Error: names what is
/// missing, or -- when only the privilege is -- sets `needs_privilege`.
[[nodiscard]] Result<int> attach(const std::filesystem::path& directory,
                                 bool allow_other,
                                 bool& needs_privilege);

/// Takes the mount at `directory` away, lazily when files in it are open. Sends no request that a
/// dead server would have to answer. False when nothing could be unmounted.
bool detach(const std::filesystem::path& directory);

/// Ends connection `number` (the minor device number of the mount) from outside, by fusectl: every
/// request on it fails at once. False when fusectl is not there and cannot be mounted.
bool abort_connection(std::uint32_t number);

}  // namespace faultfs::mount
