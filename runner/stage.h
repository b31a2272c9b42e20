#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "faultfs/device.h"
#include "faultfs/mount/mount.h"
#include "scenarios/plain_disk.h"
#include "scenarios/targets/target.h"

namespace runner {

enum class DeviceKind { memory, fuse };

[[nodiscard]] std::string to_text(DeviceKind kind);

/// Where a stage may put things, and how it runs.
struct StageOptions {
  DeviceKind device = DeviceKind::memory;
  std::filesystem::path
      scratch;       ///< private directory; fuse: the mount point and work files go below it
  int pin_cpu = -1;  ///< CPU of the device's serving thread and of the cache's processes
  bool persistent_engine = false;  ///< see scenarios::Rig
  bool forked_engine = false;      ///< see scenarios::Rig
  bool renew_engine = false;       ///< and every crash state begins with a new process
  bool plain_recovery = false;     ///< fuse: crash states of a target that is no engine run on a
                                   ///< plain file of `scratch`, where nothing speaks against it
};

/// A target on its device: in this process on the memory device, or as a process on a FUSE mount.
/// The destructor kills the target, unmounts, and removes what it made below `scratch`.
class Stage {
 public:
  [[nodiscard]] static faultfs::Result<std::unique_ptr<Stage>> create(
      const scenarios::TargetConfig& config,
      const faultfs::DeviceProfile& profile,
      const StageOptions& options);
  ~Stage();
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;
  Stage(Stage&&) = delete;
  Stage& operator=(Stage&&) = delete;

  [[nodiscard]] scenarios::Target& target() { return *target_; }
  [[nodiscard]] const scenarios::Rig& rig() const { return *rig_; }
  [[nodiscard]] const StageOptions& options() const { return options_; }
  /// Null where crash states run on the device.
  [[nodiscard]] scenarios::PlainDisk* plain() const { return plain_.get(); }

 private:
  Stage() = default;
  faultfs::Status mount();
  faultfs::Status make_plain(const scenarios::TargetConfig& config);

  StageOptions options_;
  std::filesystem::path directory_;  // removed at the end; empty on the memory device
  std::unique_ptr<faultfs::Device> device_;
  std::unique_ptr<faultfs::mount::Mount> mount_;
  std::unique_ptr<scenarios::PlainDisk> plain_;
  std::unique_ptr<scenarios::Rig> rig_;
  std::unique_ptr<scenarios::Target> target_;
};

}  // namespace runner
