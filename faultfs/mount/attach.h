#pragma once

#include <cstdint>
#include <filesystem>

#include "faultfs/base/result.h"
#include "faultfs/mount/mount.h"

namespace faultfs::mount {

/// Opens /dev/fuse and mounts it on `wanted.directory` with mount(2), as type fuse.powercut.
/// Returns the descriptor (close-on-exec); requests already wait on it. Error: names what is
/// missing, or -- when only the privilege is -- sets `needs_privilege`.
[[nodiscard]] Result<int> attach(const MountOptions& wanted, bool& needs_privilege);

/// Notes that `fuse`, a descriptor of /dev/fuse, is open: forks of this process will close it. For
/// if they held it, the connection would outlive this process, and they could wait for ever for an
/// answer of the dead.
void keep_from_forks(int fuse);
/// To be called before `fuse` is closed.
void no_more_kept_from_forks(int fuse);

/// How a mount went away.
enum class Detached {
  wholly,  ///< nothing used it any more; the connection is closed
  lazily,  ///< files in it are open; the connection lives until it is aborted or its server ends
  failed,  ///< it is still there, or never was
};

/// Takes the mount at `directory` away. Sends no request that a dead server would have to answer.
Detached detach(const std::filesystem::path& directory);

/// Ends connection `number` (the minor device number of the mount) from outside, by fusectl: every
/// request on it fails at once, now and later. False when fusectl cannot be had (needs root).
bool abort_connection(std::uint32_t number);

}  // namespace faultfs::mount
