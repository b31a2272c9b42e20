#include "engine/service/server.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <memory>
#include <system_error>
#include <vector>

#include <fmt/format.h>

#include "engine/service/dispatch.h"
#include "engine/service/wire.h"

namespace engine::service {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t receive_bytes = std::size_t{1} << 18;
constexpr std::size_t receive_bytes_min = std::size_t{1} << 14;  // room for one more recv
constexpr std::size_t answers_bytes_max = std::size_t{1} << 16;
constexpr int backlog = 16;
constexpr int answer_seconds_max = 10;

Error trouble(std::string_view what) {
  return {Trouble::device, fmt::format("{}: {}", what, std::generic_category().message(errno))};
}

/// One client: what it has sent of the next request, and the uploads it has open.
class Connection {
 public:
  explicit Connection(int socket) : socket_(socket) { answers_.reserve(2 * answers_bytes_max); }
  ~Connection() { ::close(socket_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  Connection(Connection&&) = delete;
  Connection& operator=(Connection&&) = delete;

  [[nodiscard]] int socket() const { return socket_; }
  [[nodiscard]] const std::set<UploadId>& uploads() const { return uploads_; }

  /// Takes what has arrived and answers every whole request in it. False: the connection ended.
  [[nodiscard]] bool receive(Dispatch& dispatch) {
    if (room_ - filled_ < receive_bytes_min) {
      grow();
    }
    const ssize_t got = ::recv(socket_, &in_[filled_], room_ - filled_, MSG_DONTWAIT);
    if (got <= 0) {
      return got < 0 && (errno == EINTR || errno == EAGAIN);
    }
    filled_ += static_cast<std::size_t>(got);
    return answer_requests(dispatch);
  }

 private:
  [[nodiscard]] bool answer_requests(Dispatch& dispatch) {
    std::span<const std::byte> rest(in_.get(), filled_);
    std::uint32_t length = 0;
    while (rest.size() >= sizeof length) {
      std::memcpy(&length, rest.data(), sizeof length);
      if (length > frame_bytes_max) {
        return false;
      }
      if (rest.size() - sizeof length < length) {
        break;
      }
      dispatch.handle(rest.subspan(sizeof length, length), uploads_, answers_);
      rest = rest.subspan(sizeof length + length);
      if ((!begins_with_request(rest) || answers_.size() > answers_bytes_max) && !send_answers()) {
        return false;
      }
    }
    if (!rest.empty()) {
      std::memmove(in_.get(), rest.data(), rest.size());
    }
    filled_ = rest.size();
    return true;
  }

  /// A client that has sent several requests takes their answers at once.
  [[nodiscard]] static bool begins_with_request(std::span<const std::byte> rest) {
    std::uint32_t length = 0;
    std::memcpy(&length, rest.data(), std::min(rest.size(), sizeof length));
    return rest.size() >= sizeof length && rest.size() - sizeof length >= length;
  }

  [[nodiscard]] bool send_answers() {
    const bool sent = send_all(socket_, answers_);
    answers_.clear();
    return sent;
  }

  /// What is not filled is not touched: a process that lives for a moment pays for each page.
  void grow() {
    const std::size_t room = std::max(2 * room_, receive_bytes);
    auto more = std::make_unique_for_overwrite<std::byte[]>(room);
    std::copy_n(in_.get(), filled_, more.get());
    in_ = std::move(more);
    room_ = room;
  }

  int socket_;
  std::unique_ptr<std::byte[]> in_;
  std::size_t room_ = 0;
  std::size_t filled_ = 0;  // bytes of it that have arrived and are not answered
  Bytes answers_;           // not sent yet
  std::set<UploadId> uploads_;
};

class Server {
 public:
  Server(Store& store, const ServerOptions& options)
      : dispatch_(store, options.reopen), options_(options) {}
  ~Server() {
    close_if_open(listener_);
    close_if_open(signals_);
    if (listener_ >= 0) {
      ::unlink(options_.socket_file.c_str());
    }
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  Server(Server&&) = delete;
  Server& operator=(Server&&) = delete;

  [[nodiscard]] Status open();
  [[nodiscard]] Status run();

 private:
  static void close_if_open(int descriptor) {
    if (descriptor >= 0) {
      ::close(descriptor);
    }
  }
  void add(int socket);
  void wait();
  void background_work();
  void abort_uploads(const Connection& connection);
  [[nodiscard]] bool serve_ready();

  Dispatch dispatch_;
  ServerOptions options_;
  int listener_ = -1, signals_ = -1;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<pollfd> polled_;  // signals, listener, connections
  bool more_work_ = true;
  Clock::time_point next_tick_ = Clock::now();
};

Status Server::open() {
  sigset_t stops;
  sigemptyset(&stops);
  sigaddset(&stops, SIGTERM);
  sigaddset(&stops, SIGINT);
  pthread_sigmask(SIG_BLOCK, &stops, nullptr);
  signals_ = ::signalfd(-1, &stops, SFD_CLOEXEC | SFD_NONBLOCK);
  if (signals_ < 0) {
    return tl::unexpected(trouble("no descriptor for signals"));
  }
  if (options_.socket >= 0) {
    add(options_.socket);
    return {};
  }
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string& path = options_.socket_file.native();
  path.copy(static_cast<char*>(address.sun_path), path.size());
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0 ||
      ::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener, backlog) != 0) {
    const Error why = trouble(fmt::format("cannot listen on {}", path));
    close_if_open(listener);
    return tl::unexpected(why);
  }
  listener_ = listener;
  return {};
}

void Server::add(int socket) {
  const timeval patience{answer_seconds_max, 0};
  ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  connections_.push_back(std::make_unique<Connection>(socket));
}

void Server::wait() {
  polled_.clear();
  polled_.push_back({signals_, POLLIN, 0});
  polled_.push_back({listener_, POLLIN, 0});
  for (const auto& connection : connections_) {
    polled_.push_back({connection->socket(), POLLIN, 0});
  }
  int timeout = -1;
  if (more_work_ && options_.tick_milliseconds > 0) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(next_tick_ - Clock::now()).count();
    timeout = static_cast<int>(std::max<std::int64_t>(left, 0));
  }
  if (::poll(polled_.data(), polled_.size(), timeout) < 0) {
    for (pollfd& each : polled_) {
      each.revents = 0;
    }
  }
}

/// A tick that fails is tried again: a slot that cannot be read is told of once and then left.
void Server::background_work() {
  const bool idle = !more_work_ || dispatch_.store() == nullptr;
  if (idle || options_.tick_milliseconds == 0 || Clock::now() < next_tick_) {
    return;
  }
  const auto more = dispatch_.store()->tick();
  more_work_ = !more || *more;
  next_tick_ = Clock::now() + std::chrono::milliseconds(options_.tick_milliseconds);
}

void Server::abort_uploads(const Connection& connection) {
  for (const UploadId upload : connection.uploads()) {
    // A refusal leaves its slots out of use until the next start; there is nobody to tell.
    static_cast<void>(dispatch_.store()->abort(upload));
  }
}

/// False: a signal asks to stop, or the only connection there will ever be has ended.
bool Server::serve_ready() {
  if (polled_[0].revents != 0) {
    return false;
  }
  for (std::size_t n = connections_.size(); n-- > 0;) {
    Connection& connection = *connections_[n];
    if (polled_[n + 2].revents == 0 || connection.receive(dispatch_)) {
      continue;
    }
    if (listener_ < 0) {
      return false;
    }
    abort_uploads(connection);
    connections_.erase(connections_.begin() + static_cast<std::ptrdiff_t>(n));
  }
  if (polled_[1].revents != 0) {
    const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket >= 0) {
      add(socket);
    }
  }
  return true;
}

Status Server::run() {
  while (!dispatch_.closed()) {
    wait();
    if (!serve_ready()) {
      const bool asked = polled_[0].revents != 0;
      return asked && dispatch_.store() != nullptr ? dispatch_.store()->close() : Status{};
    }
    background_work();
  }
  return {};
}

}  // namespace

Status check(const ServerOptions& options) {
  if (options.socket >= 0) {
    int kind = 0;
    socklen_t kind_bytes = sizeof kind;
    const bool is_socket =
        ::getsockopt(options.socket, SOL_SOCKET, SO_TYPE, &kind, &kind_bytes) == 0;
    return is_socket ? Status{}
                     : tl::unexpected(trouble(fmt::format("descriptor {}", options.socket)));
  }
  const std::size_t characters = options.socket_file.native().size();
  constexpr std::size_t characters_max = sizeof sockaddr_un{}.sun_path - 1;
  if (characters == 0 || characters > characters_max) {
    return fail(
        Trouble::invalid,
        fmt::format(
            "a socket path of {} characters; allowed: 1 to {}", characters, characters_max));
  }
  return {};
}

Status serve(Store& store, const ServerOptions& options) {
  if (const Status reachable = check(options); !reachable) {
    return reachable;
  }
  Server server(store, options);
  const Status opened = server.open();
  return opened ? server.run() : opened;
}

}  // namespace engine::service
