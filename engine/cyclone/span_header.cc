#include "engine/cyclone/span_header.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <vector>

#include "engine/base/random.h"
#include "engine/cyclone/fields.h"
#include "engine/cyclone/store.h"

namespace engine::cyclone {
namespace {

constexpr std::size_t at_stripes = 56, at_volumes = 60, at_rules_bytes = 62, at_life = 64,
                      at_rows = 128, row_span_bytes = 8,
                      at_rules = at_rows + stripe_count_max * row_span_bytes,
                      at_checksum = store_block_bytes - sizeof(std::uint64_t);
static_assert(at_rules + hosting_bytes_max <= at_checksum);

std::uint64_t checksum_of(std::span<const std::byte> block) {
  return XXH3_64bits(block.data(), at_checksum);
}

void encode_division(const Division& division, std::span<std::byte> block) {
  const std::string rules = division.hosting.to_text();
  store(block, at_stripes, division.stripes);
  store(block, at_volumes, static_cast<std::uint16_t>(division.volumes.size()));
  store(block, at_rules_bytes, static_cast<std::uint16_t>(rules.size()));
  std::size_t at = at_rows;
  for (const VolumeShare& share : division.volumes) {
    store(block, at, std::uint32_t{share.tag});
    store(block, at + 4, share.weight);
    at += row_span_bytes;
  }
  const auto text = std::as_bytes(std::span(rules));
  std::copy(text.begin(), text.end(), block.begin() + at_rules);
}

std::optional<Division> decode_division(std::span<const std::byte> block) {
  Division division;
  division.stripes = load<std::uint32_t>(block, at_stripes);
  const std::size_t volumes = load<std::uint16_t>(block, at_volumes);
  const std::size_t rules_bytes = load<std::uint16_t>(block, at_rules_bytes);
  if (volumes > stripe_count_max || rules_bytes > hosting_bytes_max) {
    return std::nullopt;
  }
  const auto text = block.subspan(at_rules, rules_bytes);
  const auto hosting = volumes::Hosting::parse(
      std::string_view(reinterpret_cast<const char*>(text.data()), text.size()));
  if (!hosting) {
    return std::nullopt;
  }
  division.hosting = *hosting;
  division.volumes.clear();
  for (std::size_t at = at_rows; at < at_rows + volumes * row_span_bytes; at += row_span_bytes) {
    division.volumes.push_back({static_cast<volumes::VolumeTag>(load<std::uint32_t>(block, at)),
                                load<std::uint32_t>(block, at + 4)});
  }
  return division;
}

}  // namespace

bool SpanHeader::operator==(const SpanHeader& other) const {
  return span_bytes == other.span_bytes && serial == other.serial && life == other.life &&
         instance == other.instance && layout == other.layout && division == other.division;
}

void encode_span(const SpanHeader& header, std::span<std::byte> block) {
  std::fill(block.begin(), block.end(), std::byte{0});
  store(block, 0, span_magic);
  store(block, 4, version_major);
  store(block, 6, version_minor);
  store(block, 8, header.span_bytes);
  store(block, 16, header.serial);
  store(block, 24, header.instance.low);
  store(block, 32, header.instance.high);
  store(block, 40, header.layout.average_object_bytes);
  store(block, 44, header.layout.sector_bytes);
  store(block, 48, header.layout.aggregation_bytes);
  store(block, 52, header.layout.fragment_bytes);
  encode_division(header.division, block);
  store(block, at_life, header.life);
  store(block, at_checksum, checksum_of(block));
}

std::optional<SpanHeader> decode_span(std::span<const std::byte> block, bool check_sum) {
  if (load<std::uint32_t>(block, 0) != span_magic ||
      load<std::uint16_t>(block, 4) != version_major ||
      load<std::uint16_t>(block, 6) != version_minor) {
    return std::nullopt;
  }
  if (check_sum && load<std::uint64_t>(block, at_checksum) != checksum_of(block)) {
    return std::nullopt;
  }
  SpanHeader header;
  header.span_bytes = load<std::uint64_t>(block, 8);
  header.serial = load<std::uint64_t>(block, 16);
  header.instance = {load<std::uint64_t>(block, 24), load<std::uint64_t>(block, 32)};
  header.layout.average_object_bytes = load<std::uint32_t>(block, 40);
  header.layout.sector_bytes = load<std::uint32_t>(block, 44);
  header.layout.aggregation_bytes = load<std::uint32_t>(block, 48);
  header.layout.fragment_bytes = load<std::uint32_t>(block, 52);
  header.life = load<std::uint64_t>(block, at_life);
  const auto division = decode_division(block);
  if (!division) {
    return std::nullopt;
  }
  header.division = *division;
  return header;
}

std::uint64_t life_mark(const SpanHeader& header) {
  return mix(mix(header.instance.low, header.instance.high), header.life) | 1U;
}

Result<std::optional<SpanHeader>> read_span(block::Device& device, Gates& gates, bool& blank) {
  constexpr int attempts = 3;
  std::optional<SpanHeader> newest;
  blank = true;
  std::vector<std::byte> block(store_block_bytes);
  for (unsigned copy = 0; copy < 2; ++copy) {
    Status read;
    for (int attempt = 0; attempt == 0 || (attempt < attempts && !read); ++attempt) {
      read = device.read(std::uint64_t{copy} * store_block_bytes, block);
    }
    if (!read) {
      gates.refuse(Gate::span_header);
      blank = false;
      continue;
    }
    const bool written = std::any_of(
        block.begin(), block.end(), [](std::byte each) { return each != std::byte{0}; });
    const auto header = decode_span(block, gates.on(Gate::span_header));
    if (written && !header) {
      gates.refuse(Gate::span_header);
    }
    blank = blank && !written;
    if (header && (!newest || header->serial > newest->serial)) {
      newest = header;
    }
  }
  return newest;
}

Status write_span(block::Device& device, const SpanHeader& header) {
  std::vector<std::byte> block(store_block_bytes);
  encode_span(header, block);
  return device.write((header.serial & 1U) * store_block_bytes, block, block::WriteMode::durable);
}

Status adopt_span(block::Device& device, Config& config) {
  Gates gates({});
  bool blank = false;
  const auto header = read_span(device, gates, blank);
  if (!header || !*header) {
    return fail(Trouble::invalid, "the disk has no span header of a cyclone store");
  }
  config.layout = (*header)->layout;
  config.division = (*header)->division;
  return {};
}

bool is_span(block::Device& device) {
  Config ignored;
  return adopt_span(device, ignored).has_value();
}

}  // namespace engine::cyclone
