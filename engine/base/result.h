#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace engine {

/// What kind of trouble an operation met.
enum class Trouble {
  invalid,  ///< the caller's argument is wrong; nothing was changed
  device,   ///< the device refused a request; what was being written is in an unknown state
  full,     ///< no slot is free and nothing may be evicted
  busy,     ///< the object is being written by another upload
  gone,     ///< no such upload, or the store is closed
  lost,     ///< the process that owns the store does not answer any more (service client only)
};

struct Error {
  Trouble trouble = Trouble::invalid;
  std::string message;  ///< one sentence
};

template <typename T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

[[nodiscard]] inline tl::unexpected<Error> fail(Trouble trouble, std::string message) {
  return tl::unexpected<Error>(Error{trouble, std::move(message)});
}

}  // namespace engine
