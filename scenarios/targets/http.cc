#include "scenarios/targets/http.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <system_error>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/vector_body.hpp>
#include <boost/beast/http/write.hpp>
#include <fmt/format.h>

#include "faultfs/base/check.h"

namespace scenarios {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;
using tcp = asio::ip::tcp;

HttpLoop::HttpLoop() : context_(std::make_unique<asio::io_context>(1)) {}
HttpLoop::~HttpLoop() = default;

bool HttpLoop::run_until(const std::function<bool()>& done, double seconds) {
  const auto until = std::chrono::steady_clock::now() +
                     std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                         std::chrono::duration<double>(seconds));
  context_->restart();
  while (!done() && context_->run_one_until(until) != 0) {
  }
  return done();
}

std::string HttpAnswer::field(std::string_view name) const {
  for (const auto& [own, value] : fields) {
    if (beast::iequals(own, beast::string_view(name.data(), name.size()))) {
      return value;
    }
  }
  return {};
}

namespace {

constexpr std::uint32_t header_bytes_max = 60 * 1024;  // a field of 64 KiB cannot be held

/// The exchange itself. Shared by its owner and by the handlers under way.
class Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  Exchange(asio::io_context& context, const HttpQuestion& question)
      : socket_(context), port_(question.port) {
    request_.version(11);
    request_.method_string(question.method);
    request_.target(question.path);
    request_.set(http::field::host, "origin");
    request_.set(http::field::connection, "close");
    for (const auto& [name, value] : question.fields) {
      request_.set(name, value);
    }
    parser_.body_limit(boost::none);
    parser_.header_limit(header_bytes_max);
    parser_.eager(true);
    parser_.skip(question.method == "HEAD");
  }

  void begin() {
    const tcp::endpoint cache(asio::ip::address_v4::loopback(), port_);
    socket_.async_connect(cache, [self = shared_from_this()](const error_code& error) {
      if (!self->failed(error)) {
        self->send();
      }
    });
  }

  void hang_up() {
    error_code ignored;
    socket_.close(ignored);
    if (!ended_) {
      end("the client hung up");
    }
  }

  [[nodiscard]] const auto& parser() const { return parser_; }
  [[nodiscard]] bool ended() const { return ended_; }
  [[nodiscard]] const std::string& trouble() const { return trouble_; }

 private:
  void end(std::string trouble) {
    ended_ = true;
    trouble_ = std::move(trouble);
  }

  bool failed(const error_code& error) {
    if (error && !ended_) {
      end(error.message());
    }
    return ended_;
  }

  void send() {
    http::async_write(
        socket_, request_, [self = shared_from_this()](const error_code& error, std::size_t) {
          if (!self->failed(error)) {
            self->read();
          }
        });
  }

  // Not a recursion: the loop calls the handler, later.
  void read() {                                  // NOLINT(misc-no-recursion)
    auto handler = [self = shared_from_this()](  // NOLINT(misc-no-recursion)
                       const error_code& error,
                       std::size_t) {
      if (self->parser_.is_done()) {
        self->end("");
      } else if (!self->failed(error)) {
        self->read();
      }
    };
    http::async_read_some(socket_, buffer_, parser_, std::move(handler));
  }

  tcp::socket socket_;
  std::uint16_t port_;
  http::request<http::empty_body> request_;
  http::response_parser<http::vector_body<std::byte>> parser_;
  beast::flat_buffer buffer_;
  bool ended_ = false;
  std::string trouble_;
};

class BeastCall : public HttpCall {
 public:
  explicit BeastCall(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}
  ~BeastCall() override { exchange_->hang_up(); }
  BeastCall(const BeastCall&) = delete;
  BeastCall& operator=(const BeastCall&) = delete;

  [[nodiscard]] bool header_arrived() const override {
    return exchange_->parser().is_header_done();
  }
  [[nodiscard]] std::uint64_t body_bytes() const override {
    return header_arrived() ? exchange_->parser().get().body().size() : 0;
  }
  [[nodiscard]] bool ended() const override { return exchange_->ended(); }
  void hang_up() override { exchange_->hang_up(); }

  [[nodiscard]] HttpAnswer answer() const override {
    HttpAnswer answer;
    answer.complete = exchange_->parser().is_done();
    answer.trouble = exchange_->trouble();
    if (!header_arrived()) {
      return answer;
    }
    const auto& message = exchange_->parser().get();
    answer.status = static_cast<int>(message.result_int());
    for (const auto& field : message) {
      answer.fields.emplace_back(field.name_string(), field.value());
    }
    if (const auto length = faultfs::parse_number(answer.field("Content-Length"))) {
      answer.content_length = *length;
    }
    answer.body = message.body();
    return answer;
  }

 private:
  std::shared_ptr<Exchange> exchange_;
};

}  // namespace

std::unique_ptr<HttpCall> HttpCall::begin(HttpLoop& loop, const HttpQuestion& question) {
  auto exchange = std::make_shared<Exchange>(loop.context(), question);
  exchange->begin();
  return std::make_unique<BeastCall>(std::move(exchange));
}

faultfs::Result<ReservedPort> ReservedPort::reserve() {
  const int number = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ReservedPort port(number, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  const int yes = 1;
  void* const raw = &address;
  if (number < 0 || ::setsockopt(number, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
      ::bind(number, static_cast<sockaddr*>(raw), length) != 0 ||
      ::getsockname(number, static_cast<sockaddr*>(raw), &length) != 0) {
    return faultfs::fail(
        fmt::format("no port of 127.0.0.1 can be had: {}", std::generic_category().message(errno)));
  }
  port.number_ = ntohs(address.sin_port);
  return port;
}

ReservedPort::~ReservedPort() {
  if (socket_ >= 0) {
    ::close(socket_);
  }
}

}  // namespace scenarios
