#include "engine/cyclone/core.h"

#include <algorithm>
#include <new>

#include "engine/cyclone/fields.h"

namespace engine::cyclone {
namespace {

constexpr std::size_t page_bytes = 4096;

}  // namespace

PageBuffer::PageBuffer(std::size_t bytes)
    : begin_(static_cast<std::byte*>(
          std::aligned_alloc(page_bytes, round_up(std::max<std::size_t>(bytes, 1), page_bytes)))),
      size_(bytes) {
  if (!begin_) {
    throw std::bad_alloc();
  }
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

}  // namespace engine::cyclone
