#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"

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

inline constexpr std::size_t gate_count = 27;

[[nodiscard]] std::string_view gate_name(Gate gate);
/// False for the guards that keep the program memory-safe.
[[nodiscard]] bool switchable(Gate gate);
/// Error: names the word and lists the switchable gates.
[[nodiscard]] Result<Gate> find_gate(std::string_view name);
/// What the reference does not check: trust is binary there and the image is not bound to its disk.
[[nodiscard]] std::vector<Gate> gates_off_in_trafficserver();

/// Takes one line of text without its end.
using Log = std::function<void(std::string_view line)>;

/// Which gates are on, how often each refused something, and where that is said. For any number of
/// threads, as far as the log is.
class Gates {
 public:
  Gates(const std::vector<Gate>& off, Log log);
  [[nodiscard]] bool on(Gate gate) const { return on_.at(static_cast<std::size_t>(gate)); }
  void refuse(Gate gate, std::string_view line);
  /// Says something that is no refusal.
  void note(std::string_view line) const;
  /// Gate name → refusals, all gates.
  [[nodiscard]] std::map<std::string, std::uint64_t> refusals() const;

 private:
  std::array<bool, gate_count> on_ = {};
  std::array<std::atomic<std::uint64_t>, gate_count> refusals_ = {};
  Log log_;
};

}  // namespace engine::restart
