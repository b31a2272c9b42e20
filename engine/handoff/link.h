#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "engine/base/descriptor.h"
#include "engine/base/result.h"

namespace engine::handoff {

/// One frame (base/frame.h) between two instances, and the descriptor that came with it.
struct Message {
  std::vector<std::byte> frame;  ///< without its length
  Descriptor descriptor;
};

/// A connection to the other instance: a stream socket in the abstract namespace, so no file is
/// left by whoever is killed. Calls block up to the patience; errors are `Trouble::lost`.
class Link {
 public:
  explicit Link(Descriptor socket) : socket_(std::move(socket)) {}
  /// To the instance that listens in process `process`, which must belong to this user.
  [[nodiscard]] static Result<Link> connect(pid_t process);

  /// How long a call may take; 0: for ever.
  void set_patience(std::chrono::milliseconds patience);
  /// The process at the other end; -1: unknown.
  [[nodiscard]] pid_t process() const;
  [[nodiscard]] bool of_this_user() const;
  /// `frame` begins with its length. `descriptor` -1: none goes with it.
  [[nodiscard]] Status send(std::span<const std::byte> frame, int descriptor = -1) const;
  /// None: the other end is closed, or its process is dead.
  [[nodiscard]] Result<std::optional<Message>> receive() const;

 private:
  Descriptor socket_;
};

/// Where an instance can be called by the other one.
class Listener {
 public:
  /// Under this process's number.
  [[nodiscard]] static Result<Listener> open();
  [[nodiscard]] int descriptor() const { return socket_.get(); }
  /// The next call that waits; none: it is gone again, or of another user.
  [[nodiscard]] std::optional<Link> accept() const;

 private:
  explicit Listener(Descriptor socket) : socket_(std::move(socket)) {}
  Descriptor socket_;
};

}  // namespace engine::handoff
