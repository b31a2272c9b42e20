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
// The body goes out as it is fed. When all of it is out, the connection is closed. An offer that is
// shared answers every question the same, each on its own connection.
#include "scenarios/targets/origin.h"

#include <algorithm>
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

/// An answer on its way out. Shared by its offer and the handlers under way.
class Delivery : public std::enable_shared_from_this<Delivery> {
 public:
  explicit Delivery(tcp::socket socket) : socket_(std::move(socket)) {}

  void put(faultfs::ByteView bytes) {
    waiting_.insert(waiting_.end(), bytes.begin(), bytes.end());
    write_more();
  }
  /// Nothing more will be put: the connection closes behind the last byte.
  void finish() {
    finished_ = true;
    write_more();
  }
  void close() {
    error_code ignored;
    socket_.close(ignored);
    closed_ = true;
  }
  /// The cache sends nothing more; what arrives here is the end of the connection.
  void watch() {
    socket_.async_read_some(asio::buffer(&unexpected_, 1),
                            [self = shared_from_this()](const error_code& error, std::size_t) {
                              if (error) {
                                self->close();
                              } else if (!self->closed_) {
                                self->watch();
                              }
                            });
  }
  [[nodiscard]] bool closed() const { return closed_; }

 private:
  void write_more() {
    if (writing_ || closed_) {
      return;
    }
    if (written_ == under_way_.size()) {
      under_way_.clear();
      under_way_.swap(waiting_);
      written_ = 0;
    }
    if (!under_way_.empty()) {
      writing_ = true;
      socket_.async_write_some(
          asio::buffer(under_way_) + written_,
          [self = shared_from_this()](const error_code& error, std::size_t size_bytes) {
            self->wrote(error, size_bytes);
          });
    } else if (finished_) {
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

  tcp::socket socket_;
  faultfs::Bytes waiting_, under_way_;
  std::size_t written_ = 0;  ///< of what is under way
  std::byte unexpected_{};
  bool finished_ = false, writing_ = false, closed_ = false;
};

/// One path, what it is to be answered with, and how far that has gone.
class Offer {
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
    put(bytes);
    if (chunked_ && !bytes.empty()) {
      put(fed_ == body_bytes_ ? "\r\n0\r\n\r\n" : "\r\n");
    }
    finish_complete();
  }

  /// Answers on `socket`, or closes it where the question does not suit the offer.
  void answer(tcp::socket socket, const http::request<http::empty_body>& request) {
    const bool conditional = request.count(http::field::if_none_match) != 0 ||
                             request.count(http::field::if_modified_since) != 0;
    if (conditional_ && !conditional) {
      misfit_ = true;
      return;
    }
    const auto delivery = std::make_shared<Delivery>(std::move(socket));
    deliveries_.push_back(delivery);
    delivery->watch();
    const std::string head = head_text();
    delivery->put(std::as_bytes(std::span(head)));
    delivery->put(fed_bytes_);
    finish_complete();
  }

  void share() { shared_ = true; }
  void close() {
    for (const auto& delivery : deliveries_) {
      delivery->close();
    }
    closed_ = true;
  }

  /// It takes no further question.
  [[nodiscard]] bool taken() const { return closed_ || (asked() && !shared_); }
  [[nodiscard]] bool asked() const { return !deliveries_.empty() || misfit_; }
  [[nodiscard]] bool ended() const {
    return std::ranges::all_of(deliveries_, [](const auto& each) { return each->closed(); });
  }

 private:
  /// By its length, so that it is the same whenever the same history runs.
  static bool is_chunked(std::uint64_t body_bytes) { return body_bytes % 4 == 3; }

  void put(std::string_view text) { put(std::as_bytes(std::span(text))); }
  void put(faultfs::ByteView bytes) {
    fed_bytes_.insert(fed_bytes_.end(), bytes.begin(), bytes.end());
    for (const auto& delivery : deliveries_) {
      delivery->put(bytes);
    }
  }
  void finish_complete() {
    if (fed_ != body_bytes_) {
      return;
    }
    for (const auto& delivery : deliveries_) {
      delivery->finish();
    }
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

  std::string header_;
  std::uint64_t body_bytes_;
  bool conditional_, chunked_;
  std::uint64_t fed_ = 0;
  faultfs::Bytes fed_bytes_;  ///< as they go out
  std::vector<std::shared_ptr<Delivery>> deliveries_;
  bool misfit_ = false, closed_ = false, shared_ = false;
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
  void share(std::string_view path) override { at(path).share(); }
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
    if (found == offers_.end() || found->second->taken()) {
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
