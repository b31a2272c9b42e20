#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/block/device.h"
#include "engine/store.h"
#include "engine/volumes/hosting.h"
#include "engine/volumes/key_policy.h"
#include "engine/volumes/label.h"

namespace engine::volumes {

/// A disk and the volume whose tag it carries.
struct TaggedDisk {
  std::string name;                 ///< stays the same as long as the disk does
  block::Device* device = nullptr;  ///< outlives the store; none: the disk could not be opened
  VolumeTag tag = 1;
  /// Its size, as configured: its part of the objects. 0, of a disk that could not be opened: not
  /// known, so which objects are its own is not known either, and all of its volume stays closed.
  std::uint64_t share_bytes = 1ULL << 30U;
  std::string trouble = "it could not be opened";  ///< why there is no device
};

struct VolumeConfig {
  Hosting hosting{1};
  KeyMode key_mode = KeyMode::original;
  std::string store_facts;  ///< format, geometry and build of the stores, for the version rule
  std::uint64_t seed = 0;   ///< never the same twice
  /// Gets one line for each disk that was cleared or is not used; may be empty.
  std::function<void(std::string_view line)> log;
};

/// What a disk's store is opened on.
struct DiskPart {
  const std::string& name;        ///< of the disk
  const std::string& key_prefix;  ///< every key of the store begins so
  block::Device& device;          ///< what is behind the disk's label
  std::uint64_t seed = 0;
};
/// Opens the store of one disk.
using OpenStore = std::function<Result<std::unique_ptr<Store>>(const DiskPart& part)>;

/// One store over the disks of all volumes. The hosting rules say which volume an object lives in,
/// consistent hashing which disk of it; it is never looked for anywhere else. Keys are those of
/// `RequestKey`, or any text without a URL (they live where `hostname=*` says). The label puts up
/// to 38 bytes before each. A disk that is missing or refuses takes its own objects with it: gets
/// of them miss, changes fail, and no other disk takes over, because an object that comes back with
/// the disk would be older than what replaced it. Whatever in `config` or in the set of disks of a
/// volume changes clears that volume (label.h). Error: no disk is left, a rule names a volume
/// without disks, or a disk is too small.
[[nodiscard]] Result<std::unique_ptr<Store>> open_volumes(const std::vector<TaggedDisk>& disks,
                                                          const VolumeConfig& config,
                                                          const OpenStore& open_store);

/// A disk of a volume, opened without the others to be looked at: `store` is what is behind
/// `label`, and keys are as the store of volumes has them.
[[nodiscard]] std::unique_ptr<Store> behind_label(std::unique_ptr<Store> store,
                                                  const Label& label,
                                                  std::string disk_name);

}  // namespace engine::volumes
