#include "engine/fuzz/one_input.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>

#include "engine/cyclone/directory.h"
#include "engine/cyclone/document.h"
#include "engine/cyclone/span_header.h"
#include "engine/cyclone/test_disk.h"
#include "engine/cyclone/validate.h"
#include "engine/restart/life.h"
#include "engine/restart/process_memory.h"
#include "engine/restart/purge.h"

namespace engine::fuzz {
namespace {

using cyclone::Bytes;
using View = std::span<const std::byte>;

constexpr std::size_t edit_bytes = 5;
constexpr std::uint64_t disk_bytes = 256ULL << 10U;
constexpr std::size_t object_count = 12;

cyclone::Config config_of(std::uint8_t gates) {
  cyclone::Config config;
  config.layout.average_object_bytes = 2048;
  config.seed = 11;
  config.recovery_slice_bytes = 32768;
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
  config.division.volumes = cyclone::parse_volumes("1:3,2:2").value();
  config.division.stripes = 2;
  config.division.hosting =
      volumes::Hosting::parse("hostname=* volume=1\nprefix=k1 volume=2\ndomain=x.com volume=2\n")
          .value();
  return config;
}

std::string key_name(std::size_t number) {
  return "k" + std::to_string(number);
}

void put(Store& store, const std::string& key, std::uint64_t version, std::size_t bytes) {
  static const Bytes any = cyclone::body(1, 1U << 17U);  // made once: inputs are many
  const auto upload = store.begin_put(key, "h", bytes);
  if (upload && store.append(*upload, View(any).subspan(version, bytes))) {
    static_cast<void>(store.commit(*upload));
  }
}

void use(Store& store) {
  for (Result<bool> more = true; more && *more;) {
    more = store.tick();
  }
  GetReply reply;
  for (std::size_t key = 0; key < object_count; ++key) {
    static_cast<void>(store.get(key_name(key), {}, reply));
  }
  static_cast<void>(store.update_header(key_name(1), "another"));
  static_cast<void>(store.purge(key_name(2)));
  for (std::size_t n = 0; n < 6; ++n) {
    put(store, key_name(n), 50 + n, 500 + 9000 * n);
  }
  static_cast<void>(store.inspect());
}

/// A disk with objects of one and of several fragments, lapped once, and what an orderly stop left
/// in shared memory.
struct Seeded {
  Seeded() {
    cyclone::TestDisk made(disk_bytes);
    restart::ProcessMemory memory;
    cyclone::SharedDirectory shared;
    shared.memory = &memory;
    shared.config.enabled = true;
    auto store = cyclone::open_store(made, config_of(0), shared).value();
    for (std::size_t n = 0; n < 40; ++n) {
      put(*store, key_name(n % object_count), n, 300 + 1700 * (n % 7));
    }
    static_cast<void>(store->sync());
    put(*store, key_name(3), 77, 5000);
    static_cast<void>(store->purge(key_name(4)));
    running = made.now;
    static_cast<void>(store->close());
    stopped = made.now;
    prefix = restart::frame_prefix(shared.config.name_prefix).value();
    control = read(memory, restart::control_name(prefix));
    image = read(memory, restart::image_name(prefix, 0));
    cyclone::TestDisk wide(4 * disk_bytes);
    auto several = cyclone::open_store(wide, striped(config_of(0))).value();
    for (std::size_t n = 0; n < 3 * object_count; ++n) {
      put(*several, key_name(n % object_count), n, 300 + 1700 * (n % 7));
    }
    four = wide.now;
  }
  static Bytes read(restart::SharedMemory& memory, const std::string& name) {
    const auto object = memory.open(name, restart::Access::read_only).value();
    const auto mapping =
        object->map(object->size_bytes().value(), restart::Access::read_only).value();
    return {mapping->bytes().begin(), mapping->bytes().end()};
  }
  Bytes running, stopped, control, image, four;
  std::string prefix;
};

const Seeded& seeded() {
  static const Seeded once;
  return once;
}

void edit(View edits, std::span<std::byte> bytes) {
  for (; edits.size() >= edit_bytes; edits = edits.subspan(edit_bytes)) {
    const auto number = [&edits](std::size_t at) {
      return std::to_integer<std::uint32_t>(edits[at]);
    };
    const std::size_t at = (number(0) | number(1) << 8U | number(2) << 16U) % bytes.size();
    const auto value = edits[4];
    switch (number(3) % 4) {
      case 0:
        bytes[at] = value;
        break;
      case 1:
        bytes[at] ^= value;
        break;
      case 2:
        bytes[at] = static_cast<std::byte>(std::to_integer<unsigned>(bytes[at]) +
                                           std::to_integer<unsigned>(value));
        break;
      default:
        std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                  bytes.begin() + static_cast<std::ptrdiff_t>(std::min(bytes.size(), at + 512)),
                  value);
        break;
    }
  }
}

void decode_span(std::uint8_t gates, View rest) {
  Bytes block(cyclone::store_block_bytes);
  if ((gates & 1U) != 0) {
    const auto newer = seeded().four.begin() + cyclone::store_block_bytes;
    std::copy_n(newer, block.size(), block.begin());
    edit(rest, block);
  } else {
    std::copy_n(rest.begin(), std::min(rest.size(), block.size()), block.begin());
  }
  for (const bool checked : {true, false}) {
    const auto header = cyclone::decode_span(block, checked);
    const auto places =
        header
            ? cyclone::divide(header->span_bytes % (1ULL << 33U), header->layout, header->division)
            : fail(Trouble::invalid, "no header");
    if (places) {
      const cyclone::Placement placement(*places, header->division);
      for (const char* key : {"k1", "o http://x.com/a", ""}) {
        if (placement.stripe_of(key) >= places->size()) {
          std::abort();
        }
      }
    }
  }
}

void decode_document(View rest) {
  Bytes bytes(rest.begin(), rest.end());
  bytes.resize(std::max<std::size_t>(bytes.size(), cyclone::document_header_bytes));
  const auto document = cyclone::decode_document(bytes);
  const auto geometry = cyclone::geometry_of_disk(disk_bytes, config_of(0).layout).value();
  static_cast<void>(cyclone::lengths_possible(document.header, geometry));
  cyclone::Vector vector;
  static_cast<void>(
      cyclone::decode_vector(std::span(bytes).subspan(cyclone::document_header_bytes), vector));
}

void use_image(std::uint8_t gates, View rest) {
  const auto geometry = cyclone::geometry_of_disk(disk_bytes, config_of(0).layout).value();
  Bytes image = seeded().image;
  edit(rest, image);
  cyclone::ImageChecks checks;
  for (std::size_t check = 0; check < cyclone::image_check_table.count; ++check) {
    if ((gates & 0x80U) != 0 && (gates & 0x7fU) % cyclone::image_check_table.count <= check) {
      checks.switch_off(static_cast<cyclone::ImageCheck>(check));
    }
  }
  if (cyclone::validate_image(image, geometry, checks)) {
    return;
  }
  cyclone::Directory directory(image, geometry, cyclone::Eviction::oldest);
  const cyclone::Window window{true, 4096};
  std::vector<cyclone::Row> rows;
  for (std::size_t n = 0; n < 3 * object_count; ++n) {
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

void use_disk(const cyclone::Config& config, const Bytes& seed, View rest, bool reseal) {
  cyclone::TestDisk disk(0);
  disk.now = seed;
  edit(rest, disk.now);
  const auto places = cyclone::divide(seed.size(), config.layout, config.division).value();
  for (const cyclone::StripePlace& place : places) {
    for (unsigned copy = 0; reseal && copy < 2; ++copy) {
      const cyclone::StripeGeometry& geometry = place.geometry;
      cyclone::seal(std::span(disk.now).subspan(geometry.copy_begin(copy), geometry.copy_bytes),
                    geometry);
    }
  }
  for (int life = 0; life < 2; ++life) {
    const auto store = cyclone::open_store(disk, config);
    if (store) {
      use(**store);
    }
  }
}

void place(restart::SharedMemory& memory, const std::string& name, const Bytes& bytes) {
  const auto object = memory.create(name).value();
  static_cast<void>(object->resize(bytes.size(), false));
  const auto mapping = object->map(bytes.size(), restart::Access::read_write).value();
  std::copy(bytes.begin(), bytes.end(), mapping->bytes().begin());
}

void start_with(std::uint8_t gates, View rest, bool control) {
  restart::ProcessMemory memory;
  Bytes segment = seeded().control;
  Bytes image = seeded().image;
  edit(rest, control ? segment : image);
  const auto layout = [&segment] { return reinterpret_cast<restart::Control*>(segment.data()); };
  if (!control) {
    // As if it had been sealed so.
    layout()->rows.at(0).image_digest = restart::image_digest(image);
  }
  if (layout()->frozen.rows_used <= restart::row_count && (gates & 1U) != 0) {
    layout()->table_digest = restart::table_digest(*layout());
  }
  place(memory, restart::control_name(seeded().prefix), segment);
  place(memory, restart::image_name(seeded().prefix, 0), image);
  cyclone::TestDisk disk(0);
  disk.now = seeded().stopped;
  cyclone::SharedDirectory shared;
  shared.memory = &memory;
  shared.config.enabled = true;
  static_cast<void>(restart::read_status(memory, shared.config.name_prefix, {}));
  for (int life = 0; life < 2; ++life) {
    const auto store = cyclone::open_store(disk, config_of(gates), shared);
    if (store) {
      use(**store);
      static_cast<void>((*store)->close());
    }
  }
  restart::Gates purging({}, nullptr);
  static_cast<void>(restart::purge(memory, shared.config.name_prefix, purging));
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
      return decode_document(rest);
    case Part::image:
      return use_image(gates, rest);
    case Part::disk:
    case Part::resealed:
      return use_disk(config_of(gates),
                      seeded().running,
                      rest,
                      std::to_integer<unsigned>(input[0]) % part_count ==
                          static_cast<unsigned>(Part::resealed));
    case Part::stripes:
      return use_disk(striped(config_of(gates)), seeded().four, rest, true);
    case Part::control:
      return start_with(gates, rest, true);
    case Part::shared:
      return start_with(gates, rest, false);
  }
}

}  // namespace engine::fuzz
