#pragma once

/// The bytes of a slot store, and why they lie where they lie.
///
/// **The disk.** 16 KiB are reserved for the database header, the rest is `slot_count` slots of
/// `slot_bytes`. The database header has two copies, at 0 and at 8192, written in turn: serial,
/// epoch, the instance (128 random bits drawn when the store was formatted), the geometry and a
/// checksum. A header write that is torn or lost leaves the other copy whole. A blank header is a
/// fresh disk; a header of another format or geometry, or two damaged ones, mean *clear*: a new
/// instance, so that every slot written before is refused by its instance.
///
/// **A life.** Each opening writes epoch + 1 into the other copy and flushes before anything else
/// is written. So a life owns its epoch, and everything the rebuild reads is durable, also what a
/// killed predecessor had left in a volatile write cache. A write id is {epoch, counter} and a
/// nonce drawn from the seed of this opening: ids of one disk are ordered, and where a lying flush
/// lost the epoch, the nonce still keeps two puts apart.
///
/// **A slot** carries 128 bytes of header in its first 512-byte sector, in two halves:
///
///     0        64                  448       512                             slot_bytes
///     | identity | payload, 384 bytes | linkage | payload, the rest ...          |
///
/// The *identity* (state, instance, key, write id, payload checksum) stands at the beginning and
/// the *linkage* (payload length, next, first, index, flags, lengths, chain id and last the
/// header's own checksum) at the end of that sector. A device that tears inside a sector leaves new
/// bytes, then old ones: whatever the point, the two halves no longer belong together and the
/// checksum says so while the rebuild reads nothing but this one sector per slot. Without the
/// checksum a torn header claims a place in another object's chain: that is what
/// `slot_header_checksum` is for.
///
/// **A chain** is the slots of one body: the inode (index 0, whose payload begins with the
/// metadata: key and header text) and, by `next`, the rest up to a slot flagged tail, which knows
/// the body's length and a digest of the payload checksums of all slots but the inode. A header
/// update replaces the inode by a *prefix* of one or two new slots with a higher write id; they
/// carry the body's id as their chain id and go on with the old slot of index 1. For slots of a put
/// both ids are equal.
///
/// **Invalidation** writes the slot's own header with the state `free` over its first sector (the
/// payload part zeroed). What a free slot was is kept for people who look at the image.

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace engine::rock {

inline constexpr std::uint64_t reserved_bytes = 16384;
inline constexpr std::uint32_t first_sector_bytes = 512;  ///< of a slot: all a rebuild reads
inline constexpr std::uint32_t slot_overhead_bytes = 128;
inline constexpr std::uint32_t key_text_bytes_max = 256;
inline constexpr std::int32_t no_slot = -1;

/// Everything of the format that another build must have in common, in words.
[[nodiscard]] std::string format_facts();

/// 128 bits: an instance, or the digest of a key's name.
struct Digest {
  std::uint64_t low = 0, high = 0;
  [[nodiscard]] auto operator<=>(const Digest&) const = default;  // NOLINT: no pointer
};

/// Identifies one put or header update for ever. Ordered by epoch, then counter.
struct WriteId {
  std::uint64_t order = 0;  ///< epoch in the upper, counter in the lower half
  std::uint64_t nonce = 0;  ///< of the opening
  [[nodiscard]] auto operator<=>(const WriteId&) const = default;  // NOLINT: no pointer
};

struct Geometry {
  std::uint32_t slot_bytes = 0;
  std::uint32_t slot_count = 0;
  /// Payload bytes that fit into one slot.
  [[nodiscard]] std::uint32_t capacity() const { return slot_bytes - slot_overhead_bytes; }
  [[nodiscard]] std::uint64_t offset(std::uint32_t slot) const {
    return reserved_bytes + std::uint64_t{slot} * slot_bytes;
  }
  [[nodiscard]] bool operator==(const Geometry&) const = default;
};

enum class SlotState : std::uint32_t { free = 0x65657266, used = 0x64657375 };

enum SlotFlag : std::uint32_t {
  flag_inode = 1,       ///< first slot of a chain; its payload begins with the metadata
  flag_tail = 2,        ///< last slot of a chain
  flag_prefix_end = 4,  ///< last slot that a header update would replace
  flag_overrides = 8,   ///< inode: written while older slots of its key could not be known yet
};

struct SlotHeader {
  SlotState state = SlotState::used;
  Digest instance;
  Digest key;
  WriteId write;
  std::uint64_t payload_checksum = 0;
  std::uint32_t payload_bytes = 0;
  std::int32_t next = no_slot;
  std::int32_t first = 0;
  std::uint32_t index = 0;  ///< prefix slots count from 0, body slots behind them always from 1
  std::uint32_t flags = 0;
  std::uint32_t meta_bytes = 0;     ///< inode: length of the metadata at the payload's start
  std::uint64_t body_bytes = 0;     ///< tail and update prefix: the whole body
  std::uint64_t suffix_digest = 0;  ///< tail: over the payload checksums of index 1 …
  WriteId chain;

  [[nodiscard]] bool has(SlotFlag flag) const { return (flags & flag) != 0; }
  /// True for the slots a header update wrote.
  [[nodiscard]] bool is_update() const { return write != chain; }
};

/// What a first sector holds, before any gate looked at it.
struct DecodedSlot {
  bool blank = false;        ///< header all zeros: never written
  bool magic_ok = false;     ///< looks like a slot header
  bool checksum_ok = false;  ///< and is whole
  SlotHeader header;
};

/// `first_sector` holds at least 512 bytes.
void encode_slot(const SlotHeader& header, std::span<std::byte> first_sector);
[[nodiscard]] DecodedSlot decode_slot(std::span<const std::byte> first_sector);

/// Copies payload bytes from position `at` into or out of a slot's bytes, around the linkage.
void put_payload(std::span<std::byte> slot, std::uint32_t at, std::span<const std::byte> from);
void take_payload(std::span<const std::byte> slot, std::uint32_t at, std::span<std::byte> into);
/// Zeroes what is left of the first sector behind a short payload.
void clear_unused(std::span<std::byte> slot, std::uint32_t payload_bytes);
[[nodiscard]] std::uint64_t payload_checksum(std::span<const std::byte> slot,
                                             std::uint32_t payload_bytes);
/// Bytes from the slot's start to the end of its payload: at least one sector.
[[nodiscard]] std::uint32_t used_bytes(std::uint32_t payload_bytes);
/// The suffix digest after one more slot.
[[nodiscard]] std::uint64_t add_to_digest(std::uint64_t digest, std::uint64_t checksum);

[[nodiscard]] Digest key_digest(std::string_view key);

/// The metadata at the start of an inode's payload: 0x03, its length, the key's length, key text,
/// header text.
inline constexpr std::uint32_t metadata_fixed_bytes = 7;
struct Metadata {
  std::string_view key, header;
  std::uint32_t size_bytes = 0;
};
/// `into` has room for `metadata_fixed_bytes` + key + header.
void encode_metadata(const Metadata& metadata, std::span<std::byte> into);
/// False where `payload` does not begin with metadata that lies inside it. The texts refer into
/// `payload`.
[[nodiscard]] bool decode_metadata(std::span<const std::byte> payload, Metadata& metadata);

/// The key text in an inode's first sector, whoever's it is; empty where there is none.
[[nodiscard]] std::string_view key_text(std::span<const std::byte> first_sector);

inline constexpr std::array<std::uint64_t, 2> database_copy_offset = {0, 8192};
inline constexpr std::uint32_t database_copy_bytes = 512;

struct DatabaseHeader {
  Geometry geometry;
  Digest instance;
  std::uint32_t epoch = 0;
  std::uint64_t serial = 0;
};

struct DecodedDatabase {
  bool blank = false;
  bool valid = false;  ///< this format, whole
  DatabaseHeader header;
};

void encode_database(const DatabaseHeader& header, std::span<std::byte> into);
[[nodiscard]] DecodedDatabase decode_database(std::span<const std::byte> from);

}  // namespace engine::rock
