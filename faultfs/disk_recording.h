#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "faultfs/device.h"

namespace faultfs {

/// What a device was used for, as a directory: all that is needed to make its crash states later,
/// without the program that used it.
struct DiskRecording {
  DeviceProfile profile;
  std::vector<DiskSpec> disks;
  std::vector<Image> base;  ///< the disks when the log began
  WriteLog log;
};

/// Writes `recording.txt` (profile and disks), `writes.log`, and `before-NAME.img` for each disk
/// that was not blank into `directory`, which is made.
[[nodiscard]] Status save_recording(const DiskRecording& recording,
                                    const std::filesystem::path& directory);
/// Error: names the file, and what was wrong with it.
[[nodiscard]] Result<DiskRecording> load_recording(const std::filesystem::path& directory);

}  // namespace faultfs
