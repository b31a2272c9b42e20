// The origin answers with a header that a shared cache must store and serve without asking again:
//
//   HTTP/1.1 200 OK
//   Date: now                                the cache's idea of the version
//   Last-Modified, ETag                      so that it can be asked "still the same?"
//   Cache-Control: public, max-age=86400
//   Content-Length                           known before the first byte of the body, or, for one
//                                            length of four, Transfer-Encoding: chunked
//   X-Powercut: …                            the text that says which put this is
//
// The body goes out as it is fed. When all of it is out, the connection is closed.
#include "scenarios/targets/origin.h"

#include <chrono>
#include <ctime>
#include <map>
#include <span>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/read.hpp>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include "faultfs/base/check.h"

namespace scenarios {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;
using tcp = asio::ip::tcp;

/// "Tue, 03 Nov 2026 08:00:00 GMT"
std::string http_date(std::time_t time) {
  return fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT", fmt::gmtime(time));
}

/// One path, what it is to be answered with, and how far that has gone. Shared by the origin and
/// the handlers under way.
class Offer : public std::enable_shared_from_this<Offer> {
 public:
  Offer(std::string header, std::uint64_t body_bytes, bool conditional)
      : header_(std::move(header)),
        body_bytes_(body_bytes),
        conditional_(conditional),
        chunked_(is_chunked(body_bytes)) {}

  void feed(faultfs::ByteView bytes) {
    fed_ += bytes.size();
    POWERCUT_CHECK(fed_ <= body_bytes_, "{} bytes fed to a body of {}", fed_, body_bytes_);
    if (chunked_ && !bytes.empty()) {
      put(fmt::format("{:x}\r\n", bytes.size()));
    }
    waiting_.insert(waiting_.end(), bytes.begin(), bytes.end());
    if (chunked_ && !bytes.empty()) {
      put(fed_ == body_bytes_ ? "\r\n0\r\n\r\n" : "\r\n");
    }
    write_more();
  }

  /// Answers on `socket`, or closes it where the question does not suit the offer.
  void answer(tcp::socket socket, const http::request<http::empty_body>& request) {
    const bool conditional = request.count(http::field::if_none_match) != 0 ||
                             request.count(http::field::if_modified_since) != 0;
    if (conditional_ && !conditional) {
      misfit_ = true;
      return;
    }
    socket_ = std::make_unique<tcp::socket>(std::move(socket));
    asked_ = true;
    const std::string head = head_text();
    const auto bytes = std::as_bytes(std::span(head));
    waiting_.insert(waiting_.begin(), bytes.begin(), bytes.end());
    write_more();
    watch();
  }

  void close() {
    if (socket_) {
      error_code ignored;
      socket_->close(ignored);
    }
    closed_ = true;
  }

  [[nodiscard]] bool asked() const { return asked_ || misfit_; }
  [[nodiscard]] bool ended() const { return closed_ || !socket_; }

 private:
  /// By its length, so that it is the same whenever the same history runs.
  static bool is_chunked(std::uint64_t body_bytes) { return body_bytes % 4 == 3; }

  void put(std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text));
    waiting_.insert(waiting_.end(), bytes.begin(), bytes.end());
  }

  [[nodiscard]] std::string length_text() const {
    if (conditional_) {
      return {};
    }
    return chunked_ ? "Transfer-Encoding: chunked\r\n"
                    : fmt::format("Content-Length: {}\r\n", body_bytes_);
  }

  [[nodiscard]] std::string head_text() const {
    const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
    return fmt::format(
        "HTTP/1.1 {}\r\nDate: {}\r\nLast-Modified: {}\r\nETag: \"powercut\"\r\n"
        "Cache-Control: public, max-age=86400\r\nX-Powercut: {}\r\n{}Connection: close\r\n\r\n",
        conditional_ ? "304 Not Modified" : "200 OK",
        http_date(now),
        http_date(now - 10L * 24 * 3600),
        header_,
        length_text());
  }

  void write_more() {
    if (writing_ || closed_ || !socket_) {
      return;
    }
    if (written_ == under_way_.size()) {
      under_way_.clear();
      under_way_.swap(waiting_);
      written_ = 0;
    }
    if (!under_way_.empty()) {
      writing_ = true;
      socket_->async_write_some(
          asio::buffer(under_way_) + written_,
          [self = shared_from_this()](const error_code& error, std::size_t size_bytes) {
            self->wrote(error, size_bytes);
          });
    } else if (fed_ == body_bytes_) {
      close();
    }
  }

  void wrote(const error_code& error, std::size_t size_bytes) {
    writing_ = false;
    written_ += size_bytes;
    if (error) {
      close();
    }
    write_more();
  }

  /// The cache sends nothing more; what arrives here is the end of the connection.
  void watch() {
    socket_->async_read_some(asio::buffer(&unexpected_, 1),
                             [self = shared_from_this()](const error_code& error, std::size_t) {
                               if (error) {
                                 self->close();
                               } else if (!self->closed_) {
                                 self->watch();
                               }
                             });
  }

  std::string header_;
  std::uint64_t body_bytes_;
  bool conditional_, chunked_;
  std::uint64_t fed_ = 0;
  faultfs::Bytes waiting_, under_way_;
  std::size_t written_ = 0;  ///< of what is under way
  std::unique_ptr<tcp::socket> socket_;
  std::byte unexpected_{};
  bool asked_ = false, misfit_ = false, writing_ = false, closed_ = false;
};

/// A connection whose request has not arrived yet.
struct Arrival {
  explicit Arrival(tcp::socket connection) : socket(std::move(connection)) {}
  tcp::socket socket;
  beast::flat_buffer buffer;
  http::request<http::empty_body> request;
};

class AsioOrigin : public Origin {
 public:
  explicit AsioOrigin(asio::io_context& context)
      : acceptor_(context, tcp::endpoint(asio::ip::address_v4::loopback(), 0)) {
    accept();
  }
  ~AsioOrigin() override {
    for (const auto& [path, offer] : offers_) {
      offer->close();
    }
  }
  AsioOrigin(const AsioOrigin&) = delete;
  AsioOrigin& operator=(const AsioOrigin&) = delete;

  [[nodiscard]] std::uint16_t port() const override { return acceptor_.local_endpoint().port(); }
  void offer(std::string_view path, std::string_view header, std::uint64_t body_bytes) override {
    withdraw(path);
    offers_[std::string(path)] =
        std::make_shared<Offer>(std::string(header), body_bytes, /*conditional=*/false);
  }
  void offer_unchanged(std::string_view path, std::string_view header) override {
    withdraw(path);
    offers_[std::string(path)] =
        std::make_shared<Offer>(std::string(header), 0, /*conditional=*/true);
  }
  void feed(std::string_view path, faultfs::ByteView bytes) override { at(path).feed(bytes); }
  [[nodiscard]] bool asked(std::string_view path) const override { return at(path).asked(); }
  [[nodiscard]] bool ended(std::string_view path) const override { return at(path).ended(); }
  void cut(std::string_view path) override { at(path).close(); }
  void withdraw(std::string_view path) override {
    if (const auto found = offers_.find(path); found != offers_.end()) {
      found->second->close();
      offers_.erase(found);
    }
  }
  [[nodiscard]] std::uint64_t refused() const override { return refused_; }

 private:
  [[nodiscard]] Offer& at(std::string_view path) const {
    const auto found = offers_.find(path);
    POWERCUT_CHECK(found != offers_.end(), "nothing was offered at {}", path);
    return *found->second;
  }

  void accept() {
    acceptor_.async_accept(
        [alive = std::weak_ptr(alive_), this](const error_code& error, tcp::socket socket) {
          if (alive.expired() || error == asio::error::operation_aborted) {
            return;
          }
          if (!error) {
            receive(std::make_shared<Arrival>(std::move(socket)));
          }
          accept();
        });
  }

  void receive(const std::shared_ptr<Arrival>& arrival) {
    http::async_read(
        arrival->socket,
        arrival->buffer,
        arrival->request,
        [arrival, alive = std::weak_ptr(alive_), this](const error_code& error, std::size_t) {
          if (!error && !alive.expired()) {
            serve(*arrival);
          }
        });
  }

  void serve(Arrival& arrival) {
    const auto target = arrival.request.target();
    const auto found = offers_.find(std::string_view(target.data(), target.size()));
    if (found == offers_.end() || found->second->asked()) {
      ++refused_;
      return;
    }
    found->second->answer(std::move(arrival.socket), arrival.request);
  }

  std::map<std::string, std::shared_ptr<Offer>, std::less<>> offers_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
  std::uint64_t refused_ = 0;
  tcp::acceptor acceptor_;
};

}  // namespace

faultfs::Result<std::unique_ptr<Origin>> Origin::listen(HttpLoop& loop) {
  try {
    return std::make_unique<AsioOrigin>(loop.context());
  } catch (const boost::system::system_error& error) {
    return faultfs::fail(
        fmt::format("the origin server cannot listen on 127.0.0.1: {}", error.code().message()));
  }
}

}  // namespace scenarios
