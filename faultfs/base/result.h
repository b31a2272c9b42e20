#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace faultfs {

/// Trouble of the world (no FUSE, a missing program, a full disk, bad input), as one sentence that
/// names the thing, what was wrong and what is allowed.
struct Error {
  std::string message;
};

template <typename T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

/// An error result with `message`.
[[nodiscard]] inline tl::unexpected<Error> fail(std::string message) {
  return tl::unexpected<Error>(Error{std::move(message)});
}

}  // namespace faultfs
