#include "engine/cyclone/live.h"

#include <algorithm>
#include <chrono>
#include <thread>

namespace engine::cyclone {

void LiveStripe::hide() {
  life_.store(0, std::memory_order_release);
  version_.store(version_.load(std::memory_order_relaxed) / 2 * 2 + 2, std::memory_order_release);
  for (auto& mark : open_) {
    mark.store(0, std::memory_order_relaxed);
  }
}

void LiveStripe::show(std::string_view name, std::uint64_t image_bytes, std::uint64_t life) {
  image_name_.fill('\0');
  name.copy(image_name_.data(), image_name_.size() - 1);
  image_bytes_ = image_bytes;
  life_.store(life, std::memory_order_release);
}

void LiveStripe::publish(const LiveState& state) {
  begin_change();
  write_pos_.store(state.write_pos, std::memory_order_relaxed);
  purge_epoch_.store(state.purge_epoch, std::memory_order_relaxed);
  phase_.store(state.phase, std::memory_order_relaxed);
  end_change();
}

void LiveStripe::begin_change() {
  version_.store(version_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
}

void LiveStripe::end_change() {
  version_.store(version_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

std::uint64_t LiveStripe::mark_of(const Key& object) {
  return object.low() | 1U;
}

void LiveStripe::list_open(const Key& object) {
  const auto free =
      std::find_if(open_.begin(), open_.end(), [](const auto& mark) { return mark.load() == 0; });
  if (free != open_.end()) {
    free->store(mark_of(object));
  }
}

void LiveStripe::unlist_open(const Key& object) {
  const auto own = std::find_if(open_.begin(), open_.end(), [&object](const auto& mark) {
    return mark.load() == mark_of(object);
  });
  if (own != open_.end()) {
    own->store(0);
  }
}

std::string LiveStripe::image_name() const {
  const auto end = std::find(image_name_.begin(), image_name_.end(), '\0');
  return {image_name_.begin(), end};
}

LiveState LiveStripe::state() const {
  LiveState state;
  state.write_pos = write_pos_.load(std::memory_order_relaxed);
  state.purge_epoch = purge_epoch_.load(std::memory_order_relaxed);
  state.phase = phase_.load(std::memory_order_relaxed);
  return state;
}

bool LiveStripe::is_open(const Key& object) const {
  return std::any_of(open_.begin(), open_.end(), [&object](const auto& mark) {
    return mark.load() == mark_of(object);
  });
}

/// A change takes microseconds, unless its owner has no processor now, or is no more.
void LiveStripe::wait(unsigned attempt) {
  constexpr unsigned at_once = 8;
  constexpr std::chrono::microseconds pause{100};
  if (attempt < at_once) {
    std::this_thread::yield();
  } else {
    // pause: another process is at work; the number of attempts bounds it
    std::this_thread::sleep_for(pause);
  }
}

}  // namespace engine::cyclone
