#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/block/device.h"
#include "engine/store.h"
#include "engine/volumes/hosting.h"
#include "engine/volumes/key_policy.h"

namespace engine::volumes {

/// A disk and the volume whose tag it carries.
struct TaggedDisk {
  std::string name;                 ///< stays the same as long as the disk does
  block::Device* device = nullptr;  ///< outlives the store; none: the disk could not be opened
  VolumeTag tag = 1;
  std::uint64_t share_bytes = 1ULL << 30U;  ///< its size, as configured: its part of the objects
};

struct VolumeConfig {
  Hosting hosting{1};
  KeyMode key_mode = KeyMode::original;
  std::string store_facts;  ///< format, geometry and build of the stores, for the version rule
  std::uint64_t seed = 0;   ///< never the same twice
};

/// Opens the store of one disk on what is behind the disk's label.
using OpenStore =
    std::function<Result<std::unique_ptr<Store>>(block::Device& part, std::uint64_t seed)>;

/// One store over the disks of all volumes. The hosting rules say which volume an object lives in,
/// consistent hashing which disk of it; it is never looked for anywhere else. Keys are those of
/// `RequestKey`, or any text without a URL (they live where `hostname=*` says). A disk that is
/// missing or refuses takes its own objects with it: gets of them miss, changes fail, and no other
/// disk takes over, because an object that comes back with the disk would be older than what
/// replaced it. Whatever in `config` or in the set of disks of a volume changes clears that volume
/// (label.h). Error: no disk is left, or a rule names a volume without disks.
[[nodiscard]] Result<std::unique_ptr<Store>> open_volumes(const std::vector<TaggedDisk>& disks,
                                                          const VolumeConfig& config,
                                                          const OpenStore& open_store);

}  // namespace engine::volumes
