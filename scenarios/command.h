#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "faultfs/base/result.h"
#include "scenarios/body.h"

namespace scenarios {

enum class CommandKind {
  put,           ///< put k3 40000            a whole put, acknowledged
  crowd,         ///< crowd k3 40000          the same, while other clients ask for the key too
  begin,         ///< begin k3 40000 20000    a slow put of 40000 bytes; 20000 are sent now
  more,          ///< more k3 10000           sends some more of it
  finish,        ///< finish k3               sends the rest and ends it
  abort,         ///< abort k3                gives it up
  get,           ///< get k3   |   get k3 100 5000    (offset, size)
  purge,         ///< purge k3
  purge_all,     ///< purge_all               every key
  update,        ///< update k3 300           header update, header padded to 300 bytes (0: short)
  sync,          ///< sync
  stop,          ///< stop                    clean stop, then restart and full rebuild
  kill,          ///< kill                    SIGKILL, then restart and full rebuild
  kill_sliced,   ///< kill_sliced             SIGKILL, restart; the rebuild runs only by `tick`
  kill_in_stop,  ///< kill_in_stop 300       asked to stop, SIGKILL so many ms later, then restart
  overlap,       ///< overlap                asked to stop, and restarted while it still ends
  handoff,    ///< handoff                 another instance goes on with the store and its slow puts
  power_cut,  ///< power_cut all_lost | all_kept | random 0x12   then restart and full rebuild
  tick,       ///< tick 3                  slices of background work
  shm,        ///< shm off   |   shm image_digest    what happens to shared memory (shared_memory.h)
  reformat,  ///< reformat 8K             clean stop, restart with another slot size: the store must
             ///< clear
};

/// True for those that end a life and begin the next.
[[nodiscard]] bool restarts(CommandKind kind);

/// What a client (or fate) does next. Plain data, printed and parsed as the lines above.
struct Command {
  CommandKind kind = CommandKind::sync;
  Key key = 0;
  std::uint64_t size = 0;    ///< put, begin: body bytes; more: bytes; get: size; update: header
                             ///< bytes; tick: count; kill_in_stop: ms; reformat: slot bytes
  std::uint64_t offset = 0;  ///< get: offset; begin: bytes sent at once
  enum class CutStyle : std::uint8_t { all_lost, all_kept, random } cut = CutStyle::all_lost;
  std::uint64_t seed = 0;  ///< power_cut random
  std::string word;        ///< shm
  [[nodiscard]] bool operator==(const Command&) const = default;
};

/// Limits of what a line may say: every body fits its lines, and memory.
constexpr Key key_max = 9'999'999;
constexpr std::uint64_t body_bytes_max = 256U << 20U;
constexpr std::uint64_t header_bytes_max = 64U << 10U;
constexpr std::uint64_t stop_ms_max = 10'000;

/// True for a get of the whole object (its size is 0).
[[nodiscard]] inline bool asks_whole(const Command& get) {
  return get.offset == 0 && get.size == 0;
}

[[nodiscard]] std::string to_text(const Command& command);
/// Error: quotes the line, says what was wrong and what is allowed.
[[nodiscard]] faultfs::Result<Command> parse_command(std::string_view line);

}  // namespace scenarios
