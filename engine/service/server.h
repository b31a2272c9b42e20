#pragma once

#include <filesystem>
#include <functional>

#include "engine/store.h"

namespace engine::service {

class Cooperation;

/// How a server is reached, and what drives the store's background work.
struct ServerOptions {
  std::filesystem::path socket_file;  ///< listens there, for any number of clients …
  int socket = -1;                    ///< … or serves this connected socket alone
  int tick_milliseconds = 10;         ///< 0: only the clients' ticks
  /// Drops the store served so far as a kill would, and opens another one on the disk as it is now;
  /// empty: such requests are refused. What it returns is served from then on.
  std::function<Result<Store*>(std::uint64_t seed, std::uint32_t slot_bytes)> reopen;
  /// Where there is one, its store is served, whichever that is; kept by the caller. Null: none.
  Cooperation* cooperation = nullptr;
};

/// Whether a server can be reached as `options` say, before a store is opened for it. Error: names
/// the descriptor or the path.
[[nodiscard]] Status check(const ServerOptions& options);

/// Serves `store` on one thread until a client closes it, SIGTERM or SIGINT arrives (a clean stop),
/// or the one connected socket ends: then it returns at once and writes nothing, because a client
/// that vanished is a kill like any other. Uploads of a client that leaves a listening server are
/// aborted. Where the right to write goes to another instance, clients go along, and one that had
/// the listening socket handed over with it ends here.
[[nodiscard]] Status serve(Store& store, const ServerOptions& options);

}  // namespace engine::service
