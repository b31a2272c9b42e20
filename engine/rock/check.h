#pragma once

#include <string>
#include <vector>

#include "engine/block/device.h"
#include "engine/rock/config.h"
#include "engine/rock/format.h"

namespace engine::rock {

/// What a rebuild would do with one slot, and what its first sector says.
struct SlotReport {
  std::uint32_t slot = 0;
  std::string verdict;  ///< empty, loaded, refused, superseded
  std::string gate;     ///< refused: by which
  bool has_header = false;
  SlotHeader header;  ///< as on the medium, believed or not
  std::string key;    ///< of an inode; else empty
};

struct DiskReport {
  Geometry geometry;
  Digest instance;
  std::uint32_t epoch = 0;  ///< that a start would have
  std::vector<SlotReport> slots;
};

/// Judges every slot of a disk that is not in use, payloads included, as the next start would, and
/// changes nothing.
[[nodiscard]] Result<DiskReport> check_disk(block::Device& device, const Config& config);

/// The slot size that the newest valid database header tells. Error where there is none.
[[nodiscard]] Result<std::uint32_t> slot_bytes_of(block::Device& device);

}  // namespace engine::rock
