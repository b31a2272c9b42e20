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

#include "engine/service/cooperation.h"
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
  /// One that another process has begun to serve.
  explicit Connection(handoff::Client&& client) : Connection(client.socket.release()) {
    uploads_ = std::move(client.uploads);
    grow();
    append(client.unread);
  }
  ~Connection() { ::close(socket_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  Connection(Connection&&) = delete;
  Connection& operator=(Connection&&) = delete;

  [[nodiscard]] int socket() const { return socket_; }
  [[nodiscard]] const std::set<UploadId>& uploads() const { return uploads_; }

  /// As another process may go on with it: every answer has been sent.
  [[nodiscard]] handoff::Client lend() const {
    handoff::Client client;
    client.socket = Descriptor(::fcntl(socket_, F_DUPFD_CLOEXEC, 0));
    client.unread.assign(in_.get(), in_.get() + filled_);
    client.uploads = uploads_;
    return client;
  }

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

  void append(std::span<const std::byte> bytes) {
    while (room_ - filled_ < bytes.size()) {
      grow();
    }
    std::copy(bytes.begin(), bytes.end(), &in_[filled_]);
    filled_ += bytes.size();
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
      : dispatch_(store, options.reopen, hand_over_call(options)), options_(options) {}
  ~Server() {
    for (const handoff::Listening& listening : listeners_) {
      ::unlink(listening.file.c_str());
    }
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  Server(Server&&) = delete;
  Server& operator=(Server&&) = delete;

  [[nodiscard]] Status open();
  [[nodiscard]] Status run();

 private:
  void add(std::unique_ptr<Connection> connection);
  void wait();
  void background_work();
  void abort_uploads(const Connection& connection);
  [[nodiscard]] bool serve_connection(std::size_t number);
  [[nodiscard]] bool serve_ready();
  [[nodiscard]] Dispatch::HandOver hand_over_call(const ServerOptions& options);
  [[nodiscard]] Result<std::string> hand_over(bool retire, std::chrono::milliseconds patience);
  void answer_other_instance();

  Dispatch dispatch_;
  ServerOptions options_;
  Descriptor signals_;
  std::vector<handoff::Listening> listeners_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<pollfd> polled_;          // signals, the other instance, listeners, connections
  const Connection* asking_ = nullptr;  // whose request is carried out
  bool handed_over_ = false, retired_ = false;
  bool more_work_ = true;
  Clock::time_point next_tick_ = Clock::now();
};

Status Server::open() {
  sigset_t stops;
  sigemptyset(&stops);
  sigaddset(&stops, SIGTERM);
  sigaddset(&stops, SIGINT);
  pthread_sigmask(SIG_BLOCK, &stops, nullptr);
  signals_ = Descriptor(::signalfd(-1, &stops, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals_) {
    return tl::unexpected(trouble("no descriptor for signals"));
  }
  if (options_.socket >= 0) {
    add(std::make_unique<Connection>(options_.socket));
    return {};
  }
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string& path = options_.socket_file.native();
  path.copy(static_cast<char*>(address.sun_path), path.size());
  Descriptor listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!listener ||
      ::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener.get(), backlog) != 0) {
    return tl::unexpected(trouble(fmt::format("cannot listen on {}", path)));
  }
  listeners_.push_back({std::move(listener), options_.socket_file});
  return {};
}

void Server::add(std::unique_ptr<Connection> connection) {
  const timeval patience{answer_seconds_max, 0};
  ::setsockopt(connection->socket(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  connections_.push_back(std::move(connection));
}

void Server::wait() {
  polled_.clear();
  const Cooperation* const other = options_.cooperation;
  polled_.push_back({signals_.get(), POLLIN, 0});
  polled_.push_back({other != nullptr ? other->descriptor() : -1, POLLIN, 0});
  for (const handoff::Listening& listening : listeners_) {
    polled_.push_back({listening.socket.get(), POLLIN, 0});
  }
  for (const auto& connection : connections_) {
    polled_.push_back({connection->socket(), POLLIN, 0});
  }
  int timeout = -1;
  if (more_work_ && options_.tick_milliseconds > 0) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(next_tick_ - Clock::now()).count();
    timeout = static_cast<int>(std::max<std::int64_t>(left, 0));
  }
  if (other != nullptr && !other->writes()) {
    const auto look = static_cast<int>(Cooperation::look_every.count());
    timeout = timeout < 0 ? look : std::min(timeout, look);
  }
  if (::poll(polled_.data(), polled_.size(), timeout) < 0) {
    for (pollfd& each : polled_) {
      each.revents = 0;
    }
  }
}

/// A tick that fails is tried again: a slot that cannot be read is told of once and then left.
void Server::background_work() {
  if (options_.cooperation != nullptr && !options_.cooperation->writes()) {
    options_.cooperation->look();
    dispatch_.serve(options_.cooperation->store());
    more_work_ = true;
  }
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
    if (dispatch_.store() != nullptr) {
      // A refusal leaves its slots out of use until the next start; there is nobody to tell.
      static_cast<void>(dispatch_.store()->abort(upload));
    }
  }
}

Dispatch::HandOver Server::hand_over_call(const ServerOptions& options) {
  return options.cooperation == nullptr ? Dispatch::HandOver()
                                        : [this](bool retire, std::chrono::milliseconds patience) {
                                            return hand_over(retire, patience);
                                          };
}

/// All clients go but the one that asks, which waits for the answer.
Result<std::string> Server::hand_over(bool retire, std::chrono::milliseconds patience) {
  handoff::Freight freight;
  for (const auto& connection : connections_) {
    if (connection.get() != asking_) {
      freight.clients.push_back(connection->lend());
    }
  }
  for (const handoff::Listening& listening : listeners_) {
    if (retire) {
      freight.listeners.push_back(
          {Descriptor(::fcntl(listening.socket.get(), F_DUPFD_CLOEXEC, 0)), listening.file});
    }
  }
  auto done = options_.cooperation->hand_over(freight, patience);
  dispatch_.serve(options_.cooperation->store());
  handed_over_ = done.has_value();
  retired_ = handed_over_ && retire;
  more_work_ = true;
  return done;
}

void Server::answer_other_instance() {
  auto freight = options_.cooperation->answer();
  dispatch_.serve(options_.cooperation->store());
  more_work_ = true;
  if (!freight) {
    return;
  }
  for (handoff::Client& client : freight->clients) {
    add(std::make_unique<Connection>(std::move(client)));
  }
  for (handoff::Listening& listening : freight->listeners) {
    listeners_.push_back(std::move(listening));
  }
}

/// False: the connection has ended.
bool Server::serve_connection(std::size_t number) {
  asking_ = connections_[number].get();
  const bool goes_on = connections_[number]->receive(dispatch_);
  if (handed_over_) {
    // The others' sockets are the other instance's now.
    std::erase_if(connections_, [this](const auto& each) { return each.get() != asking_; });
    if (retired_) {
      listeners_.clear();
    }
  }
  return goes_on;
}

/// False: a signal asks to stop, or the only connection there will ever be has ended.
bool Server::serve_ready() {
  const std::size_t before_connections = 2 + listeners_.size();
  if (polled_[0].revents != 0) {
    return false;
  }
  for (std::size_t n = connections_.size(); n-- > 0 && !handed_over_;) {
    if (polled_[before_connections + n].revents == 0 || serve_connection(n)) {
      continue;
    }
    if (options_.socket >= 0) {
      return false;
    }
    const auto ended = std::find_if(connections_.begin(), connections_.end(), [this](auto& each) {
      return each.get() == asking_;
    });
    abort_uploads(**ended);
    connections_.erase(ended);
  }
  for (std::size_t n = 0; n < listeners_.size(); ++n) {
    if (polled_[2 + n].revents != 0) {
      const int socket = ::accept4(listeners_[n].socket.get(), nullptr, nullptr, SOCK_CLOEXEC);
      if (socket >= 0) {
        add(std::make_unique<Connection>(socket));
      }
    }
  }
  if (polled_[1].revents != 0 && !handed_over_) {
    answer_other_instance();
  }
  handed_over_ = false;
  return true;
}

Status Server::run() {
  while (!dispatch_.closed() && !retired_) {
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
