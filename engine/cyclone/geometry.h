#pragma once

#include <cstdint>

#include "engine/base/result.h"

namespace engine::cyclone {

inline constexpr std::uint32_t block_bytes = 512;         ///< unit of directory offsets
inline constexpr std::uint32_t store_block_bytes = 8192;  ///< unit of metadata
inline constexpr std::uint32_t bucket_rows = 4;
inline constexpr std::uint32_t segment_buckets_max = 16384;
inline constexpr std::uint32_t row_bytes = 10;
inline constexpr std::uint32_t aggregation_bytes_max = 4U << 20U;
inline constexpr std::uint64_t stripe_bytes_min = 128ULL * 1024;

/// What a stripe's layout is computed from. Everything here is part of the stripe's identity: a
/// stripe written with other values is cleared, never read with these.
struct Layout {
  std::uint32_t average_object_bytes = 8000;
  std::uint32_t sector_bytes = 4096;    ///< documents are rounded to it: 512 … 8192
  std::uint32_t aggregation_bytes = 0;  ///< 0: by the stripe's size, 4 MiB from 64 MiB on
  std::uint32_t fragment_bytes = 0;  ///< with its header; 0: half of the aggregation, 1 MiB at most
  [[nodiscard]] bool operator==(const Layout&) const = default;
};

/// Where everything of one stripe lies, in bytes of its span:
/// `[copy A: header | rows | footer][copy B: the same][data … end)`.
struct StripeGeometry {
  std::uint64_t begin = 0, end = 0;
  std::uint64_t data_begin = 0;
  std::uint32_t segments = 0;
  std::uint32_t buckets = 0;       ///< of one segment
  std::uint64_t header_bytes = 0;  ///< of one copy, with the free lists' heads and the digests
  std::uint64_t rows_bytes = 0;    ///< of one copy, rounded up
  std::uint64_t copy_bytes = 0;    ///< header, rows, footer: also the size of the live image
  std::uint32_t average_object_bytes = 0;
  std::uint32_t sector_bytes = 0;
  std::uint32_t aggregation_bytes = 0;  ///< one data write is at most this
  std::uint32_t fragment_bytes = 0;

  [[nodiscard]] std::uint32_t segment_rows() const { return buckets * bucket_rows; }
  [[nodiscard]] std::uint64_t rows() const { return std::uint64_t{segments} * segment_rows(); }
  [[nodiscard]] std::uint64_t copy_begin(unsigned copy) const { return begin + copy * copy_bytes; }
  [[nodiscard]] std::uint64_t footer_at() const { return copy_bytes - store_block_bytes; }
  [[nodiscard]] std::uint64_t data_bytes() const { return end - data_begin; }
  /// How far from a document's end another's damage may reach: two data writes.
  [[nodiscard]] std::uint64_t margin_bytes() const { return 2ULL * aggregation_bytes; }
  [[nodiscard]] bool operator==(const StripeGeometry&) const = default;
};

/// The geometry of a stripe in [begin, begin + size_bytes). Error: says what does not fit.
[[nodiscard]] Result<StripeGeometry> make_geometry(std::uint64_t begin,
                                                   std::uint64_t size_bytes,
                                                   const Layout& layout);

}  // namespace engine::cyclone
