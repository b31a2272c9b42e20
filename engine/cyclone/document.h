#pragma once

/// A document is what the log consists of: a header of 128 bytes, metadata, content; rounded up to
/// whole sectors with zeros. Five kinds:
///
/// - *head*: found under the object's key. Its metadata is the object's vector: its name, and for
///   each of its alternates (engine/alternate.h) name, header text, length and where the body is.
///   At most one body is *resident* in the head, behind the metadata: that of the alternate written
///   last, where it fits, else one that was there before.
/// - *fragment*: a part of a larger body, found under a fragment key. The first one (the earliest)
///   has a random key of its own per write, the others follow from it (`next_fragment`): parts of
///   two versions of an object can never be taken for each other. Fragments are written first, the
///   head last.
/// - *purge*: says that the object of its key is gone. In no directory; roll-forward obeys it.
/// - *purge of everything*: says that no head with a lower number than its own counts.
///
/// A head or fragment that was in the cursor's way may be written again (evacuation.h): the same
/// under a new number, and it names the row it had.
///
/// **The log.** Documents are numbered (`serial`), and each carries as its `link` the header
/// checksum of the one before it, which covers the opening's nonce. So from a known place the log
/// can be followed document by document, across a wrap and across openings, and what an earlier
/// lap, a lost tail or an earlier instance left on the disk does not fit on: no guess is needed to
/// tell where the log ends.
///
/// **The vector**, as bytes: length of the object's name (2), number of alternates (2), zero (4);
/// for each alternate length of its name (2), resident or not (2), order (4), length of its header
/// (4), content of each fragment (4), earliest key (16), length of its body (8); then the object's
/// name, and name and header of each alternate, the one written last first. Nothing else fits:
/// `decode_vector` refuses every other length, a number of alternates that is not 1 to 5, two of
/// one name, and two that are resident.

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "engine/cyclone/geometry.h"
#include "engine/cyclone/key.h"

namespace engine::cyclone {

inline constexpr std::uint32_t document_magic = 0x5F129B13;
inline constexpr std::uint32_t document_header_bytes = 128;
inline constexpr std::uint32_t name_bytes_max = 1024;  ///< of a key, alternate included
/// Of one object (Traffic Server: proxy.config.cache.limits.http.max_alts).
inline constexpr std::uint32_t alternates_max = 5;

enum class DocumentKind : std::uint8_t { head = 1, fragment = 2, purge = 3, purge_all = 4 };

struct DocumentHeader {
  std::uint32_t length = 0;        ///< header, metadata and content; not rounded
  std::uint64_t object_bytes = 0;  ///< of the whole body; head: of the alternate written last
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
/// True where the lengths fit a fragment of this geometry, and each other, and the kind is one.
[[nodiscard]] bool lengths_possible(const DocumentHeader& header, const StripeGeometry& geometry);
/// Bytes on the disk.
[[nodiscard]] std::uint64_t rounded_length(std::uint64_t length, const StripeGeometry& geometry);
[[nodiscard]] std::uint64_t content_checksum(std::span<const std::byte> content);

/// One alternate of an object, as its head tells it.
struct Alternate {
  std::string_view name;    ///< with its separator; of the plain key empty
  std::string_view header;  ///< both refer into what was decoded
  std::uint64_t object_bytes = 0;
  Key earliest;  ///< of the first fragment; unused where resident
  bool resident = false;
  std::uint32_t fragment_content_bytes = 0;  ///< of every fragment but the last; resident: 0
  std::uint32_t order = 0;                   ///< header updates since the put
};

/// A head's metadata.
struct Vector {
  std::string_view object;  ///< refers into what was decoded
  std::array<Alternate, alternates_max> alternates = {};
  std::uint32_t count = 0;

  /// The one written last first.
  [[nodiscard]] std::span<const Alternate> all() const {
    return std::span(alternates).first(count);
  }
  /// Null where there is none of this name.
  [[nodiscard]] const Alternate* find(std::string_view name) const;
};

[[nodiscard]] std::uint32_t vector_bytes(const Vector& vector);
void encode_vector(const Vector& vector, std::span<std::byte> into);
/// False where `from` is not wholly a vector.
[[nodiscard]] bool decode_vector(std::span<const std::byte> from, Vector& vector);

}  // namespace engine::cyclone
