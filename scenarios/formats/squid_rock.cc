// A rock store, as Squid 5 lays it out (numbers are the host's own):
//
//   0        header, 16 KiB of zeros
//   16 KiB   slot 0, slot 1, …, each of the slot size, which is not written down anywhere
//
// A slot begins with 40 bytes:
//
//   0   16  key: MD5 of method and URL        28  4  version: low half of a time in seconds
//   16   8  size of the entry; 0: not known   32  4  first slot of the chain
//   24   4  bytes used behind this header     36  4  next slot of the chain; -1: none
//
// All of first, next and size zero: never used. A slot that is its own first is an inode; its
// payload begins with metadata (a byte 3, its length in four bytes, then fields: type, length in
// four bytes, value), one of which (type 4) is the URL. Behind it come the HTTP header and the
// body.
//
// Example: an entry of two slots, written into an empty store, lies in slots 1 (inode) and 0.
//
// There is no checksum, and what a chain consists of is told by key and links alone, so a chain is
// followed here with more suspicion than Squid has: key, version and size of every slot must fit,
// and no slot is in two chains. Where one is, the chain from the lower inode has it.
#include "scenarios/formats/squid_rock.h"

#include <algorithm>

#include <fmt/format.h>

namespace scenarios::formats {

namespace {

constexpr std::uint64_t file_header_bytes = 16384, slot_header_bytes = 40;
constexpr std::uint32_t slots_max = 1U << 24U;
constexpr std::uint64_t metadata_bytes_max = 4096 - slot_header_bytes;
constexpr auto metadata_magic = std::byte{3};
constexpr std::uint8_t url_type = 4;

/// The URL in the metadata that `payload` begins with; empty where there is none.
std::string url_of(faultfs::ByteView payload) {
  constexpr std::uint64_t prefix_bytes = 5;
  if (payload.size() < prefix_bytes || payload[0] != metadata_magic) {
    return {};
  }
  const auto said = static_cast<std::uint64_t>(field<std::uint32_t>(payload, 1));
  const faultfs::ByteView metadata = part(payload, 0, std::min(said, metadata_bytes_max));
  for (std::uint64_t at = prefix_bytes; at + prefix_bytes <= metadata.size();) {
    const auto type = field<std::uint8_t>(metadata, at);
    const std::uint64_t size = field<std::uint32_t>(metadata, at + 1);
    if (type == url_type) {
      return printable(part(metadata, at + prefix_bytes, size));
    }
    at += prefix_bytes + size;
  }
  return {};
}

/// Follows the chain of one inode.
class Chain {
 public:
  /// `owner` says of every slot which inode's chain has it (its number + 1; 0: none).
  Chain(const RockGeometry& geometry,
        const std::vector<const RockSlot*>& slots,
        std::vector<std::uint32_t>& owner)
      : geometry_(geometry), slots_(slots), owner_(owner) {}

  RockEntry follow(const RockSlot& inode) {
    entry_.url = inode.url;
    entry_.key = inode.key;
    entry_.version = inode.version;
    const RockSlot* slot = &inode;
    bool mixed = false;
    while (slot != nullptr) {
      entry_.slots.push_back(slot->number);
      owner_[slot->number] = inode.number + 1;
      entry_.bytes += slot->payload_bytes;
      mixed = mixed || slot->version != inode.version;
      if (slot->next == -1) {
        end(*slot, mixed);
        break;
      }
      slot = after(*slot);
    }
    return std::move(entry_);
  }

 private:
  const RockSlot* after(const RockSlot& slot) {
    const auto number = static_cast<std::uint32_t>(slot.next);
    const RockSlot* next = slot.next >= 0 && number < geometry_.slots ? slots_[number] : nullptr;
    if (next == nullptr || !next->sane) {
      entry_.trouble =
          fmt::format("slot {} points to slot {}, which holds nothing", slot.number, slot.next);
      return nullptr;
    }
    if (next->key != entry_.key) {
      entry_.trouble =
          fmt::format("slot {} points to slot {}, which is another key's", slot.number, number);
      return nullptr;
    }
    if (owner_[number] != 0) {
      entry_.trouble = fmt::format("slot {} points to slot {}, which the chain from slot {} has",
                                   slot.number,
                                   number,
                                   owner_[number] - 1);
      return nullptr;
    }
    return next;
  }

  void end(const RockSlot& tail, bool mixed) {
    if (tail.entry_bytes != 0 && tail.entry_bytes != entry_.bytes) {
      entry_.trouble = fmt::format(
          "its last slot says {} bytes, its slots hold {}", tail.entry_bytes, entry_.bytes);
    } else if (mixed) {
      entry_.trouble = "slots of two versions (a header update, or two objects)";
    }
  }

  const RockGeometry& geometry_;
  const std::vector<const RockSlot*>& slots_;
  std::vector<std::uint32_t>& owner_;
  RockEntry entry_;
};

}  // namespace

std::uint64_t RockGeometry::offset_of(std::uint32_t slot) const {
  return file_header_bytes + std::uint64_t{slot} * slot_bytes;
}

RockGeometry rock_geometry(std::uint64_t disk_bytes, std::uint32_t slot_bytes) {
  RockGeometry geometry;
  geometry.slot_bytes = std::max<std::uint32_t>(slot_bytes, slot_header_bytes + 1);
  const std::uint64_t room = disk_bytes > file_header_bytes ? disk_bytes - file_header_bytes : 0;
  geometry.slots =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(room / geometry.slot_bytes, slots_max));
  return geometry;
}

RockSlot decode_rock_slot(faultfs::ByteView bytes,
                          std::uint32_t number,
                          const RockGeometry& geometry) {
  RockSlot slot;
  slot.number = number;
  slot.key = key_hash(bytes, 0);
  slot.entry_bytes = field<std::uint64_t>(bytes, 16);
  slot.payload_bytes = field<std::uint32_t>(bytes, 24);
  slot.version = field<std::uint32_t>(bytes, 28);
  slot.first = field<std::int32_t>(bytes, 32);
  slot.next = field<std::int32_t>(bytes, 36);
  slot.empty = slot.first == 0 && slot.next == 0 && slot.payload_bytes == 0;
  const auto slots = static_cast<std::int64_t>(geometry.slots);
  slot.sane = !slot.empty && slot.first >= 0 && slot.first < slots && slot.next >= -1 &&
              slot.next < slots && slot.version > 0 && slot.payload_bytes > 0 &&
              slot.payload_bytes <= geometry.slot_bytes - slot_header_bytes;
  if (slot.sane && slot.is_inode()) {
    slot.url = url_of(part(bytes, slot_header_bytes, slot.payload_bytes));
  }
  return slot;
}

RockImage decode_rock(const faultfs::Image& disk, std::uint32_t slot_bytes) {
  RockImage image;
  image.geometry = rock_geometry(disk.size_bytes(), slot_bytes);
  faultfs::Bytes bytes(std::min<std::uint64_t>(image.geometry.slot_bytes, 4096));
  for (std::uint32_t number = 0; number < image.geometry.slots; ++number) {
    disk.read(image.geometry.offset_of(number), bytes);
    RockSlot slot = decode_rock_slot(bytes, number, image.geometry);
    if (!slot.empty) {
      image.used.push_back(std::move(slot));
    }
  }
  std::vector<const RockSlot*> by_number(image.geometry.slots);
  for (const RockSlot& slot : image.used) {
    by_number[slot.number] = &slot;
  }
  std::vector<std::uint32_t> owner(image.geometry.slots);
  for (const RockSlot& slot : image.used) {
    if (slot.sane && slot.is_inode()) {
      image.entries.push_back(Chain(image.geometry, by_number, owner).follow(slot));
    }
  }
  for (const RockSlot& slot : image.used) {
    if (owner[slot.number] == 0) {
      image.loose.push_back(slot.number);
    }
  }
  return image;
}

}  // namespace scenarios::formats
