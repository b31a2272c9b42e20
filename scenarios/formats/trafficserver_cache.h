#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "faultfs/image.h"
#include "scenarios/formats/fields.h"

namespace scenarios::formats {

/// Header or footer of a directory copy. Offsets: at the head of trafficserver_cache.cc.
struct StripeHeader {
  std::uint32_t magic = 0;
  std::uint16_t version_major = 0, version_minor = 0;
  std::uint64_t write_at = 0;       ///< where the next data write goes, in the span
  std::uint64_t last_write_at = 0;  ///< where the one before began
  std::uint32_t phase = 0, cycle = 0;
  std::uint32_t sync_serial = 0, write_serial = 0;
  std::uint32_t sector_bytes = 0;
  [[nodiscard]] bool is_one() const;
};
[[nodiscard]] StripeHeader decode_stripe_header(faultfs::ByteView bytes);

/// One row of a directory that is in use.
struct DirectoryRow {
  std::uint64_t at = 0;            ///< where its document begins, in the span
  std::uint64_t length_bytes = 0;  ///< about, never too little
  std::uint16_t tag = 0;
  bool phase = false, head = false, pinned = false;
};
/// `data` is where documents begin. None where the row is empty.
[[nodiscard]] std::optional<DirectoryRow> decode_row(faultfs::ByteView bytes, std::uint64_t data);

struct DirectoryCopy {
  std::uint64_t at = 0, size_bytes = 0;
  StripeHeader header, footer;
  std::uint32_t rows_used = 0;
  /// Header and footer are there, and of the same sync.
  [[nodiscard]] bool complete() const;
};

/// A document: one fragment of an object, with the header that says so.
struct CacheDocument {
  std::uint64_t at = 0;            ///< in the span
  std::uint32_t length_bytes = 0;  ///< with this header and the metadata
  std::uint64_t stored_bytes = 0;  ///< the same, rounded as it lies on the disk
  std::uint64_t total_bytes = 0;   ///< of the object, as far as it knows
  KeyHash object{}, key{};         ///< of the object, and of this fragment
  std::uint32_t metadata_bytes = 0;
  std::uint8_t type = 0, version_major = 0, version_minor = 0;
  std::uint32_t sync_serial = 0, write_serial = 0;
  bool has_checksum = false;
  /// The head holds the HTTP headers; it is written last.
  [[nodiscard]] bool is_head() const { return metadata_bytes > 0; }
  [[nodiscard]] std::uint64_t body_at() const;
};
/// The document `bytes` begin with; none where they do not begin with one.
[[nodiscard]] std::optional<CacheDocument> decode_document(faultfs::ByteView bytes,
                                                           std::uint64_t at,
                                                           std::uint32_t sector_bytes);

/// A document where it was found, and what the directory says of it.
struct FoundDocument {
  CacheDocument document;
  std::uint32_t fragment = 0;  ///< counted from 1 as they lie, from one head of its object to the
                               ///< next; 0: the head
  bool listed = false;         ///< the newest complete directory has a row for it
};

struct CacheStripe {
  std::uint64_t at = 0, size_bytes = 0, data = 0;
  DirectoryCopy a, b;
  std::vector<FoundDocument> documents;
  std::uint32_t rows_to_nothing = 0;  ///< of the newest complete copy: no document begins there
  /// The copy a start would take; null: neither is complete.
  [[nodiscard]] const DirectoryCopy* newest() const;
};

struct CacheImage {
  bool is_span = false;  ///< the span header is there
  std::vector<CacheStripe> stripes;
  std::vector<std::string> trouble;  ///< what could not be read as what it should be
};

/// All that a span of Traffic Server says of itself. Never fails: nonsense is told as such.
[[nodiscard]] CacheImage decode_trafficserver(const faultfs::Image& disk);

}  // namespace scenarios::formats
