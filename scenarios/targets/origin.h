#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "faultfs/base/bytes.h"
#include "scenarios/targets/http.h"

namespace scenarios {

/// The origin server behind a cache under test. It serves only what has been offered, once, and
/// only as far as it has been fed; every other request is closed without an answer and counted. So
/// an answer to a path without an offer cannot have come from here.
class Origin {
 public:
  /// Listens on a free port of 127.0.0.1. The loop must outlive it and be run for it to serve.
  [[nodiscard]] static faultfs::Result<std::unique_ptr<Origin>> listen(HttpLoop& loop);
  virtual ~Origin() = default;
  [[nodiscard]] virtual std::uint16_t port() const = 0;

  /// The next GET of `path` gets 200, `header` as X-Powercut and a body of `body_bytes` to come by
  /// `feed`. Takes the place of an offer of the same path.
  virtual void offer(std::string_view path, std::string_view header, std::uint64_t body_bytes) = 0;
  /// Further GETs of an offered `path` get the same answer, each on its own connection.
  virtual void share(std::string_view path) = 0;
  /// The next conditional GET of `path` gets 304 with `header`; an unconditional one is closed.
  virtual void offer_unchanged(std::string_view path, std::string_view header) = 0;
  virtual void feed(std::string_view path, faultfs::ByteView bytes) = 0;
  /// Has the cache asked for it?
  [[nodiscard]] virtual bool asked(std::string_view path) const = 0;
  /// Have its connections ended, by either side (or were there none)?
  [[nodiscard]] virtual bool ended(std::string_view path) const = 0;
  /// Closes the connections, in the middle of the body if need be.
  virtual void cut(std::string_view path) = 0;
  /// Forgets the offer; its connection is closed.
  virtual void withdraw(std::string_view path) = 0;
  /// Requests that found no offer, since the origin began.
  [[nodiscard]] virtual std::uint64_t refused() const = 0;

 protected:
  Origin() = default;
  Origin(const Origin&) = delete;
  Origin& operator=(const Origin&) = delete;
};

}  // namespace scenarios
