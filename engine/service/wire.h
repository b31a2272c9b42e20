#pragma once

/// The protocol between `cache-engine serve` and its clients: over a local stream socket, one
/// request, one answer, each a frame
///
///     | length of the rest, u32 | verb (request) or outcome (answer), u8 | fields ... |
///
/// Numbers are little-endian; a text is its length (u32) and its bytes; what follows the last field
/// of `append`, of `put` and of the answer to `get` is raw body bytes. A client may send several
/// requests before it takes their answers, which come in the same order. Outcome 0 is ok; else it
/// is 1 + the `Trouble`, and the only field is the message. Not modelled: versions (client and
/// server are built together) and peers on other machines.

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/base/frame.h"

namespace engine::service {

using Bytes = std::vector<std::byte>;

enum class Verb : std::uint8_t {
  begin_put = 1,
  append,
  commit,
  abort,
  get,
  update_header,
  purge,
  sync,
  tick,
  close,
  inspect,
  stats,
  reopen,
  put,
  verify,
  purge_all,
  hand_over,
  being_put,
};

/// Longer frames end the connection; a longer object is read in ranges.
inline constexpr std::uint32_t frame_bytes_max = 1U << 30;

/// Sends both parts, in one request where the kernel takes them. False: the peer is gone or does
/// not take them in time.
[[nodiscard]] bool send_all(int socket,
                            std::span<const std::byte> first,
                            std::span<const std::byte> second = {});
/// Fills `into`. False: the peer is gone or silent.
[[nodiscard]] bool receive_all(int socket, std::span<std::byte> into);

}  // namespace engine::service
