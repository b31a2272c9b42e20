#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/restart/gates.h"
#include "engine/restart/layout.h"
#include "engine/restart/shared_memory.h"

namespace engine::restart {

/// What a removal did.
struct PurgeReport {
  std::vector<std::string> removed;   ///< names of objects
  std::vector<std::string> failures;  ///< one sentence each
};

/// Removes the control segment of `prefix_word` and every image it may name, unless a live process
/// owns them (`Trouble::busy`). Nothing to remove is ok. What cannot be measured is left alone
/// (`Trouble::device`).
[[nodiscard]] Result<PurgeReport> purge(SharedMemory& memory,
                                        std::string_view prefix_word,
                                        Gates& gates);

/// What `shm status` shows.
struct ShmStatus {
  struct RowStatus {
    bool tombstone = false;
    std::string name;
    std::uint64_t size_bytes = 0;
    bool present = false;
    bool untrusted = false;
  };
  enum class Owner : std::uint8_t { none, live, stale };

  std::string control_name;
  bool exists = false;
  std::uint64_t size_bytes = 0;
  Frozen frozen;
  bool magic_valid = false, schema_same = false, abi_same = false;
  Owner owner = Owner::none;
  std::vector<RowStatus> rows;
  std::string wrong;  ///< why the table is not shown; empty: it is
};

/// Looks and changes nothing. `format_facts` as at the start of the engine.
[[nodiscard]] Result<ShmStatus> read_status(SharedMemory& memory,
                                            std::string_view prefix_word,
                                            std::span<const std::string> format_facts);
[[nodiscard]] std::string to_text(const ShmStatus& status);

// Parts that a start uses too.

/// Unlinks the rows of `control` whose names begin with `prefix`.
void remove_rows(SharedMemory& memory,
                 std::string_view prefix,
                 const Control& control,
                 PurgeReport& report);
/// Unlinks every name an image can have.
void sweep_names(SharedMemory& memory, std::string_view prefix, PurgeReport& report);
void remove_object(SharedMemory& memory, const std::string& name, PurgeReport& report);

[[nodiscard]] std::string control_name(std::string_view prefix);
[[nodiscard]] std::string image_name(std::string_view prefix, std::size_t slot);

}  // namespace engine::restart
