#include "engine/cyclone/core.h"

#include "engine/cyclone/fields.h"

namespace engine::cyclone {
namespace {

constexpr std::size_t page_bytes = 4096;

}  // namespace

PageBuffer::PageBuffer(std::size_t bytes) : memory_(bytes + page_bytes), size_(bytes) {
  const auto address = reinterpret_cast<std::uintptr_t>(memory_.data());
  begin_ = memory_.data() + (round_up(address, page_bytes) - address);
}

Core::Core(block::Device& target,
           const Config& settings,
           const StripeGeometry& layout,
           std::span<std::byte> live_image)
    : device(target),
      config(settings),
      geometry(layout),
      image(live_image),
      gates(config.gates_off),
      directory(
          image, geometry, config.evict_every_tenth ? Eviction::every_tenth : Eviction::oldest),
      random(mix(config.seed, 3)),
      nonce(random.next()),
      scratch(geometry.fragment_bytes) {}

ImageHeader Core::fresh_header(const Instance& instance) const {
  ImageHeader fresh;
  fresh.instance = instance;
  fresh.stripe_begin = geometry.begin;
  fresh.stripe_end = geometry.end;
  fresh.segments = geometry.segments;
  fresh.buckets = geometry.buckets;
  fresh.average_object_bytes = geometry.average_object_bytes;
  fresh.aggregation_bytes = geometry.aggregation_bytes;
  fresh.fragment_bytes = geometry.fragment_bytes;
  fresh.sector_bytes = geometry.sector_bytes;
  fresh.write_pos = fresh.last_write_pos = fresh.agg_pos = geometry.data_begin;
  return fresh;
}

}  // namespace engine::cyclone
