#include "runner/messages.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>

namespace runner {
namespace {

bool send_all(int descriptor, const char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t sent = send(descriptor, data, size, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) {
      continue;
    }
    if (sent <= 0) {
      return false;
    }
    data += sent;
    size -= static_cast<std::size_t>(sent);
  }
  return true;
}

bool receive_all(int descriptor, char* data, std::size_t size) {
  while (size > 0) {
    const ssize_t got = recv(descriptor, data, size, 0);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      return false;
    }
    data += got;
    size -= static_cast<std::size_t>(got);
  }
  return true;
}

}  // namespace

bool send_message(int descriptor, const nlohmann::json& message) {
  // Target logs may hold any bytes: what is no UTF-8 is replaced.
  const std::string text = message.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  const auto size = static_cast<std::uint32_t>(text.size());
  char head[sizeof size];
  std::memcpy(head, &size, sizeof size);
  return send_all(descriptor, head, sizeof head) && send_all(descriptor, text.data(), text.size());
}

std::optional<nlohmann::json> receive_message(int descriptor) {
  std::uint32_t size = 0;
  char head[sizeof size];
  if (!receive_all(descriptor, head, sizeof head)) {
    return std::nullopt;
  }
  std::memcpy(&size, head, sizeof size);
  std::string text(size, '\0');
  if (!receive_all(descriptor, text.data(), text.size())) {
    return std::nullopt;
  }
  nlohmann::json message = nlohmann::json::parse(text, nullptr, false);
  if (message.is_discarded()) {
    return std::nullopt;
  }
  return message;
}

}  // namespace runner
