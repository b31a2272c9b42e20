#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"

namespace engine::rock {

enum class Allocator { lowest_first, lifo, random };

/// What happens to a key whose slots contradict each other at rebuild (two write ids for one key).
enum class ContradictionPolicy {
  whole_entry,      ///< the documented rule: the whole entry is invalid, every version of it
  newest_complete,  ///< the highest complete write id stays, the rest is freed
};

/// The named checks that can refuse something. `engine/README.md` says what each refuses, which
/// property catches its absence and in which states.
enum class Gate : std::uint8_t {
  db_header,
  slot_instance,
  slot_header_checksum,
  slot_payload_checksum,
  write_id,
  inode_required,
  tail_required,
  owner_check,
  durable_invalidation,
  update_supersedes,
  // Guards: they keep the program memory-safe and cannot be switched off.
  slot_bounds,
  chain_loop,
  entry_contradiction,
};

[[nodiscard]] std::string_view gate_name(Gate gate);
[[nodiscard]] bool switchable(Gate gate);
[[nodiscard]] const std::vector<Gate>& all_gates();
/// Error: names the word and lists the switchable gates.
[[nodiscard]] Result<Gate> find_gate(std::string_view name);

struct Config {
  std::uint32_t slot_bytes = 16384;  ///< 1024 … 1 MiB, a power of two
  Allocator allocator = Allocator::lowest_first;
  ContradictionPolicy policy = ContradictionPolicy::whole_entry;
  std::uint32_t rebuild_slice_slots = 64;  ///< slots per tick
  std::uint64_t seed = 0;  ///< nonces and the random allocator; must differ from start to start
  std::vector<Gate> gates_off;
  bool replace_at_begin =
      false;  ///< an overwrite frees the old version when it begins (squid), not when it commits
  bool byte_sum_proof =
      false;  ///< completeness is "walked bytes = bytes of all slots of the key" (squid)
  bool metadata_at_hit = false;  ///< a hit must begin with metadata that names the key (squid's
                                 ///< stand-in for inode_required)
};

/// "hardened" (everything on) or "squid" (as the reference: keys only, no checksum, lowest-first,
/// deletes in memory only). Error: names the word and the allowed ones.
[[nodiscard]] Result<Config> find_preset(std::string_view name);

}  // namespace engine::rock
