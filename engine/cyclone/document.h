#pragma once

/// A document is what the log consists of: a header of 128 bytes, metadata, content; rounded up to
/// whole sectors with zeros. Four kinds:
///
/// - *head*: found under the object's key. Its metadata is the object's vector (name, header text,
///   length, where the body is). A body that fits is *resident* in the head, behind the metadata.
/// - *fragment*: a part of a larger body, found under a fragment key. The first one (the earliest)
///   has a random key of its own per write, the others follow from it (`next_fragment`): parts of
///   two versions of an object can never be taken for each other. Fragments are written first, the
///   head last.
/// - *purge*: says that the object of its key is gone. In no directory; roll-forward obeys it.
///
/// A head or fragment that was in the cursor's way may be written again (evacuation.h): the same
/// under a new number, and it names the row it had.
///
/// **The log.** Documents are numbered (`serial`), and each carries as its `link` the header
/// checksum of the one before it, which covers the opening's nonce. So from a known place the log
/// can be followed document by document, across a wrap and across openings, and what an earlier
/// lap, a lost tail or an earlier instance left on the disk does not fit on: no guess is needed to
/// tell where the log ends.

#include <cstdint>
#include <span>
#include <string_view>

#include "engine/cyclone/geometry.h"
#include "engine/cyclone/key.h"

namespace engine::cyclone {

inline constexpr std::uint32_t document_magic = 0x5F129B13;
inline constexpr std::uint32_t document_header_bytes = 128;
inline constexpr std::uint32_t name_bytes_max = 1024;

enum class DocumentKind : std::uint8_t { head = 1, fragment = 2, purge = 3 };

struct DocumentHeader {
  std::uint32_t length = 0;        ///< header, metadata and content; not rounded
  std::uint64_t object_bytes = 0;  ///< of the whole body
  Key first_key;                   ///< of the object
  Key key;                         ///< of this document
  std::uint32_t meta_bytes = 0;
  DocumentKind kind = DocumentKind::head;
  std::uint64_t serial = 0;  ///< its number in the log
  std::uint64_t link = 0;    ///< header checksum of the document before it
  std::uint64_t nonce = 0;   ///< of the opening that wrote it
  std::uint64_t sync_serial = 0;
  std::uint64_t body_offset = 0;       ///< fragment: place in the body; others: the row they end
  bool pinned = false;                 ///< of an object that stays (evacuation.h)
  std::uint64_t moved_from = 0;        ///< evacuated: the row of its old place, which ends; else 0
  std::uint64_t content_checksum = 0;  ///< of metadata and content
};

/// What 128 bytes hold, before any gate looked at them.
struct DecodedDocument {
  bool magic_ok = false;
  bool checksum_ok = false;
  std::uint64_t checksum = 0;  ///< of the header: the next document's link
  DocumentHeader header;
};

/// Writes the header with its checksum, which is returned.
std::uint64_t encode_document(const DocumentHeader& header, std::span<std::byte> into);
/// `from` holds at least 128 bytes.
[[nodiscard]] DecodedDocument decode_document(std::span<const std::byte> from);
/// True where the lengths fit a fragment of this geometry, and each other.
[[nodiscard]] bool lengths_possible(const DocumentHeader& header, const StripeGeometry& geometry);
/// Bytes on the disk.
[[nodiscard]] std::uint64_t rounded_length(std::uint64_t length, const StripeGeometry& geometry);
[[nodiscard]] std::uint64_t content_checksum(std::span<const std::byte> content);

/// A head's metadata.
struct Vector {
  std::string_view name, header;  ///< refer into what was decoded
  Key earliest;                   ///< of the first fragment; unused where resident
  bool resident = true;
  std::uint32_t fragment_content_bytes = 0;  ///< of every fragment but the last
  std::uint32_t order = 0;                   ///< header updates since the put
};

[[nodiscard]] std::uint32_t vector_bytes(const Vector& vector);
void encode_vector(const Vector& vector, std::span<std::byte> into);
/// False where `from` is not wholly a vector.
[[nodiscard]] bool decode_vector(std::span<const std::byte> from, Vector& vector);

}  // namespace engine::cyclone
