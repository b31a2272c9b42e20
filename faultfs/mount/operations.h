#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include <fuse3/fuse_lowlevel.h>

#include "faultfs/device.h"
#include "faultfs/mount/waiting_room.h"

namespace faultfs::mount {

/// What the FUSE operations work on: the device, and the attributes of its disks as files. Belongs
/// to the serving thread.
class DiskFiles {
 public:
  static constexpr fuse_ino_t first_disk = FUSE_ROOT_ID + 1;

  /// `device` must outlive it.
  explicit DiskFiles(Device& device);

  [[nodiscard]] Device& device() { return *device_; }
  /// For requests that faults make wait.
  [[nodiscard]] WaitingRoom& waiting_room() { return waiting_room_; }
  [[nodiscard]] std::uint64_t sector_bytes() const { return sector_bytes_; }
  [[nodiscard]] fuse_ino_t last() const { return FUSE_ROOT_ID + attributes_.size() - 1; }
  [[nodiscard]] static DiskNumber disk(fuse_ino_t inode) {
    return static_cast<DiskNumber>(inode - first_disk);
  }
  /// The inode of the disk called `name`; 0: there is none.
  [[nodiscard]] fuse_ino_t find(std::string_view name) const;
  [[nodiscard]] const std::string& name(fuse_ino_t inode) const;
  [[nodiscard]] std::uint64_t size_bytes(fuse_ino_t inode) const;
  /// Attributes of the root or a disk; null: no such inode.
  [[nodiscard]] struct stat* attributes(fuse_ino_t inode);
  /// A buffer of at least `size_bytes`, reused by the next call.
  [[nodiscard]] MutableByteView buffer(std::size_t size_bytes);

 private:
  Device* device_;
  std::uint64_t sector_bytes_;
  std::vector<DiskSpec> disks_;
  std::vector<struct stat> attributes_;  ///< [0]: the root
  Bytes buffer_;
  WaitingRoom waiting_room_;
};

/// The operations of a session whose user data is a `DiskFiles`.
[[nodiscard]] fuse_lowlevel_ops operations();

}  // namespace faultfs::mount
