#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "faultfs/base/bytes.h"
#include "faultfs/base/result.h"

namespace boost::asio {
class io_context;
}

namespace scenarios {

/// The event loop that moves the harness's side of HTTP: its clients and its origin, one thread.
/// Nothing moves unless it is run, and every run is bounded in time, so an exchange with a cache
/// that hangs ends.
class HttpLoop {
 public:
  HttpLoop();
  ~HttpLoop();
  HttpLoop(const HttpLoop&) = delete;
  HttpLoop& operator=(const HttpLoop&) = delete;

  /// Runs until `done()`, which is asked after every event, or for `seconds`. Returns `done()`.
  bool run_until(const std::function<bool()>& done, double seconds);
  [[nodiscard]] boost::asio::io_context& context() { return *context_; }

 private:
  std::unique_ptr<boost::asio::io_context> context_;
};

/// A request to a cache on 127.0.0.1.
struct HttpQuestion {
  std::uint16_t port = 0;
  std::string method = "GET";
  std::string path = "/";
  std::vector<std::pair<std::string, std::string>> fields = {};
};

/// What a cache answered, as far as it has arrived.
struct HttpAnswer {
  int status = 0;  ///< 0: no header arrived
  std::vector<std::pair<std::string, std::string>> fields;
  std::optional<std::uint64_t> content_length;
  faultfs::Bytes body;
  bool complete = false;  ///< all that was announced arrived
  std::string trouble;    ///< why it ended otherwise

  /// The value of a field, names compared without case; empty where there is none.
  [[nodiscard]] std::string field(std::string_view name) const;
};

/// One request and its answer, in progress; the connection is closed when this goes. The body is
/// read as it comes, so a cache is never held up by its client.
class HttpCall {
 public:
  /// Begins it; the loop must outlive it and be run for anything to happen.
  [[nodiscard]] static std::unique_ptr<HttpCall> begin(HttpLoop& loop,
                                                       const HttpQuestion& question);
  virtual ~HttpCall() = default;
  [[nodiscard]] virtual bool header_arrived() const = 0;
  [[nodiscard]] virtual std::uint64_t body_bytes() const = 0;
  /// Complete, or cut by the cache or by trouble.
  [[nodiscard]] virtual bool ended() const = 0;
  [[nodiscard]] virtual HttpAnswer answer() const = 0;
  /// The client goes away, in the middle if need be.
  virtual void hang_up() = 0;

 protected:
  HttpCall() = default;
  HttpCall(const HttpCall&) = delete;
  HttpCall& operator=(const HttpCall&) = delete;
};

/// A free TCP port of 127.0.0.1 that stays ours: the socket is bound and never listens, so the
/// kernel gives the port to nobody by itself, while a server that sets SO_REUSEADDR may take it.
class ReservedPort {
 public:
  [[nodiscard]] static faultfs::Result<ReservedPort> reserve();
  ReservedPort(ReservedPort&& other) noexcept
      : socket_(std::exchange(other.socket_, -1)), number_(other.number_) {}
  ReservedPort& operator=(ReservedPort&& other) noexcept {
    std::swap(socket_, other.socket_);
    std::swap(number_, other.number_);
    return *this;
  }
  ~ReservedPort();
  ReservedPort(const ReservedPort&) = delete;
  ReservedPort& operator=(const ReservedPort&) = delete;
  [[nodiscard]] std::uint16_t number() const { return number_; }

 private:
  ReservedPort(int socket, std::uint16_t number) : socket_(socket), number_(number) {}
  int socket_;
  std::uint16_t number_;
};

}  // namespace scenarios
