#include "engine/fuzz/real.h"

#include <array>
#include <cstring>

#include "engine/cyclone/document.h"
#include "engine/cyclone/image.h"
#include "engine/cyclone/row.h"
#include "engine/restart/purge.h"

namespace engine::fuzz {
namespace {

constexpr std::uint64_t striped_disk_bytes = 528ULL << 10U;
constexpr std::size_t rows_marked_max = 24;

Bytes read(restart::SharedMemory& memory, const std::string& name) {
  const auto object = memory.open(name, restart::Access::read_only).value();
  const auto mapping =
      object->map(object->size_bytes().value(), restart::Access::read_only).value();
  return {mapping->bytes().begin(), mapping->bytes().end()};
}

/// Header, free lists, rows in use and footer of a directory at `at`.
void mark_directory(std::span<const std::byte> copy,
                    const cyclone::StripeGeometry& geometry,
                    std::size_t at,
                    std::vector<std::size_t>& landmarks) {
  landmarks.insert(landmarks.end(), {at, at + 64, at + 128, at + geometry.header_bytes});
  landmarks.push_back(at + geometry.footer_at());
  const cyclone::SegmentRows<const std::byte> rows(cyclone::segment_bytes(copy, geometry, 0));
  std::size_t marked = 0;
  for (std::uint32_t row = 0; row < geometry.segment_rows() && marked < rows_marked_max; ++row) {
    if (!rows.empty(row)) {
      landmarks.push_back(at + geometry.header_bytes + row * std::size_t{cyclone::row_bytes});
      ++marked;
    }
  }
}

std::vector<std::size_t> documents_of(std::span<const std::byte> disk,
                                      const cyclone::StripeGeometry& geometry) {
  std::vector<std::size_t> found;
  for (std::uint64_t at = geometry.data_begin; at < geometry.end; at += geometry.sector_bytes) {
    if (cyclone::decode_document(disk.subspan(at, cyclone::document_header_bytes)).magic_ok) {
      found.push_back(at);
    }
  }
  return found;
}

/// Both blocks of the span header, the copies, and every document.
Edited mark_disk(const Bytes& disk, const cyclone::Config& config) {
  Edited marked{disk, {0, cyclone::store_block_bytes}};
  const std::span<const std::byte> bytes(disk);
  const auto places = cyclone::divide(disk.size(), config.layout, config.division).value();
  for (const auto& [geometry, volume] : places) {
    for (unsigned copy = 0; copy < 2; ++copy) {
      const std::uint64_t at = geometry.copy_begin(copy);
      mark_directory(bytes.subspan(at, geometry.copy_bytes), geometry, at, marked.landmarks);
    }
    for (const std::size_t at : documents_of(disk, geometry)) {
      marked.landmarks.insert(marked.landmarks.end(), {at, at + cyclone::document_header_bytes});
    }
  }
  return marked;
}

Edited mark_control(Bytes bytes) {
  constexpr std::size_t table = offsetof(restart::Control, rows);
  return {std::move(bytes),
          {0, table, table + sizeof(restart::Row), table + 2 * sizeof(restart::Row)}};
}

}  // namespace

cyclone::Config config_of(std::uint8_t gates) {
  cyclone::Config config;
  config.layout.average_object_bytes = 2048;
  config.layout.sector_bytes = 512;
  config.layout.aggregation_bytes = 8192;
  config.layout.fragment_bytes = 2048;
  config.seed = 11;
  config.recovery_slice_bytes = 32768;
  config.pins = {"k6"};
  config.hit_evacuate_percent = 25;
  constexpr std::array<const char*, 7> groups = {"copy_checksum",
                                                 "document_header",
                                                 "document_body",
                                                 "log_link",
                                                 "image_digest",
                                                 "control_table",
                                                 "fragment_required"};
  for (std::size_t bit = 0; bit < groups.size(); ++bit) {
    if ((gates >> bit & 1U) != 0) {
      config.gates_off.emplace_back(groups.at(bit));
    }
  }
  if ((gates & 0x80U) != 0) {
    for (const auto& row : cyclone::image_check_table.rows()) {
      config.gates_off.emplace_back(row.name);
    }
  }
  return config;
}

cyclone::Config striped(cyclone::Config config) {
  config.division.volumes = cyclone::parse_volumes("1,2").value();
  config.division.stripes = 2;
  config.division.hosting =
      volumes::Hosting::parse("hostname=* volume=1\nprefix=k1 volume=2\ndomain=x.com volume=2\n")
          .value();
  return config;
}

const cyclone::StripeGeometry& one_stripe() {
  static const auto geometry = cyclone::geometry_of_disk(disk_bytes, config_of(0).layout).value();
  return geometry;
}

restart::StartRequest segment_request() {
  restart::StartRequest request;
  request.config.enabled = true;
  request.spans = {{"disk", 18, 0, 512}};
  request.format_facts = {"pieces"};
  return request;
}

restart::Binding piece_binding(std::size_t piece) {
  return {1, 2, 3, piece, 5, 6};
}

std::string key_name(std::size_t number) {
  return "k" + std::to_string(number);
}

void put(Store& store, const std::string& key, std::uint64_t version, std::size_t bytes) {
  static const Bytes any = cyclone::body(1, 1U << 15U);  // made once: inputs are many
  const auto upload = store.begin_put(key, "h", bytes);
  if (upload && store.append(*upload, std::span(any).subspan(version, bytes))) {
    static_cast<void>(store.commit(*upload));
  }
}

Real::Real() {
  cyclone::TestDisk disk(disk_bytes);
  restart::ProcessMemory memory;
  cyclone::SharedDirectory directory;
  directory.memory = &memory;
  directory.config.enabled = true;
  auto store = cyclone::open_store(disk, config_of(0), directory).value();
  for (std::size_t n = 0; n < 60; ++n) {
    put(*store, key_name(n % object_count), n, 300 + 900 * (n % 7));
  }
  static_cast<void>(store->sync());
  put(*store, key_name(3), 77, 5000);
  static_cast<void>(store->update_header(key_name(5), "newer"));
  put(*store, key_name(5) + "|a", 78, 6000);
  put(*store, key_name(5) + "|b", 79, 200);
  static_cast<void>(store->purge(key_name(4)));
  running = mark_disk(disk.now, config_of(0));
  documents = documents_of(disk.now, one_stripe());
  static_cast<void>(store->close());
  stopped = mark_disk(disk.now, config_of(0));
  prefix = restart::frame_prefix(directory.config.name_prefix).value();
  control = mark_control(read(memory, restart::control_name(prefix)));
  image.bytes = read(memory, restart::image_name(prefix, 0));
  mark_directory(image.bytes, one_stripe(), 0, image.landmarks);

  cyclone::TestDisk wide(striped_disk_bytes);
  auto several = cyclone::open_store(wide, striped(config_of(0))).value();
  for (std::size_t n = 0; n < 3 * object_count; ++n) {
    put(*several, key_name(n % object_count), n, 300 + 900 * (n % 7));
  }
  stripes = mark_disk(wide.now, striped(config_of(0)));

  restart::ProcessMemory alone;
  restart::FastRestart life(alone, segment_request(), nullptr);
  std::vector<restart::SealedImage> sealed;
  for (std::size_t piece = 0; piece < piece_count; ++piece) {
    const restart::Binding disk_says = piece_binding(piece);
    auto taken = life.take("piece " + std::to_string(piece), piece_bytes, disk_says).value();
    std::memset(taken.bytes().data(), static_cast<int>(piece + 1), taken.bytes().size());
    sealed.push_back(std::move(taken).seal(disk_says));
  }
  life.finish_start();
  static_cast<void>(life.mark_clean(std::move(sealed)));
  segment = mark_control(read(alone, restart::control_name(prefix)));
  for (std::size_t piece = 0; piece < piece_count; ++piece) {
    const Bytes bytes = read(alone, restart::image_name(prefix, piece));
    pieces.bytes.insert(pieces.bytes.end(), bytes.begin(), bytes.end());
  }
}

const Real& real() {
  static const Real once;
  return once;
}

}  // namespace engine::fuzz
