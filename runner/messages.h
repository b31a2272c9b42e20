#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>

namespace runner {

/// Sends one JSON value over the stream socket `descriptor` as a length-prefixed frame. False when
/// the other side is gone.
bool send_message(int descriptor, const nlohmann::json& message);

/// Waits for the next frame. Empty when the other side is gone or sent no JSON.
[[nodiscard]] std::optional<nlohmann::json> receive_message(int descriptor);

}  // namespace runner
