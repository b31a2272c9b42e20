// One thread, any number of connections, one line at a time. A client may send several lines
// without waiting; the answers come in order. One that sends a line without end, or does not read
// its answers, is cut off; the others do not notice.

#include "faultfs/control/server.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "faultfs/base/check.h"
#include "faultfs/control/commands.h"
#include "faultfs/control/local_socket.h"

namespace faultfs::control {
namespace {

constexpr std::size_t line_bytes_max = 65536;

struct Connection {
  Descriptor descriptor;
  std::string received;
};

/// True when the peer runs as us or as root. (The file's mode says so already; this holds for a
/// descriptor that was handed on, too.)
bool is_ours(int connection) {
  ucred peer{};
  socklen_t size = sizeof peer;
  return getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
         (peer.uid == geteuid() || peer.uid == 0);
}

bool send_line(int connection, std::string text) {
  text.push_back('\n');
  return send(connection, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT) ==
         static_cast<ssize_t>(text.size());
}

class SocketServer : public Server {
 public:
  using Answer = std::function<std::string(std::string_view line)>;

  SocketServer(Answer answer, std::filesystem::path path, Descriptor listener)
      : path_(std::move(path)),
        listener_(std::move(listener)),
        stop_(eventfd(0, EFD_CLOEXEC)),
        answer_(std::move(answer)) {
    POWERCUT_CHECK(stop_.number() >= 0, "errno {}", errno);
    thread_ = std::thread([this] { serve(); });
  }

  SocketServer(const SocketServer&) = delete;
  SocketServer& operator=(const SocketServer&) = delete;
  SocketServer(SocketServer&&) = delete;
  SocketServer& operator=(SocketServer&&) = delete;

  ~SocketServer() override {
    const std::uint64_t one = 1;
    POWERCUT_CHECK(::write(stop_.number(), &one, sizeof one) == sizeof one, "errno {}", errno);
    thread_.join();
    unlink(path_.c_str());
  }

  [[nodiscard]] const std::filesystem::path& socket() const override { return path_; }

 private:
  void serve() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, nullptr);
    pthread_setname_np(pthread_self(), "powercut-ctl");
    std::vector<pollfd> ready;
    do {
      ready = {{stop_.number(), POLLIN, 0}, {listener_.number(), POLLIN, 0}};
      for (const Connection& connection : connections_) {
        ready.push_back({connection.descriptor.number(), POLLIN, 0});
      }
      if (poll(ready.data(), ready.size(), -1) > 0) {
        attend_to(ready);
      }
    } while (ready[0].revents == 0);
  }

  void attend_to(const std::vector<pollfd>& ready) {
    std::vector<Connection> going_on;
    for (std::size_t at = 0; at < connections_.size(); ++at) {
      if (ready[at + 2].revents == 0 || attend(connections_[at])) {
        going_on.push_back(std::move(connections_[at]));
      }
    }
    connections_ = std::move(going_on);
    if (ready[1].revents != 0) {
      accept_one();
    }
  }

  void accept_one() {
    Descriptor accepted(accept4(listener_.number(), nullptr, nullptr, SOCK_CLOEXEC));
    if (accepted.number() >= 0 && is_ours(accepted.number())) {
      connections_.push_back({std::move(accepted), {}});
    }
  }

  /// Takes what came, answers whole lines. False when the connection is to be closed.
  bool attend(Connection& connection) {
    std::array<char, 4096> part{};
    const int number = connection.descriptor.number();
    const ssize_t got = recv(number, part.data(), part.size(), MSG_DONTWAIT);
    if (got <= 0) {
      return got < 0 && (errno == EAGAIN || errno == EINTR);
    }
    connection.received.append(part.data(), static_cast<std::size_t>(got));
    for (std::size_t end = 0; (end = connection.received.find('\n')) != std::string::npos;) {
      const std::string line = connection.received.substr(0, end);
      connection.received.erase(0, end + 1);
      if (!send_line(number, answer_(line))) {
        return false;
      }
    }
    if (connection.received.size() > line_bytes_max) {
      send_line(number, "error a line of more than 65536 characters; allowed: less");
      return false;
    }
    return true;
  }

  std::filesystem::path path_;
  Descriptor listener_;
  Descriptor stop_;
  Answer answer_;
  std::vector<Connection> connections_;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<Server>> Server::create(Device& device,
                                               const std::filesystem::path& socket) {
  auto commands = std::make_shared<Commands>(device);
  return create([commands](std::string_view line) { return commands->answer(line); }, socket);
}

Result<std::unique_ptr<Server>> Server::create(
    std::function<std::string(std::string_view line)> answer, const std::filesystem::path& socket) {
  Result<Descriptor> listener = listen_on(socket);
  if (!listener) {
    return fail(listener.error().message);
  }
  return std::make_unique<SocketServer>(std::move(answer), socket, std::move(*listener));
}

}  // namespace faultfs::control
