#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "engine/store.h"

namespace engine::service {

/// A store in another process, which can be asked for several things in one message.
class RemoteStore : public Store {
 public:
  /// As `get` of all of each key, in this order. `take` sees each answer until it returns false.
  virtual void get_each(std::span<const std::string> keys,
                        const std::function<bool(const Status& status, GetReply& reply)>& take) = 0;
  /// As `begin_put`, `append` and `commit`, or `abort` where the bytes were refused.
  [[nodiscard]] virtual Status put(std::string_view key,
                                   std::string_view header,
                                   std::span<const std::byte> body) = 0;
};

/// A store in another process (`cache-engine serve`), spoken to over the connected stream socket
/// `socket`, which the client owns and closes. Calls block; a dead peer gives `Trouble::lost`.
/// `close` asks the process to stop cleanly and to exit.
[[nodiscard]] std::unique_ptr<RemoteStore> connect_client(int socket);

/// Asks the process at the other end of `socket` to drop its store as a kill would, and to open the
/// disk again. `Trouble::lost`: it does not answer, or an answer to somebody else was still to
/// come.
[[nodiscard]] Status reopen_served(int socket, std::uint64_t seed, std::uint32_t slot_bytes);

/// Asks the process at the other end of `socket` to give the right to write to the instance it
/// cooperates with; `retire`: and to end. What it says of it. Error: why it did not.
[[nodiscard]] Result<std::string> ask_to_hand_over(int socket,
                                                   bool retire,
                                                   std::chrono::milliseconds patience);

}  // namespace engine::service
