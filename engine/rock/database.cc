#include "engine/rock/database.h"

#include <xxhash.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "engine/base/random.h"

namespace engine::rock {
namespace {

using Sector = std::array<std::byte, database_copy_bytes>;

/// Without the gate the copy that calls itself newer is believed, whatever it holds.
int believed(const DatabaseCopies& copies) {
  return copies.copy[1].header.serial > copies.copy[0].header.serial ? 1 : 0;
}

Digest draw_instance(const Core& core, const DatabaseCopies& copies) {
  const std::uint64_t seed = mix(core.config.seed, copies.content_hash);
  return {mix(seed, 3), mix(seed, 4)};
}

/// Counts every copy that holds something and is not a header of this format and geometry.
void count_refusals(Core& core, const DatabaseCopies& copies) {
  for (const DecodedDatabase& each : copies.copy) {
    if (!each.blank && !(each.valid && each.header.geometry == core.geometry)) {
      core.gates.refuse(Gate::db_header);
    }
  }
}

}  // namespace

int DatabaseCopies::newest() const {
  if (copy[0].valid && copy[1].valid) {
    return copy[1].header.serial > copy[0].header.serial ? 1 : 0;
  }
  return copy[0].valid ? 0 : copy[1].valid ? 1 : -1;
}

/// Both copies in one request where that is cheaper.
Result<DatabaseCopies> read_database(block::Device& device) {
  constexpr std::uint64_t both_bytes = database_copy_offset[1] + database_copy_bytes;
  const bool at_once = device.cheap_read_bytes() >= both_bytes;
  std::vector<std::byte> both(at_once ? both_bytes : 0);
  const bool has_both = at_once && device.read(0, both).has_value();  // else each alone
  DatabaseCopies copies;
  for (std::size_t number = 0; number < copies.copy.size(); ++number) {
    Sector sector = {};
    const std::uint64_t offset_bytes = database_copy_offset.at(number);
    if (has_both) {
      std::ranges::copy(std::span(both).subspan(offset_bytes, database_copy_bytes), sector.begin());
    } else if (const Status done = device.read(offset_bytes, sector); !done) {
      return tl::unexpected(done.error());
    }
    copies.copy.at(number) = decode_database(sector);
    copies.content_hash = XXH3_64bits_withSeed(sector.data(), sector.size(), copies.content_hash);
  }
  return copies;
}

Status begin_life(Core& core) {
  const auto copies = read_database(core.device);
  if (!copies) {
    return tl::unexpected(copies.error());
  }
  const bool looked_at = core.gates.on(Gate::db_header);
  const int adopted = looked_at ? copies->newest() : believed(*copies);
  DatabaseHeader header;
  header.geometry = core.geometry;
  if (adopted >= 0) {
    const DatabaseHeader& old = copies->copy.at(static_cast<std::size_t>(adopted)).header;
    header.instance = old.instance;
    header.epoch = old.epoch;
    header.serial = old.serial;
  }
  if (looked_at) {
    count_refusals(core, *copies);
    if (adopted < 0 ||
        copies->copy.at(static_cast<std::size_t>(adopted)).header.geometry != core.geometry) {
      header.instance = draw_instance(core, *copies);
      header.epoch = 0;
    }
  }
  ++header.epoch;
  ++header.serial;
  core.instance = header.instance;
  core.epoch = header.epoch;
  core.nonce = mix(core.config.seed, 1);
  if (core.read_only) {
    return {};
  }
  Sector sector = {};
  encode_database(header, sector);
  const Status written = core.write(database_copy_offset.at(adopted == 0 ? 1 : 0), sector);
  return written ? core.flush() : written;
}

}  // namespace engine::rock
