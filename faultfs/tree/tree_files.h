#pragma once

#include <filesystem>

#include "faultfs/tree/tree.h"

namespace faultfs::tree {

/// Reads what stands under `directory`: files, directories, symbolic links, hard links among them.
/// Error: names what it cannot take (devices, pipes, sockets) or read.
[[nodiscard]] Result<TreeState> import_tree(const std::filesystem::path& directory);

/// Writes `tree` into `directory`, which is made and must be empty. Owners are not set.
[[nodiscard]] Status export_tree(const TreeState& tree, const std::filesystem::path& directory);

/// Writes a recording into `directory` (made, or empty): writes.log, and in base/ what the tree was
/// when the log began. `load_recording` reads it back, and refuses, with a sentence, what is not
/// one.
[[nodiscard]] Status save_recording(const Recording& recording,
                                    const std::filesystem::path& directory);
[[nodiscard]] Result<Recording> load_recording(const std::filesystem::path& directory);

}  // namespace faultfs::tree
