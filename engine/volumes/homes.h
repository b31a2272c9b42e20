#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/volumes/assignment.h"
#include "engine/volumes/hosting.h"

namespace engine::volumes {

/// A disk as the choice of an object's home sees it.
struct DiskFacts {
  std::string name;  ///< stays the same as long as the disk does
  VolumeTag tag = 1;
  std::uint64_t share_bytes = 0;  ///< its size, as configured: its part of the volume's objects
};

/// Which disk an object lives on: the hosting rules say the volume, consistent hashing which of its
/// disks. It follows from the configuration alone, whichever disks are there.
class Homes {
 public:
  /// Every volume that `hosting` names has a disk.
  Homes(const std::vector<DiskFacts>& disks, Hosting hosting);

  /// Index of the disk of `key`, which is one of `RequestKey`, or any text without a URL.
  [[nodiscard]] std::size_t home_of(std::string_view key) const;
  /// Indexes of the disks that carry `tag`.
  [[nodiscard]] const std::vector<std::size_t>& disks_of(VolumeTag tag) const;

 private:
  struct Volume {
    std::vector<std::size_t> disks;
    std::vector<Assignment> assignment;  ///< one
  };

  Hosting hosting_;
  std::map<VolumeTag, Volume> volumes_;
};

}  // namespace engine::volumes
