#pragma once

/// A directory as bytes: one image is `header | rows | footer`, the same on disk (copy A, copy B)
/// and live in memory, where its owner may have put it on the heap or into shared memory.
///
/// **Header** (whole store blocks): identity of the stripe (magic, version, instance, geometry),
/// the write cursor (`write_pos`: the next data write; `last_write_pos`: the start of the last one;
/// `agg_pos`: the end of the one under way, equal to `write_pos` when quiet), the phase, which
/// flips at every wrap, the serials, the link of the log (document.h), then per segment the head of
/// its free list and the digest of its rows, and a checksum of all that. **Rows**: segment after
/// segment, 10 bytes each (row.h). **Footer** (the last store block): the sync serial and the
/// checksum of the header it belongs to. It is written last, behind a barrier: a copy is complete
/// when header and footer agree.
///
/// In a live image the cursor and the digests are those of the last `seal`; rows and free-list
/// heads are always current.

#include <array>
#include <cstdint>
#include <span>

#include "engine/cyclone/geometry.h"

namespace engine::cyclone {

inline constexpr std::uint32_t image_magic = 0xF1D0F00D;
inline constexpr std::uint16_t version_major = 24, version_minor = 6;
/// Majors that this build reads. Everything else is cleared, never interpreted.
inline constexpr std::uint16_t version_major_min = 24, version_major_max = 24;

/// 128 random bits drawn when the stripe was cleared.
struct Instance {
  std::uint64_t low = 0, high = 0;
  [[nodiscard]] bool operator==(const Instance&) const = default;
};

/// The fixed part of an image's header, without what is computed (digests, checksum).
struct ImageHeader {
  std::uint32_t magic = image_magic;
  std::uint16_t major = version_major, minor = version_minor;
  Instance instance;
  std::uint64_t stripe_begin = 0, stripe_end = 0;
  std::uint32_t segments = 0, buckets = 0;
  std::uint32_t average_object_bytes = 0, aggregation_bytes = 0, fragment_bytes = 0;
  std::uint32_t sector_bytes = 0;
  std::uint64_t write_pos = 0, last_write_pos = 0, agg_pos = 0;  ///< bytes of the span
  std::uint32_t phase = 0;
  std::uint64_t cycle = 0;            ///< wraps so far
  std::uint64_t sync_serial = 0;      ///< of this snapshot; even ones go to copy A, odd ones to B
  std::uint64_t write_serial = 0;     ///< number of the next document
  std::uint64_t link = 0;             ///< what the next document must carry as its link
  std::uint64_t purge_epoch = 0;      ///< no head with a lower number counts: all were purged
  std::uint64_t epoch = 0;            ///< openings so far
  std::uint64_t dirty = 0;            ///< changes since the snapshot (live image only)
  std::uint64_t evacuated_bytes = 0;  ///< written with documents that were moved, in this cycle

  [[nodiscard]] bool operator==(const ImageHeader&) const = default;
};

/// The header of a stripe that was cleared: empty, its cursor where the data begin.
[[nodiscard]] ImageHeader header_of(const StripeGeometry& geometry, const Instance& instance);

/// The footer's content.
struct ImageFooter {
  std::uint32_t magic = image_magic;
  std::uint64_t sync_serial = 0;
  std::uint64_t header_checksum = 0;
};

[[nodiscard]] std::uint64_t image_header_bytes(std::uint32_t segments);

/// `image` holds at least the fixed part of a header.
[[nodiscard]] ImageHeader load_header(std::span<const std::byte> image);
void store_header(const ImageHeader& header, std::span<std::byte> image);
/// `block` is the last store block of an image.
[[nodiscard]] ImageFooter load_footer(std::span<const std::byte> block);
/// True where the footer's own checksum is right.
[[nodiscard]] bool footer_whole(std::span<const std::byte> block);

/// True where the header's identity is that of a stripe of `geometry`.
[[nodiscard]] bool same_geometry(const ImageHeader& header, const StripeGeometry& geometry);

[[nodiscard]] std::uint16_t free_head(std::span<const std::byte> image, std::uint32_t segment);
void set_free_head(std::span<std::byte> image, std::uint32_t segment, std::uint16_t row);
/// The bytes of one segment's rows.
[[nodiscard]] std::span<std::byte> segment_bytes(std::span<std::byte> image,
                                                 const StripeGeometry& geometry,
                                                 std::uint32_t segment);
[[nodiscard]] std::span<const std::byte> segment_bytes(std::span<const std::byte> image,
                                                       const StripeGeometry& geometry,
                                                       std::uint32_t segment);

/// Writes an empty directory into `image`: every row that is no root on its segment's free list.
void clear_image(std::span<std::byte> image, const StripeGeometry& geometry);
/// Writes an empty segment.
void clear_segment(std::span<std::byte> image,
                   const StripeGeometry& geometry,
                   std::uint32_t segment);

/// Computes every digest, the header's checksum and the footer: `image` is now a copy that
/// verifies.
void seal(std::span<std::byte> image, const StripeGeometry& geometry);
/// True where header checksum, every digest and the footer are right. Linear in the image.
[[nodiscard]] bool sealed(std::span<const std::byte> image, const StripeGeometry& geometry);
/// True where the header's checksum is right; `image` holds the whole header.
[[nodiscard]] bool header_sealed(std::span<const std::byte> image, const StripeGeometry& geometry);

}  // namespace engine::cyclone
