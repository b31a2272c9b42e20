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
/// through it, and before each hit the store is asked whether it still has that object (`still`): a
/// copy is never older than what the store holds, and never outlives it. A hit here says nothing
/// about the bytes on the disk: `verify` reads those. Error: names the policy.
[[nodiscard]] Result<std::unique_ptr<Store>> make_ram_cache(std::unique_ptr<Store> store,
                                                            const RamCacheConfig& config);

}  // namespace engine::memory
