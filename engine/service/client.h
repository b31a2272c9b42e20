#pragma once

#include <memory>

#include "engine/store.h"

namespace engine::service {

/// A store in another process (`cache-engine serve`), spoken to over the connected stream socket
/// `socket`, which the client owns and closes. Calls block; a dead peer gives `Trouble::lost`.
/// `close` asks the process to stop cleanly and to exit.
[[nodiscard]] std::unique_ptr<Store> connect_client(int socket);

/// Asks the process at the other end of `socket` to drop its store as a kill would, and to open the
/// disk again. `Trouble::lost`: it does not answer, or an answer to somebody else was still to
/// come.
[[nodiscard]] Status reopen_served(int socket, std::uint64_t seed, std::uint32_t slot_bytes);

}  // namespace engine::service
