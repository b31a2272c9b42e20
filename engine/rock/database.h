#pragma once

#include <array>

#include "engine/rock/core.h"

namespace engine::rock {

/// Both copies of the database header, as they are on the medium.
struct DatabaseCopies {
  std::array<DecodedDatabase, 2> copy;
  std::uint64_t content_hash = 0;
  /// The newest valid copy; -1: none.
  [[nodiscard]] int newest() const;
};

[[nodiscard]] Result<DatabaseCopies> read_database(block::Device& device);

/// Begins a life of the store: adopts the instance of the newest copy, or draws a new one (clear)
/// where the header is of another format or geometry; then writes the next epoch durably. A store
/// that is opened for inspection writes nothing.
[[nodiscard]] Status begin_life(Core& core);

}  // namespace engine::rock
