#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "faultfs/image.h"
#include "scenarios/formats/fields.h"

namespace scenarios::formats {

/// One slot of a Squid rock store, as its header says. Offsets: at the head of squid_rock.cc.
struct RockSlot {
  std::uint32_t number = 0;
  bool empty = true;  ///< never used, as far as its header says
  bool sane = false;  ///< its numbers fit the store
  KeyHash key{};
  std::uint64_t entry_bytes = 0;  ///< of the whole entry; 0: not said
  std::uint32_t payload_bytes = 0;
  std::uint32_t version = 0;  ///< seconds: when the entry was made
  std::int32_t first = 0;     ///< the slot its chain begins with, as far as it knows
  std::int32_t next = 0;      ///< the slot that follows; -1: none
  std::string url;            ///< only where the chain begins here and its metadata holds one

  [[nodiscard]] bool is_inode() const {
    return !empty && first >= 0 && static_cast<std::uint32_t>(first) == number;
  }
};

/// Where slots lie, which the file itself does not say.
struct RockGeometry {
  std::uint32_t slot_bytes = 16384;
  std::uint32_t slots = 0;
  [[nodiscard]] std::uint64_t offset_of(std::uint32_t slot) const;
};
[[nodiscard]] RockGeometry rock_geometry(std::uint64_t disk_bytes, std::uint32_t slot_bytes);

/// Reads the slot that begins with `bytes`, of which there may be fewer than a slot has.
[[nodiscard]] RockSlot decode_rock_slot(faultfs::ByteView bytes,
                                        std::uint32_t number,
                                        const RockGeometry& geometry);

/// A chain of slots from an inode on.
struct RockEntry {
  std::string url;
  KeyHash key{};
  std::uint32_t version = 0;
  std::vector<std::uint32_t> slots;
  std::uint64_t bytes = 0;  ///< payload of those slots
  std::string trouble;      ///< why it is not one whole object; empty: nothing speaks against it
};

struct RockImage {
  RockGeometry geometry;
  std::vector<RockSlot> used;  ///< slots that are not empty, ascending
  std::vector<RockEntry> entries;
  std::vector<std::uint32_t> loose;  ///< used slots that no chain reaches
};

/// All that a rock store says of itself. Never fails: nonsense is told as such.
[[nodiscard]] RockImage decode_rock(const faultfs::Image& disk, std::uint32_t slot_bytes);

}  // namespace scenarios::formats
