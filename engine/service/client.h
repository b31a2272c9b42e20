#pragma once

#include <memory>

#include "engine/store.h"

namespace engine::service {

/// A store in another process (`cache-engine serve`), spoken to over the connected stream socket
/// `socket`, which the client owns and closes. Calls block; a dead peer gives `Trouble::lost`.
/// `close` asks the process to stop cleanly and to exit.
[[nodiscard]] std::unique_ptr<Store> connect_client(int socket);

}  // namespace engine::service
