#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

namespace engine {

/// Calls `work(n)` for each n below `count`: in order in this thread, or, with more than one
/// thread, in any order and several at a time. Returns when all are done. `work` must not throw.
template <typename Work>
void for_each_of(std::size_t count, std::size_t threads, const Work& work) {
  if (threads <= 1 || count <= 1) {
    for (std::size_t n = 0; n < count; ++n) {
      work(n);
    }
    return;
  }
  std::atomic<std::size_t> next = 0;
  std::vector<std::thread> helpers;
  for (std::size_t thread = 0; thread < std::min(count, threads); ++thread) {
    helpers.emplace_back([&] {
      for (std::size_t n = next++; n < count; n = next++) {
        work(n);
      }
    });
  }
  for (std::thread& helper : helpers) {
    helper.join();
  }
}

}  // namespace engine
