#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/gates.h"

namespace engine::restart {

/// The named checks of a fast restart, in the order in which a start meets them. Each refusal is
/// counted and says one line.
enum class Gate : std::uint8_t {
  // The control segment as a whole. The first five leave every object as it is.
  prefix_name,    ///< the prefix makes a name that is too long
  control_open,   ///< the control segment is there and cannot be opened, measured or mapped
  control_lock,   ///< another process holds its lock
  control_owner,  ///< where locks do not work: its owner is alive
  control_race,   ///< another start won between two steps of ours
  // These drop everything and begin afresh.
  control_size,
  control_magic,
  control_schema,
  control_abi,
  control_clean,
  control_table,  ///< the rows are not those that were there at the clean mark
  // One stripe: its row, then its image.
  row_claimed,      ///< a stripe of the same identity has it already
  row_untrusted,    ///< the run before marked it
  row_size,         ///< it is of another size than the stripe's directory
  binding_nonce,    ///< the disk is another one, or was cleared
  binding_serials,  ///< the disk was opened or synced since
  binding_cursor,   ///< the disk's write cursor is elsewhere
  image_present,    ///< its object is gone or cannot be opened
  image_size,
  image_map,
  image_digest,     ///< the bytes are not those that were sealed
  image_structure,  ///< the directory in it is refused by the structural validator
  table_full,
  image_create,  ///< no room or no descriptor for an image: heap
  // The rest of a life.
  zero_claim,       ///< no stripe claimed a row: unclaimed ones are left, not reclaimed
  writers_stopped,  ///< not every image was sealed: no clean mark
  purge_owner,      ///< a live process owns what should be purged
};

inline constexpr GateTable gate_table(std::to_array<GateRow<Gate>>({
    {Gate::prefix_name, "prefix_name", guard},
    {Gate::control_open, "control_open", guard},
    {Gate::control_lock, "control_lock"},
    {Gate::control_owner, "control_owner"},
    {Gate::control_race, "control_race", guard},
    {Gate::control_size, "control_size", guard},
    {Gate::control_magic, "control_magic"},
    {Gate::control_schema, "control_schema"},
    {Gate::control_abi, "control_abi"},
    {Gate::control_clean, "control_clean"},
    {Gate::control_table, "control_table"},
    {Gate::row_claimed, "row_claimed", guard},
    {Gate::row_untrusted, "row_untrusted"},
    {Gate::row_size, "row_size", guard},
    {Gate::binding_nonce, "binding_nonce"},
    {Gate::binding_serials, "binding_serials"},
    {Gate::binding_cursor, "binding_cursor"},
    {Gate::image_present, "image_present", guard},
    {Gate::image_size, "image_size", guard},
    {Gate::image_map, "image_map", guard},
    {Gate::image_digest, "image_digest"},
    {Gate::image_structure, "image_structure", guard},
    {Gate::table_full, "table_full", guard},
    {Gate::image_create, "image_create", guard},
    {Gate::zero_claim, "zero_claim"},
    {Gate::writers_stopped, "writers_stopped"},
    {Gate::purge_owner, "purge_owner"},
}));

/// What the reference does not check: trust is binary there and the image is not bound to its disk.
[[nodiscard]] std::vector<Gate> gates_off_in_trafficserver();

/// Takes one line of text without its end.
using Log = std::function<void(std::string_view line)>;

/// Which gates are on, how often each refused something, and where that is said. For any number of
/// threads, as far as the log is.
class Gates {
 public:
  Gates(const std::vector<Gate>& off, Log log);
  [[nodiscard]] bool on(Gate gate) const { return set_.on(gate); }
  void refuse(Gate gate, std::string_view line);
  /// Says something that is no refusal.
  void note(std::string_view line) const;
  /// Gate name → refusals, all gates.
  [[nodiscard]] std::map<std::string, std::uint64_t> refusals() const { return set_.refusals(); }

 private:
  GateSet<gate_table, std::atomic<std::uint64_t>> set_;
  Log log_;
};

}  // namespace engine::restart
