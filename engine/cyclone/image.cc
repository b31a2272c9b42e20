#include "engine/cyclone/image.h"

#include <xxhash.h>

#include <algorithm>

#include "engine/cyclone/fields.h"
#include "engine/cyclone/row.h"

namespace engine::cyclone {
namespace {

// Offsets in the header.
constexpr std::size_t at_checksum = 200;
constexpr std::size_t at_segments = 256;  // free-list heads, then digests
constexpr std::size_t head_bytes = 2, digest_bytes = 8;
// Offsets in the footer.
constexpr std::size_t at_footer_serial = 8, at_footer_header = 16, at_footer_checksum = 24;

std::uint64_t checksum_of(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::size_t digest_at(std::uint32_t segments, std::uint32_t segment) {
  return round_up(at_segments + head_bytes * segments, digest_bytes) +
         digest_bytes * std::size_t{segment};
}

/// Of everything in the header but the checksum itself.
std::uint64_t header_checksum(std::span<const std::byte> image, const StripeGeometry& geometry) {
  const auto header = image.first(geometry.header_bytes);
  const std::uint64_t before = checksum_of(header.first(at_checksum));
  const auto after = header.subspan(at_checksum + digest_bytes);
  return XXH3_64bits_withSeed(after.data(), after.size(), before);
}

template <typename Byte>
std::span<Byte> rows_of(std::span<Byte> image,
                        const StripeGeometry& geometry,
                        std::uint32_t segment) {
  const std::uint64_t bytes = std::uint64_t{geometry.segment_rows()} * row_bytes;
  return image.subspan(geometry.header_bytes + segment * bytes, bytes);
}

/// Calls `each(field, offset)` for every field of the fixed part, in the order on disk.
template <typename Header, typename Each>
void for_each_field(Header& header, const Each& each) {
  std::size_t at = 0;
  const auto next = [&at, &each](auto& field) {
    each(field, at);
    at += sizeof field;
  };
  next(header.magic);
  next(header.major);
  next(header.minor);
  next(header.instance.low);
  next(header.instance.high);
  next(header.stripe_begin);
  next(header.stripe_end);
  next(header.segments);
  next(header.buckets);
  next(header.average_object_bytes);
  next(header.aggregation_bytes);
  next(header.fragment_bytes);
  next(header.sector_bytes);
  next(header.write_pos);
  next(header.last_write_pos);
  next(header.agg_pos);
  next(header.cycle);
  next(header.sync_serial);
  next(header.write_serial);
  next(header.link);
  next(header.purge_epoch);
  next(header.epoch);
  next(header.dirty);
  next(header.phase);
  next(header.evacuated_bytes);
}

}  // namespace

std::uint64_t image_header_bytes(std::uint32_t segments) {
  return round_up(digest_at(segments, segments), store_block_bytes);
}

ImageHeader load_header(std::span<const std::byte> image) {
  ImageHeader header;
  for_each_field(header, [image](auto& field, std::size_t at) {
    field = load<std::remove_reference_t<decltype(field)>>(image, at);
  });
  return header;
}

void store_header(const ImageHeader& header, std::span<std::byte> image) {
  for_each_field(header, [image](const auto& field, std::size_t at) { store(image, at, field); });
}

ImageFooter load_footer(std::span<const std::byte> block) {
  return {load<std::uint32_t>(block, 0),
          load<std::uint64_t>(block, at_footer_serial),
          load<std::uint64_t>(block, at_footer_header)};
}

bool footer_whole(std::span<const std::byte> block) {
  return load<std::uint64_t>(block, at_footer_checksum) ==
         checksum_of(block.first(at_footer_checksum));
}

ImageHeader header_of(const StripeGeometry& geometry, const Instance& instance) {
  ImageHeader header;
  header.instance = instance;
  header.stripe_begin = geometry.begin;
  header.stripe_end = geometry.end;
  header.segments = geometry.segments;
  header.buckets = geometry.buckets;
  header.average_object_bytes = geometry.average_object_bytes;
  header.aggregation_bytes = geometry.aggregation_bytes;
  header.fragment_bytes = geometry.fragment_bytes;
  header.sector_bytes = geometry.sector_bytes;
  header.write_pos = header.last_write_pos = header.agg_pos = geometry.data_begin;
  return header;
}

bool same_geometry(const ImageHeader& header, const StripeGeometry& geometry) {
  return header.stripe_begin == geometry.begin && header.stripe_end == geometry.end &&
         header.segments == geometry.segments && header.buckets == geometry.buckets &&
         header.average_object_bytes == geometry.average_object_bytes &&
         header.sector_bytes == geometry.sector_bytes &&
         header.aggregation_bytes == geometry.aggregation_bytes &&
         header.fragment_bytes == geometry.fragment_bytes;
}

std::uint16_t free_head(std::span<const std::byte> image, std::uint32_t segment) {
  return load<std::uint16_t>(image, at_segments + head_bytes * segment);
}

void set_free_head(std::span<std::byte> image, std::uint32_t segment, std::uint16_t row) {
  store(image, at_segments + head_bytes * segment, row);
}

std::span<std::byte> segment_bytes(std::span<std::byte> image,
                                   const StripeGeometry& geometry,
                                   std::uint32_t segment) {
  return rows_of(image, geometry, segment);
}

std::span<const std::byte> segment_bytes(std::span<const std::byte> image,
                                         const StripeGeometry& geometry,
                                         std::uint32_t segment) {
  return rows_of(image, geometry, segment);
}

void clear_segment(std::span<std::byte> image,
                   const StripeGeometry& geometry,
                   std::uint32_t segment) {
  const auto bytes = segment_bytes(image, geometry, segment);
  std::fill(bytes.begin(), bytes.end(), std::byte{0});
  SegmentRows rows(bytes);
  std::uint16_t last = 0;
  for (std::uint32_t row = 0; row < geometry.segment_rows(); ++row) {
    if (row % bucket_rows == 0) {
      continue;
    }
    const auto here = static_cast<std::uint16_t>(row);
    rows.set_previous(row, last);
    if (last == 0) {
      set_free_head(image, segment, here);
    } else {
      rows.set_next(last, here);
    }
    last = here;
  }
}

void clear_image(std::span<std::byte> image, const StripeGeometry& geometry) {
  std::fill(image.begin(), image.end(), std::byte{0});
  for (std::uint32_t segment = 0; segment < geometry.segments; ++segment) {
    clear_segment(image, geometry, segment);
  }
}

void seal(std::span<std::byte> image, const StripeGeometry& geometry) {
  for (std::uint32_t segment = 0; segment < geometry.segments; ++segment) {
    store(image,
          digest_at(geometry.segments, segment),
          checksum_of(segment_bytes(image, geometry, segment)));
  }
  const std::uint64_t checksum = header_checksum(image, geometry);
  store(image, at_checksum, checksum);
  const auto footer = image.subspan(geometry.footer_at(), store_block_bytes);
  store(footer, 0, image_magic);
  store(footer, at_footer_serial, load_header(image).sync_serial);
  store(footer, at_footer_header, checksum);
  store(footer, at_footer_checksum, checksum_of(footer.first(at_footer_checksum)));
}

bool header_sealed(std::span<const std::byte> image, const StripeGeometry& geometry) {
  return load<std::uint64_t>(image, at_checksum) == header_checksum(image, geometry);
}

bool sealed(std::span<const std::byte> image, const StripeGeometry& geometry) {
  const auto block = image.subspan(geometry.footer_at(), store_block_bytes);
  const ImageFooter footer = load_footer(block);
  if (!header_sealed(image, geometry) || !footer_whole(block) ||
      footer.header_checksum != load<std::uint64_t>(image, at_checksum) ||
      footer.sync_serial != load_header(image).sync_serial) {
    return false;
  }
  for (std::uint32_t segment = 0; segment < geometry.segments; ++segment) {
    if (load<std::uint64_t>(image, digest_at(geometry.segments, segment)) !=
        checksum_of(segment_bytes(image, geometry, segment))) {
      return false;
    }
  }
  return true;
}

}  // namespace engine::cyclone
