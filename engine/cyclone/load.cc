// Which copy is the directory? The one with the higher serial among those that pass: header and
// footer agree (its sync ended), the instance is this stripe's, every checksum is right,
// and the structure is a directory's. Whatever is wrong with a copy, an error of the device
// included, the other one is tried.
//
// Where the checksums are off (a specimen, the preset of the reference) the choice is by serials
// alone, and what the rows say is believed as far as it stays inside the stripe.
#include "engine/cyclone/load.h"

#include <algorithm>
#include <vector>

#include "engine/cyclone/fields.h"
#include "engine/cyclone/validate.h"

namespace engine::cyclone {

namespace {

CopyState look_at(block::Device& device,
                  const StripeGeometry& geometry,
                  const Instance& instance,
                  Gates& gates,
                  unsigned copy) {
  CopyState state;
  std::vector<std::byte> header(geometry.header_bytes);
  std::vector<std::byte> footer(store_block_bytes);
  const std::uint64_t at = geometry.copy_begin(copy);
  if (!device.read(at, header) || !device.read(at + geometry.footer_at(), footer)) {
    gates.refuse(Gate::copy_checksum);
    return state;
  }
  state.readable = true;
  state.header = load_header(header);
  const ImageFooter foot = load_footer(footer);
  if (state.header.magic != image_magic && foot.magic != image_magic) {
    return state;  // never written
  }
  const auto refuse = [&gates](Gate gate) { gates.refuse(gate); };
  if (gates.on(Gate::copy_footer) && foot.sync_serial != state.header.sync_serial) {
    refuse(Gate::copy_footer);
  } else if (gates.on(Gate::copy_checksum) && !header_sealed(header, geometry)) {
    refuse(Gate::copy_checksum);
  } else if (gates.on(Gate::copy_instance) && !(state.header.instance == instance)) {
    refuse(Gate::copy_instance);
  } else {
    state.usable = true;
  }
  return state;
}

/// Which of two copies is to be tried first.
unsigned newest_of(const CopyState& a, const CopyState& b) {
  return b.usable && (!a.usable || b.header.sync_serial > a.header.sync_serial) ? 1 : 0;
}

}  // namespace

void keep_inside(ImageHeader& header, const StripeGeometry& geometry) {
  header.phase &= 1U;
  const auto inside = [&geometry](std::uint64_t position) {
    return std::clamp(round_up(position, geometry.sector_bytes), geometry.data_begin, geometry.end);
  };
  header.write_pos = header.agg_pos = inside(std::min(header.write_pos, geometry.end));
  header.last_write_pos = inside(std::min(header.last_write_pos, geometry.end));
}

std::optional<ImageHeader> newest_header(block::Device& device,
                                         const StripeGeometry& geometry,
                                         const Instance& instance,
                                         Gates gates) {
  const CopyState a = look_at(device, geometry, instance, gates, 0);
  const CopyState b = look_at(device, geometry, instance, gates, 1);
  const CopyState& newest = newest_of(a, b) == 0 ? a : b;
  return newest.usable ? std::optional(newest.header) : std::nullopt;
}

bool Loader::take(unsigned copy) {
  const StripeGeometry& geometry = core_.geometry;
  Gates& gates = core_.gates;
  if (!core_.device.read(geometry.copy_begin(copy), core_.image)) {
    gates.refuse(Gate::copy_checksum);
    return false;
  }
  if (gates.on(Gate::copy_checksum) && !sealed(core_.image, geometry)) {
    gates.refuse(Gate::copy_checksum);
    return false;
  }
  if (const auto fault = validate_image(core_.image, geometry, gates.image_checks())) {
    gates.refuse(fault->check);
    return false;
  }
  core_.header = load_header(core_.image);
  keep_inside(core_.header, geometry);
  core_.header.instance = instance_;
  return true;
}

bool Loader::load() {
  const CopyState a = look_at(core_.device, core_.geometry, instance_, core_.gates, 0);
  const CopyState b = look_at(core_.device, core_.geometry, instance_, core_.gates, 1);
  const unsigned newest = newest_of(a, b);
  const CopyState& other = newest == 0 ? b : a;
  const CopyState& first = newest == 0 ? a : b;
  other_usable_ = other.usable;
  if (first.usable && take(newest)) {
    return true;
  }
  other_usable_ = false;
  return other.usable && take(1U - newest);
}

}  // namespace engine::cyclone
