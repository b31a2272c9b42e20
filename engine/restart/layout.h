#pragma once

/// The control segment, byte for byte (numbers little-endian):
///
///     0   magic "PCUTSHM\0"          frozen: every build reads these 48 bytes, whatever follows
///     8   schema version u32, 0 u32
///     16  ABI hash u64
///     24  storage signature u64      told in the log, never a reason
///     32  clean mark u8, 0 × 3
///     36  owner process u32
///     40  rows in use (high-water mark) u32, 0 u32
///     48  digest u64 of the rows at the clean mark
///     56  256 rows of 112 bytes
///
/// A row: name (32, ends in 0; empty: the row is a tombstone), image size u64, hash u64 of the
/// stripe's identity, untrusted u8, 0 × 7, then the binding of the image to its disk (6 × u64) and
/// the digest u64 of the sealed image.
///
/// The clean mark is the last store of an orderly stop and the first that the next start takes
/// back; between these two nobody may rely on anything behind the first 48 bytes.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace engine::restart {

/// What a stripe's disk says about itself. An image belongs to the disk in exactly this state.
struct Binding {
  std::uint64_t nonce_low = 0, nonce_high = 0;  ///< drawn when the stripe was cleared
  std::uint64_t life = 0;          ///< counted durably at every opening, before the first write
  std::uint64_t sync_serial = 0;   ///< of the newest directory copy
  std::uint64_t write_serial = 0;  ///< data writes so far
  std::uint64_t cursor_bytes = 0;  ///< where the next one goes

  [[nodiscard]] bool operator==(const Binding&) const = default;
};

inline constexpr std::size_t name_field_bytes = 32;
inline constexpr std::size_t row_count = 256;
inline constexpr std::size_t frozen_bytes = 48;
inline constexpr std::uint32_t schema_version = 1;
inline constexpr std::array<char, 8> control_magic = {'P', 'C', 'U', 'T', 'S', 'H', 'M', '\0'};

/// One stripe's image.
struct Row {
  std::array<char, name_field_bytes> name = {};
  std::uint64_t size_bytes = 0;
  std::uint64_t identity_hash = 0;
  std::uint8_t untrusted = 0;
  std::array<std::uint8_t, 7> unused = {};
  Binding binding;
  std::uint64_t image_digest = 0;

  [[nodiscard]] bool tombstone() const { return name[0] == '\0'; }
  /// Bounded, whatever the field holds.
  [[nodiscard]] std::string_view name_text() const;
  void set_name(std::string_view text);
};

/// The first bytes, which no later build may change.
struct Frozen {
  std::array<char, 8> magic = {};
  std::uint32_t schema = 0;
  std::uint32_t unused_1 = 0;
  std::uint64_t abi_hash = 0;
  std::uint64_t storage_signature = 0;
  std::uint8_t clean = 0;
  std::array<std::uint8_t, 3> unused_2 = {};
  std::uint32_t owner = 0;
  std::uint32_t rows_used = 0;
  std::uint32_t unused_3 = 0;
};

/// The whole control segment, laid over its bytes.
struct Control {
  Frozen frozen;
  std::uint64_t table_digest = 0;
  std::array<Row, row_count> rows = {};
};

static_assert(sizeof(Frozen) == frozen_bytes && sizeof(Row) == 112);
inline constexpr std::size_t control_bytes = sizeof(Control);

/// FNV-1a, 64 bits (Fowler, Noll, Vo).
[[nodiscard]] std::uint64_t fnv_1a(std::string_view text, std::uint64_t hash = 0xcbf29ce484222325);

/// Everything two builds must agree on to share a segment, one fact per line: sizes and places, and
/// what the values mean. `format_facts`: those of the directory format, from its owner.
[[nodiscard]] std::vector<std::string> abi_facts(std::span<const std::string> format_facts);
[[nodiscard]] std::uint64_t abi_hash(std::span<const std::string> format_facts);

/// A span (disk) of the storage, as far as it names the storage.
struct SpanFacts {
  std::string path;
  std::uint64_t blocks = 0;
  std::uint64_t offset_bytes = 0;
  std::uint64_t sector_bytes = 0;
};
[[nodiscard]] std::uint64_t storage_signature(std::span<const SpanFacts> spans);

/// Digest of the rows in use. Only for a count within the table.
[[nodiscard]] std::uint64_t table_digest(const Control& control);

}  // namespace engine::restart
