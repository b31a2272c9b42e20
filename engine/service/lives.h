#pragma once

/// Many processes that begin alike, for harnesses that start an engine thousands of times: one
/// process is executed, reads its command line and opens nothing. For each life that is asked for
/// it makes a copy of itself, which goes on from there: a process of its own, with no more in its
/// memory than a new one has, for a fifth of the time. It is a child of whoever started the first
/// process, who reaps it; and it dies when that one dies.

#include <sys/types.h>

#include <cstdint>
#include <optional>

#include "engine/base/result.h"

namespace engine::service {

/// One life: the socket that it is to serve, and what differs from life to life.
struct Life {
  int socket = -1;
  std::uint64_t seed = 0;
  std::uint32_t slot_bytes = 0;
};

/// Makes a process for each life that is asked for over the socket `control`. Returns in these
/// processes; in the first one with none, when nobody can ask any more.
[[nodiscard]] std::optional<Life> wait_for_life(int control);

/// Asks the process at the other end of `control` for a life, whose process is a child of ours
/// then. `life.socket` stays the caller's. Error: there is no such process any more.
[[nodiscard]] Result<pid_t> ask_for_life(int control, const Life& life);

}  // namespace engine::service
