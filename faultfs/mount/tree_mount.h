#pragma once

#include <memory>

#include "faultfs/mount/mount.h"
#include "faultfs/tree/tree.h"

namespace faultfs::mount {

/// A FUSE mount that shows `tree` as an ordinary directory tree (facts: head of
/// tree_operations.cc). Ends as the mount of a device does. `tree` must outlive it.
[[nodiscard]] Result<std::unique_ptr<Mount>> mount_tree(tree::Tree& tree,
                                                        const MountOptions& options);

/// The file in the root of a mounted tree that is none of the tree: each line written to it becomes
/// a mark of the log, before the write returns. It is not listed.
constexpr const char* marks_file = ".powercut-marks";

}  // namespace faultfs::mount
