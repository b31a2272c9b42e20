#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "faultfs/base/result.h"

namespace runner {

/// A loop device whose file lies in a mounted fault device.
struct LoopDevice {
  std::filesystem::path device;                   ///< "/dev/loop0"
  std::filesystem::path file;                     ///< below the mount
  std::vector<std::filesystem::path> mounted_on;  ///< the last mounted first
};

/// The loop devices whose files lie below `directory`, and what is mounted from them.
[[nodiscard]] std::vector<LoopDevice> loop_devices_on(const std::filesystem::path& directory);

/// Takes them away in the one order that does not hang: what is mounted from them first, then the
/// loop devices, and so before the device below, which must still answer (with EIO, after a cut; or
/// be dead). Programs that use them should have been killed. Another process does it, and is given
/// up after ten seconds. Error: names what stayed.
[[nodiscard]] faultfs::Status take_down(const std::vector<LoopDevice>& devices);

}  // namespace runner
