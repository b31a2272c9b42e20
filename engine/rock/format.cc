#include "engine/rock/format.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include <fmt/format.h>

#include "engine/base/random.h"

namespace engine::rock {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr std::uint32_t slot_magic = 0x6b636f72;              // "rock"
constexpr std::uint64_t database_magic = 0x62646b636f726370;  // "pcrockdb"
constexpr std::uint32_t format_version = 1;
constexpr std::size_t half_bytes = slot_overhead_bytes / 2;
constexpr std::size_t linkage_at = first_sector_bytes - half_bytes;
constexpr std::uint32_t head_payload_bytes = linkage_at - half_bytes;
constexpr std::byte metadata_magic{3};

struct Identity {
  std::uint32_t magic = 0;
  SlotState state = {};
  Digest instance, key;
  WriteId write;
  std::uint64_t payload_checksum = 0;
};

struct Linkage {
  std::uint32_t payload_bytes = 0;
  std::int32_t next = 0, first = 0;
  std::uint32_t index = 0, flags = 0, meta_bytes = 0;
  std::uint64_t body_bytes = 0, suffix_digest = 0;
  WriteId chain;
  std::uint64_t checksum = 0;
};

struct Header {
  Identity identity;
  Linkage linkage;
};
static_assert(sizeof(Identity) == half_bytes && sizeof(Linkage) == half_bytes);

struct Database {
  std::uint64_t magic = 0;
  std::uint32_t version = 0, slot_bytes = 0;
  std::uint64_t slot_count = 0;
  Digest instance;
  std::uint64_t serial = 0;
  std::uint64_t epoch = 0;
  std::uint64_t checksum = 0;
};

std::uint64_t header_checksum(const Header& header) {
  return XXH3_64bits(&header, sizeof header - sizeof header.linkage.checksum);
}

bool all_zero(const Header& header) {
  std::uint64_t bits = 0;
  for (const std::uint64_t word : std::bit_cast<std::array<std::uint64_t, 16>>(header)) {
    bits |= word;
  }
  return bits == 0;
}

bool all_zero(std::span<const std::byte> bytes) {
  return std::all_of(
      bytes.begin(), bytes.end(), [](std::byte each) { return each == std::byte{}; });
}

}  // namespace

std::string format_facts() {
  return fmt::format("{:x} {:x} {} {} {} {}",
                     database_magic,
                     slot_magic,
                     format_version,
                     reserved_bytes,
                     slot_overhead_bytes,
                     first_sector_bytes);
}

void encode_slot(const SlotHeader& header, std::span<std::byte> first_sector) {
  Header raw = {{slot_magic,
                 header.state,
                 header.instance,
                 header.key,
                 header.write,
                 header.payload_checksum},
                {header.payload_bytes,
                 header.next,
                 header.first,
                 header.index,
                 header.flags,
                 header.meta_bytes,
                 header.body_bytes,
                 header.suffix_digest,
                 header.chain,
                 0}};
  raw.linkage.checksum = header_checksum(raw);
  std::memcpy(first_sector.data(), &raw.identity, half_bytes);
  std::memcpy(first_sector.subspan(linkage_at, half_bytes).data(), &raw.linkage, half_bytes);
}

DecodedSlot decode_slot(std::span<const std::byte> first_sector) {
  Header raw = {};
  std::memcpy(&raw.identity, first_sector.data(), half_bytes);
  std::memcpy(&raw.linkage, first_sector.subspan(linkage_at, half_bytes).data(), half_bytes);
  DecodedSlot slot;
  slot.blank = raw.identity.magic == 0 && all_zero(raw);
  if (slot.blank) {
    return slot;
  }
  slot.magic_ok = raw.identity.magic == slot_magic &&
                  (raw.identity.state == SlotState::free || raw.identity.state == SlotState::used);
  slot.checksum_ok = slot.magic_ok && raw.linkage.checksum == header_checksum(raw);
  const Identity& identity = raw.identity;
  const Linkage& linkage = raw.linkage;
  slot.header = {identity.state,
                 identity.instance,
                 identity.key,
                 identity.write,
                 identity.payload_checksum,
                 linkage.payload_bytes,
                 linkage.next,
                 linkage.first,
                 linkage.index,
                 linkage.flags,
                 linkage.meta_bytes,
                 linkage.body_bytes,
                 linkage.suffix_digest,
                 linkage.chain};
  return slot;
}

void put_payload(std::span<std::byte> slot, std::uint32_t at, std::span<const std::byte> from) {
  if (from.empty()) {
    return;
  }
  std::size_t before = 0;
  if (at < head_payload_bytes) {
    before = std::min<std::size_t>(from.size(), head_payload_bytes - at);
    std::memcpy(slot.subspan(half_bytes + at, before).data(), from.data(), before);
  }
  if (before < from.size()) {
    const std::size_t rest = from.size() - before;
    std::memcpy(slot.subspan(slot_overhead_bytes + at + before, rest).data(),
                from.subspan(before).data(),
                rest);
  }
}

void take_payload(std::span<const std::byte> slot, std::uint32_t at, std::span<std::byte> into) {
  if (into.empty()) {
    return;
  }
  std::size_t before = 0;
  if (at < head_payload_bytes) {
    before = std::min<std::size_t>(into.size(), head_payload_bytes - at);
    std::memcpy(into.data(), slot.subspan(half_bytes + at, before).data(), before);
  }
  if (before < into.size()) {
    const std::size_t rest = into.size() - before;
    std::memcpy(into.subspan(before).data(),
                slot.subspan(slot_overhead_bytes + at + before, rest).data(),
                rest);
  }
}

void clear_unused(std::span<std::byte> slot, std::uint32_t payload_bytes) {
  if (payload_bytes < head_payload_bytes) {
    const auto unused =
        slot.subspan(half_bytes + payload_bytes, head_payload_bytes - payload_bytes);
    std::fill(unused.begin(), unused.end(), std::byte{});
  }
}

std::uint64_t payload_checksum(std::span<const std::byte> slot, std::uint32_t payload_bytes) {
  const std::uint32_t head = std::min(payload_bytes, head_payload_bytes);
  const std::uint64_t first = XXH3_64bits(slot.subspan(half_bytes, head).data(), head);
  if (payload_bytes == head) {
    return first;
  }
  const std::uint32_t rest = payload_bytes - head;
  return XXH3_64bits_withSeed(slot.subspan(first_sector_bytes, rest).data(), rest, first);
}

std::uint32_t used_bytes(std::uint32_t payload_bytes) {
  return payload_bytes <= head_payload_bytes ? first_sector_bytes
                                             : payload_bytes + slot_overhead_bytes;
}

std::uint64_t add_to_digest(std::uint64_t digest, std::uint64_t checksum) {
  return mix(digest, checksum);
}

Digest key_digest(std::string_view key) {
  const XXH128_hash_t hash = XXH3_128bits(key.data(), key.size());
  return {hash.low64, hash.high64};
}

void encode_metadata(const Metadata& metadata, std::span<std::byte> into) {
  const auto total = static_cast<std::uint32_t>(metadata_fixed_bytes + metadata.key.size() +
                                                metadata.header.size());
  const auto key_bytes = static_cast<std::uint16_t>(metadata.key.size());
  into.front() = metadata_magic;
  std::memcpy(into.subspan(1, sizeof total).data(), &total, sizeof total);
  std::memcpy(into.subspan(5, sizeof key_bytes).data(), &key_bytes, sizeof key_bytes);
  const auto texts = into.subspan(metadata_fixed_bytes, total - metadata_fixed_bytes);
  metadata.key.copy(reinterpret_cast<char*>(texts.data()), metadata.key.size());
  const auto header = texts.subspan(metadata.key.size());
  metadata.header.copy(reinterpret_cast<char*>(header.data()), metadata.header.size());
}

bool decode_metadata(std::span<const std::byte> payload, Metadata& metadata) {
  std::uint32_t total = 0;
  std::uint16_t key_bytes = 0;
  if (payload.size() < metadata_fixed_bytes || payload.front() != metadata_magic) {
    return false;
  }
  std::memcpy(&total, payload.subspan(1, sizeof total).data(), sizeof total);
  std::memcpy(&key_bytes, payload.subspan(5, sizeof key_bytes).data(), sizeof key_bytes);
  if (total > payload.size() || metadata_fixed_bytes + std::uint64_t{key_bytes} > total) {
    return false;
  }
  const std::string_view texts(reinterpret_cast<const char*>(payload.data()), total);
  metadata.key = texts.substr(metadata_fixed_bytes, key_bytes);
  metadata.header = texts.substr(metadata_fixed_bytes + std::size_t{key_bytes});
  metadata.size_bytes = total;
  return true;
}

std::string_view key_text(std::span<const std::byte> first_sector) {
  const auto payload = first_sector.subspan(half_bytes, head_payload_bytes);
  std::uint16_t key_bytes = 0;
  std::memcpy(&key_bytes, payload.subspan(5, sizeof key_bytes).data(), sizeof key_bytes);
  if (payload.front() != metadata_magic || key_bytes > key_text_bytes_max) {
    return {};
  }
  const auto text = payload.subspan(metadata_fixed_bytes, key_bytes);
  return {reinterpret_cast<const char*>(text.data()), text.size()};
}

void encode_database(const DatabaseHeader& header, std::span<std::byte> into) {
  Database raw = {database_magic,
                  format_version,
                  header.geometry.slot_bytes,
                  header.geometry.slot_count,
                  header.instance,
                  header.serial,
                  header.epoch,
                  0};
  raw.checksum = XXH3_64bits(&raw, sizeof raw - sizeof raw.checksum);
  std::fill(into.begin(), into.end(), std::byte{});
  std::memcpy(into.data(), &raw, sizeof raw);
}

DecodedDatabase decode_database(std::span<const std::byte> from) {
  Database raw = {};
  std::memcpy(&raw, from.data(), sizeof raw);
  DecodedDatabase database;
  database.blank = raw.magic == 0 && all_zero(from);
  database.valid = raw.magic == database_magic && raw.version == format_version &&
                   raw.checksum == XXH3_64bits(&raw, sizeof raw - sizeof raw.checksum);
  database.header = {{raw.slot_bytes, static_cast<std::uint32_t>(raw.slot_count)},
                     raw.instance,
                     static_cast<std::uint32_t>(raw.epoch),
                     raw.serial};
  return database;
}

}  // namespace engine::rock
