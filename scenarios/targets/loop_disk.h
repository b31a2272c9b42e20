#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "faultfs/base/result.h"

namespace scenarios {

/// A loop device on a file, for programs that want a block device or, with a file system on it,
/// files. Needs root. Goes with this object: what is mounted is unmounted (which writes out what
/// was not), then the device is detached.
class LoopDisk {
 public:
  /// Error: losetup's own words.
  [[nodiscard]] static faultfs::Result<std::unique_ptr<LoopDisk>> attach(
      const std::filesystem::path& file);
  ~LoopDisk();
  LoopDisk(const LoopDisk&) = delete;
  LoopDisk& operator=(const LoopDisk&) = delete;

  /// "/dev/loop3"
  [[nodiscard]] const std::filesystem::path& device() const { return device_; }
  /// Mounts the ext4 on it at `directory`; makes one where there is none that can be mounted (a
  /// blank disk, or one whose formatting was cut). `options` are mount's ("data=journal"). Error:
  /// the words of mkfs or mount.
  [[nodiscard]] faultfs::Status mount_ext4(const std::filesystem::path& directory,
                                           const std::string& options = "noatime");

 private:
  explicit LoopDisk(std::filesystem::path device) : device_(std::move(device)) {}
  std::filesystem::path device_, mounted_on_;
};

/// Ok where loop devices can be had and file systems mounted. Error: what is missing.
[[nodiscard]] faultfs::Status loop_disks_available();

/// Runs `program` to its end. Returns what it printed. Error: its last words.
[[nodiscard]] faultfs::Result<std::string> run_program(const std::filesystem::path& program,
                                                       const std::vector<std::string>& arguments);

}  // namespace scenarios
