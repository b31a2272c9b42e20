#pragma once

#include <cstdint>
#include <memory>

#include "engine/store.h"

namespace engine::memory {

struct RamStoreConfig {
  std::uint64_t capacity_bytes = 64 << 20;  ///< of keys, headers, bodies and bookkeeping
  std::uint32_t header_bytes_max = 4096;
};

/// What an object costs besides its key, header and body.
inline constexpr std::uint64_t object_overhead_bytes = 128;

/// A store in memory alone: it has no disk, makes no file, survives everything but the end of its
/// process, and begins empty. When it is full the object that was used longest ago goes. The
/// reference in differential tests: what it answers follows from the calls and nothing else.
/// Error: names the capacity that is too small.
[[nodiscard]] Result<std::unique_ptr<Store>> open_ram_store(const RamStoreConfig& config);

}  // namespace engine::memory
