#include "engine/fuzz/one_input.h"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>

#include "engine/cyclone/directory.h"
#include "engine/cyclone/document.h"
#include "engine/cyclone/span_header.h"
#include "engine/cyclone/validate.h"
#include "engine/fuzz/real.h"
#include "engine/restart/life.h"
#include "engine/restart/purge.h"

namespace engine::fuzz {
namespace {

using View = std::span<const std::byte>;

constexpr std::size_t edit_bytes = 5;
constexpr unsigned at_landmark = 0x80;
constexpr std::size_t document_edited_bytes = 512;

/// One edit: set, xor, add, or fill 8 or 512 bytes, with the value; or put what is elsewhere on the
/// disk there, a sector of it.
void change(std::span<std::byte> bytes, std::size_t at, unsigned operation, std::byte value) {
  const auto fill = [&](std::size_t size) {
    std::ranges::fill(bytes.subspan(at, std::min(size, bytes.size() - at)), value);
  };
  switch (operation % 6) {
    case 0:
      bytes[at] = value;
      return;
    case 1:
      bytes[at] ^= value;
      return;
    case 2:
      bytes[at] = static_cast<std::byte>(std::to_integer<unsigned>(bytes[at]) +
                                         std::to_integer<unsigned>(value));
      return;
    case 3:
      return fill(512);
    case 4:
      return fill(8);
    default: {
      const std::size_t from = std::to_integer<std::size_t>(value) * 512 % bytes.size();
      const std::size_t size = std::min<std::size_t>(512, bytes.size() - std::max(at, from));
      std::copy_n(&bytes[from], from == at ? 0 : size, &bytes[at]);
      return;
    }
  }
}

void edit(View edits, std::span<std::byte> bytes, const std::vector<std::size_t>& landmarks) {
  for (; edits.size() >= edit_bytes; edits = edits.subspan(edit_bytes)) {
    const auto number = [&edits](std::size_t at) {
      return std::to_integer<std::uint32_t>(edits[at]);
    };
    const std::uint32_t upper = number(1) | number(2) << 8U;
    const bool near = (number(3) & at_landmark) != 0;
    const std::size_t at = near ? landmarks[upper % landmarks.size()] + number(0)
                                : std::size_t{upper} << 8U | number(0);
    change(bytes, at % bytes.size(), number(3) & ~at_landmark, edits[4]);
  }
}

/// A copy of `from` with edits, in memory that is kept from input to input.
std::span<std::byte> edited(View edits, const Edited& from, Bytes& kept) {
  kept.assign(from.bytes.begin(), from.bytes.end());
  edit(edits, kept, from.landmarks);
  return kept;
}

/// A disk whose memory is kept from input to input.
class KeptDisk {
 public:
  KeptDisk(View edits, const Edited& from) {
    device.now.swap(memory());
    static_cast<void>(edited(edits, from, device.now));
  }
  ~KeptDisk() { device.now.swap(memory()); }
  KeptDisk(const KeptDisk&) = delete;
  KeptDisk& operator=(const KeptDisk&) = delete;

  cyclone::TestDisk device{0};

 private:
  static Bytes& memory() {
    static Bytes kept;
    return kept;
  }
};

void recover_and_read(Store& store) {
  for (Result<bool> more = true; more && *more;) {
    more = store.tick();
  }
  static GetReply reply;
  for (std::size_t key = 0; key < object_count; ++key) {
    static_cast<void>(store.get(key_name(key), {}, reply));
  }
  static_cast<void>(store.get(key_name(5) + "|a", {}, reply));
  static_cast<void>(store.inspect());
}

void use(Store& store) {
  recover_and_read(store);
  static_cast<void>(store.update_header(key_name(1), "another"));
  static_cast<void>(store.update_header(key_name(5) + "|a", "another"));
  static_cast<void>(store.purge(key_name(2)));
  for (std::size_t n = 0; n < 4; ++n) {
    put(store, key_name(n), 50 + n, 500 + 2500 * n);
  }
  static_cast<void>(store.purge(key_name(5)));
  static_cast<void>(store.inspect());
  static_cast<void>(store.purge_all());
}

/// Lays out what a header says, and asks for the places of some keys.
void lay_out(const cyclone::SpanHeader& header) {
  const auto places =
      cyclone::divide(header.span_bytes % (1ULL << 33U), header.layout, header.division);
  if (!places) {
    return;
  }
  const cyclone::Placement placement(*places, header.division);
  for (const char* key : {"k1", "o http://x.com/a", ""}) {
    if (placement.stripe_of(key) >= places->size()) {
      std::abort();
    }
  }
}

void decode_span(std::uint8_t gates, View rest) {
  static Bytes block;
  block.assign(cyclone::store_block_bytes, std::byte{0});
  if ((gates & 1U) != 0) {
    const auto newer = View(real().stripes.bytes).subspan(cyclone::store_block_bytes);
    std::copy_n(newer.begin(), block.size(), block.begin());
    edit(rest, block, {0, 128});
  } else {
    std::copy_n(rest.begin(), std::min(rest.size(), block.size()), block.begin());
  }
  for (const bool checked : {true, false}) {
    if (const auto header = cyclone::decode_span(block, checked)) {
      lay_out(*header);
    }
  }
}

void decode_document(std::uint8_t gates, View rest) {
  static Bytes bytes;
  const auto& documents = real().documents;
  if ((gates & 1U) != 0) {
    const std::size_t at = documents[gates / 2 % documents.size()];
    const auto disk = View(real().running.bytes).subspan(at);
    const auto document = disk.first(std::min(disk.size(), document_edited_bytes));
    bytes.assign(document.begin(), document.end());
    edit(rest, bytes, {0, 64, cyclone::document_header_bytes});
  } else {
    bytes.assign(rest.begin(), rest.end());
    bytes.resize(std::max<std::size_t>(bytes.size(), cyclone::document_header_bytes));
  }
  const auto document = cyclone::decode_document(bytes);
  static_cast<void>(cyclone::lengths_possible(document.header, one_stripe()));
  cyclone::Vector vector;
  static_cast<void>(
      cyclone::decode_vector(std::span(bytes).subspan(cyclone::document_header_bytes), vector));
}

void use_image(std::uint8_t gates, View rest) {
  const cyclone::StripeGeometry& geometry = one_stripe();
  static Bytes kept;
  const std::span<std::byte> image = edited(rest, real().image, kept);
  static_cast<void>(cyclone::header_sealed(image, geometry));
  static_cast<void>(cyclone::sealed(image, geometry));
  static_cast<void>(cyclone::same_geometry(cyclone::load_header(image), geometry));
  cyclone::ImageChecks checks;
  for (const auto& row : cyclone::image_check_table.rows()) {
    const auto number = static_cast<unsigned>(row.gate);
    if ((gates & 0x80U) != 0 && (gates & 0x7fU) % cyclone::image_check_table.count <= number) {
      checks.switch_off(row.gate);
    }
  }
  if (cyclone::validate_image(image, geometry, checks)) {
    return;
  }
  cyclone::Directory directory(image, geometry, cyclone::Eviction::oldest);
  const cyclone::Window window{true, 4096};
  std::vector<cyclone::Row> rows;
  for (std::size_t n = 0; n < object_count; ++n) {
    const cyclone::Key key = cyclone::key_of(key_name(n));
    directory.candidates(key, window, rows);
    if (!rows.empty()) {
      static_cast<void>(directory.erase(key, rows.front().offset_blocks));
    }
    cyclone::Row row;
    row.offset_blocks = 1 + 8 * n;
    directory.insert(key, row, window);
  }
  directory.for_each([](std::uint32_t, std::uint32_t, const cyclone::Row&) {});
  static_cast<void>(directory.erase_if([](const cyclone::Row& row) { return row.head; }));
}

void use_disk(const cyclone::Config& config, const Edited& from, View rest, bool reseal) {
  KeptDisk disk(rest, from);
  const auto places =
      cyclone::divide(disk.device.now.size(), config.layout, config.division).value();
  for (const cyclone::StripePlace& place : places) {
    for (unsigned copy = 0; reseal && copy < 2; ++copy) {
      const cyclone::StripeGeometry& geometry = place.geometry;
      cyclone::seal(
          std::span(disk.device.now).subspan(geometry.copy_begin(copy), geometry.copy_bytes),
          geometry);
    }
  }
  if (const auto store = cyclone::open_store(disk.device, config)) {
    use(**store);
  }
  if (const auto store = cyclone::open_store(disk.device, config)) {
    recover_and_read(**store);
  }
}

void place(restart::SharedMemory& memory, const std::string& name, View bytes) {
  const auto object = memory.create(name).value();
  static_cast<void>(object->resize(bytes.size(), false));
  const auto mapping = object->map(bytes.size(), restart::Access::read_write).value();
  std::copy(bytes.begin(), bytes.end(), mapping->bytes().begin());
}

/// As if it had been written so.
void reseal_table(std::span<std::byte> segment) {
  auto& control = *reinterpret_cast<restart::Control*>(segment.data());
  if (control.frozen.rows_used <= restart::row_count) {
    control.table_digest = restart::table_digest(control);
  }
}

void start_with(std::uint8_t gates, View rest, bool control) {
  restart::ProcessMemory memory;
  static Bytes kept_segment, kept_image;
  const auto segment = edited(control ? rest : View(), real().control, kept_segment);
  const auto image = edited(control ? View() : rest, real().image, kept_image);
  if (!control) {
    reinterpret_cast<restart::Control*>(segment.data())->rows.at(0).image_digest =
        restart::image_digest(image);
  }
  if ((gates & 1U) != 0) {
    reseal_table(segment);
  }
  place(memory, restart::control_name(real().prefix), segment);
  place(memory, restart::image_name(real().prefix, 0), image);
  KeptDisk disk({}, real().stopped);
  cyclone::SharedDirectory shared;
  shared.memory = &memory;
  shared.config.enabled = true;
  if (const auto store = cyclone::open_store(disk.device, config_of(gates), shared)) {
    use(**store);
    static_cast<void>((*store)->close());
  }
  if (const auto store = cyclone::open_store(disk.device, config_of(gates), shared)) {
    recover_and_read(**store);
  }
}

void start_segment(std::uint8_t gates, View rest) {
  restart::ProcessMemory memory;
  static Bytes kept;
  const auto segment = edited(rest, real().segment, kept);
  if ((gates & 1U) != 0) {
    reseal_table(segment);
  }
  place(memory, restart::control_name(real().prefix), segment);
  for (std::size_t piece = 0; piece < piece_count; ++piece) {
    place(memory,
          restart::image_name(real().prefix, piece),
          View(real().pieces.bytes).subspan(piece * piece_bytes, piece_bytes));
  }
  restart::StartRequest request = segment_request();
  for (const auto& row : restart::gate_table.rows()) {
    if ((gates & 2U) != 0) {
      request.config.gates_off.push_back(row.gate);
    }
  }
  const std::string& word = request.config.name_prefix;
  const auto status = restart::read_status(memory, word, request.format_facts);
  if (status) {
    static_cast<void>(restart::to_text(*status));
  }
  {
    restart::FastRestart life(memory, request, nullptr);
    std::vector<restart::SealedImage> sealed;
    for (std::size_t piece = 0; piece < piece_count; ++piece) {
      const restart::Binding disk_says = piece_binding(piece);
      auto taken = life.take("piece " + std::to_string(piece), piece_bytes, disk_says).value();
      taken.bytes().front() ^= taken.bytes().back();
      if (taken.shared()) {
        sealed.push_back(std::move(taken).seal(disk_says));
      }
    }
    life.finish_start();
    static_cast<void>(life.mark_clean(std::move(sealed)));
  }
  restart::Gates purging({}, nullptr);
  static_cast<void>(restart::purge(memory, word, purging));
}

}  // namespace

void run_one(std::span<const std::byte> input) {
  if (input.size() < 2) {
    return;
  }
  const auto gates = std::to_integer<std::uint8_t>(input[1]);
  const View rest = input.subspan(2);
  switch (static_cast<Part>(std::to_integer<unsigned>(input[0]) % part_count)) {
    case Part::span_header:
      return decode_span(gates, rest);
    case Part::document:
      return decode_document(gates, rest);
    case Part::image:
      return use_image(gates, rest);
    case Part::disk:
      return use_disk(config_of(gates), real().running, rest, false);
    case Part::resealed:
      return use_disk(config_of(gates), real().running, rest, true);
    case Part::stripes:
      return use_disk(striped(config_of(gates)), real().stripes, rest, true);
    case Part::control:
      return start_with(gates, rest, true);
    case Part::shared:
      return start_with(gates, rest, false);
    case Part::segment:
      return start_segment(gates, rest);
  }
}

}  // namespace engine::fuzz
