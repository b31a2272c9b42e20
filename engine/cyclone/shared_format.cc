#include "engine/cyclone/shared_format.h"

#include <xxhash.h>

#include <bit>

#include <fmt/format.h>

#include "engine/cyclone/document.h"
#include "engine/cyclone/image.h"
#include "engine/cyclone/row.h"
#include "engine/cyclone/span_header.h"

namespace engine::cyclone {
namespace {

std::uint64_t digest(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

/// A header with a different value in every field.
ImageHeader marked_header(const StripeGeometry& geometry) {
  ImageHeader header = header_of(geometry, {1, 2});
  header.write_pos = geometry.data_begin + 3;
  header.last_write_pos = geometry.data_begin + 4;
  header.agg_pos = geometry.data_begin + 5;
  header.phase = 1;
  header.cycle = 6;
  header.sync_serial = 7;
  header.write_serial = 8;
  header.link = 9;
  header.purge_epoch = 10;
  header.epoch = 11;
  header.dirty = 12;
  header.evacuated_bytes = 13;
  return header;
}

std::uint64_t image_meaning() {
  constexpr std::uint64_t begin = 16384, bytes = 1 << 20;
  const auto geometry = make_geometry(begin, bytes, Layout{});
  if (!geometry) {
    return 0;
  }
  std::vector<std::byte> image(geometry->copy_bytes);
  clear_image(image, *geometry);
  SegmentRows rows(segment_bytes(std::span<std::byte>(image), *geometry, 0));
  Row row;
  row.offset_blocks = 0x1234567890;
  row.tag = 0xabc;
  row.phase = row.head = true;
  row.next = 0x55;
  row.set_size(40000);
  rows.set(0, row);
  row.pinned = true;
  row.phase = false;
  row.set_size(3000000);
  rows.set(4, row);
  store_header(marked_header(*geometry), image);
  seal(image, *geometry);
  return digest(image);
}

std::uint64_t key_meaning() {
  const Key key = key_of("a key whose digest every build must agree on");
  const Key next = next_fragment(key);
  return key.low() ^ std::rotl(key.high(), 1) ^ std::rotl(next.low(), 2) ^
         std::rotl(next.high(), 3) ^ key.tag();
}

std::uint64_t document_meaning() {
  std::vector<std::byte> bytes(document_header_bytes);
  DocumentHeader header;
  header.length = 1;
  header.object_bytes = 2;
  header.first_key = key_of("first");
  header.key = key_of("own");
  header.meta_bytes = 3;
  header.kind = DocumentKind::purge;
  header.serial = 4;
  header.link = 5;
  header.nonce = 6;
  header.sync_serial = 7;
  header.body_offset = 8;
  header.content_checksum = content_checksum(std::as_bytes(std::span("content")));
  return encode_document(header, bytes) ^ digest(bytes);
}

}  // namespace

const std::vector<std::string>& shared_format_facts() {
  static const std::vector<std::string> facts = {
      fmt::format("cyclone format {}.{}", version_major, version_minor),
      fmt::format("blocks {} {}", block_bytes, store_block_bytes),
      fmt::format("rows {} of {} bytes, segments up to {} buckets",
                  bucket_rows,
                  row_bytes,
                  segment_buckets_max),
      fmt::format("image {:016x}", image_meaning()),
      fmt::format("key {:016x}", key_meaning()),
      fmt::format("document {:016x}", document_meaning())};
  return facts;
}

restart::StartRequest start_request(const Config& config,
                                    const SharedDirectory& shared,
                                    std::uint64_t span_bytes) {
  restart::StartRequest request;
  request.config = shared.config;
  request.config.enabled = shared.config.enabled && shared.memory != nullptr;
  for (const std::string& name : config.gates_off) {
    if (const auto gate = restart::gate_table.find(name)) {
      request.config.gates_off.push_back(*gate);
    }
  }
  if (request.config.enabled) {
    request.spans = {{shared.identity,
                      span_bytes / store_block_bytes,
                      span_reserved_bytes,
                      config.layout.sector_bytes}};
    request.format_facts = shared_format_facts();
  }
  return request;
}

}  // namespace engine::cyclone
