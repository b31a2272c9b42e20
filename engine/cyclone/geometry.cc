#include "engine/cyclone/geometry.h"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include "engine/cyclone/fields.h"
#include "engine/cyclone/image.h"

namespace engine::cyclone {
namespace {

constexpr std::uint64_t stripe_bytes_max = 512ULL << 40U;  // 40-bit offsets of 512 bytes
constexpr std::uint32_t sector_bytes_max = 8192;
constexpr std::uint32_t average_bytes_min = 512, average_bytes_max = 4U << 20U;
constexpr std::uint32_t fragment_bytes_max = 1U << 20U;
constexpr std::uint32_t writes_per_stripe = 9;     // a stripe is about this many data writes
constexpr std::uint32_t writes_per_data_area = 6;  // and its data area at least this many

Status check_layout(const Layout& layout) {
  if (!std::has_single_bit(layout.sector_bytes) || layout.sector_bytes < block_bytes ||
      layout.sector_bytes > sector_bytes_max) {
    return fail(Trouble::invalid,
                fmt::format("a sector of {} bytes is not possible; allowed: a power of two from {} "
                            "to {}",
                            layout.sector_bytes,
                            block_bytes,
                            sector_bytes_max));
  }
  if (layout.average_object_bytes < average_bytes_min ||
      layout.average_object_bytes > average_bytes_max) {
    return fail(Trouble::invalid,
                fmt::format("an average object of {} bytes is not possible; allowed: {} to {}",
                            layout.average_object_bytes,
                            average_bytes_min,
                            average_bytes_max));
  }
  return {};
}

/// The directory's size depends on the data area's, and that on the directory's: three rounds.
void lay_out(StripeGeometry& geometry) {
  geometry.data_begin = geometry.begin;
  for (int round = 0; round < 3; ++round) {
    const std::uint64_t entries = geometry.data_bytes() / geometry.average_object_bytes;
    const std::uint64_t buckets = std::max<std::uint64_t>(entries / bucket_rows, 1);
    geometry.segments =
        static_cast<std::uint32_t>((buckets + segment_buckets_max - 1) / segment_buckets_max);
    geometry.buckets =
        static_cast<std::uint32_t>((buckets + geometry.segments - 1) / geometry.segments);
    geometry.header_bytes = image_header_bytes(geometry.segments);
    geometry.rows_bytes = round_up(geometry.rows() * row_bytes, store_block_bytes);
    geometry.copy_bytes = geometry.header_bytes + geometry.rows_bytes + store_block_bytes;
    geometry.data_begin = geometry.begin + 2 * geometry.copy_bytes;
  }
}

}  // namespace

Result<StripeGeometry> make_geometry(std::uint64_t begin,
                                     std::uint64_t size_bytes,
                                     const Layout& layout) {
  const Status possible = check_layout(layout);
  if (!possible) {
    return tl::unexpected(possible.error());
  }
  StripeGeometry geometry;
  geometry.begin = begin;
  geometry.end = begin + size_bytes / store_block_bytes * store_block_bytes;
  if (begin % store_block_bytes != 0 || size_bytes < stripe_bytes_min ||
      size_bytes > stripe_bytes_max) {
    return fail(Trouble::invalid,
                fmt::format("a stripe of {} bytes at {} is not possible; allowed: from {} to {}, "
                            "at a multiple of {}",
                            size_bytes,
                            begin,
                            stripe_bytes_min,
                            stripe_bytes_max,
                            store_block_bytes));
  }
  geometry.average_object_bytes = layout.average_object_bytes;
  geometry.sector_bytes = layout.sector_bytes;
  const std::uint64_t share = std::bit_floor(size_bytes / writes_per_stripe);
  geometry.aggregation_bytes =
      layout.aggregation_bytes != 0
          ? layout.aggregation_bytes
          : static_cast<std::uint32_t>(std::min<std::uint64_t>(share, aggregation_bytes_max));
  geometry.fragment_bytes = layout.fragment_bytes != 0
                                ? layout.fragment_bytes
                                : std::min(geometry.aggregation_bytes / 2, fragment_bytes_max);
  lay_out(geometry);
  const std::uint64_t least = std::uint64_t{geometry.aggregation_bytes} * writes_per_data_area;
  if (geometry.aggregation_bytes > aggregation_bytes_max || geometry.data_begin >= geometry.end ||
      geometry.data_bytes() < least || geometry.aggregation_bytes % geometry.sector_bytes != 0 ||
      geometry.fragment_bytes % geometry.sector_bytes != 0 ||
      geometry.fragment_bytes < geometry.sector_bytes ||
      geometry.fragment_bytes > geometry.aggregation_bytes) {
    return fail(
        Trouble::invalid,
        fmt::format("data writes of {} bytes and fragments of {} do not suit a stripe of {} "
                    "bytes with sectors of {}: a stripe's data area holds at least {} data "
                    "writes",
                    geometry.aggregation_bytes,
                    geometry.fragment_bytes,
                    size_bytes,
                    geometry.sector_bytes,
                    writes_per_data_area));
  }
  return geometry;
}

}  // namespace engine::cyclone
