#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "runner/sandbox.h"

namespace runner {

/// One file of the registry, of a living process or a dead one.
struct RegistryFile {
  std::filesystem::path path;
  std::string owner;  ///< `identity_of` the process that wrote it; empty: it was cut short
  MountEntry mount;
};

/// All files of the registry.
[[nodiscard]] std::vector<RegistryFile> registry_files();

}  // namespace runner
