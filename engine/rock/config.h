#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/gates.h"
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

inline constexpr GateTable gate_table(std::to_array<GateRow<Gate>>({
    {Gate::db_header, "db_header"},
    {Gate::slot_instance, "slot_instance"},
    {Gate::slot_header_checksum, "slot_header_checksum"},
    {Gate::slot_payload_checksum, "slot_payload_checksum"},
    {Gate::write_id, "write_id"},
    {Gate::inode_required, "inode_required"},
    {Gate::tail_required, "tail_required"},
    {Gate::owner_check, "owner_check"},
    {Gate::durable_invalidation, "durable_invalidation"},
    {Gate::update_supersedes, "update_supersedes"},
    {Gate::slot_bounds, "slot_bounds", guard},
    {Gate::chain_loop, "chain_loop", guard},
    {Gate::entry_contradiction, "entry_contradiction", guard},
}));
/// Which gates of one life are on, and how often each refused something.
using Gates = GateSet<gate_table>;

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
