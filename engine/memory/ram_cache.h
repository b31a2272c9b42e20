#pragma once

#include <memory>

#include "engine/memory/policy.h"
#include "engine/store.h"

namespace engine::memory {

struct RamCacheConfig {
  std::uint64_t capacity_bytes = 0;      ///< 0: none; gets go to the store
  std::uint64_t cutoff_bytes = 4 << 20;  ///< larger objects are not kept
  std::string policy = "lru";            ///< lru, s3fifo
};

/// Keeps whole objects that were read from `store` in memory and answers for it. Every change goes
/// through it, so a copy is never older than what the store holds; an object that the store evicts
/// may stay readable here. A hit here says nothing about the bytes on the disk: a harness leaves it
/// out. Error: names the policy.
[[nodiscard]] Result<std::unique_ptr<Store>> make_ram_cache(std::unique_ptr<Store> store,
                                                            const RamCacheConfig& config);

}  // namespace engine::memory
