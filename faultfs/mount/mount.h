#pragma once

#include <filesystem>
#include <memory>

#include "faultfs/device.h"

namespace faultfs::mount {

struct MountOptions {
  std::filesystem::path directory;  ///< an existing empty directory
  bool allow_other = true;          ///< other users may open the disks (needs root)
  int pin_cpu = -1;                 ///< CPU of the serving thread; -1: not pinned
  bool check_permissions = false;   ///< the kernel holds users to the modes of files
};

/// A FUSE mount that shows the disks of `device` as fixed-size files (facts: specs of libfuse 3.14;
/// direct I/O, one serving thread inside this process, O_DSYNC/O_SYNC writes are FUA, FSYNC is a
/// flush, truncation and growth are refused). The destructor unmounts and never hangs: it cuts the
/// device, aborts the connection when the serving thread does not end in time, and unmounts lazily
/// as a last resort. `device` must outlive it.
class Mount {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Mount>> create(Device& device,
                                                             const MountOptions& options);
  virtual ~Mount() = default;
  [[nodiscard]] virtual const std::filesystem::path& directory() const = 0;

 protected:
  Mount() = default;
  Mount(const Mount&) = delete;
  Mount& operator=(const Mount&) = delete;
  Mount(Mount&&) = delete;
  Mount& operator=(Mount&&) = delete;
};

/// Ok where this process could mount; otherwise says what is missing ("/dev/fuse cannot be opened:
/// Permission denied", …), fit for "undecided, because …".
[[nodiscard]] Status can_mount();

}  // namespace faultfs::mount
