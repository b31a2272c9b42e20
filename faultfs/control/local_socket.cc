#include "faultfs/control/local_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include <fmt/format.h>

namespace faultfs::control {
namespace {

constexpr int backlog = 16;

tl::unexpected<Error> trouble(const std::filesystem::path& path, const std::string& what) {
  return fail(path.string() + ": " + what + ": " + std::generic_category().message(errno));
}

Result<sockaddr_un> address_of(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.native().empty() || path.native().size() >= sizeof address.sun_path) {
    return fail(fmt::format("'{}' cannot be a socket; allowed: a path of 1 to {} characters",
                            path.string(),
                            sizeof address.sun_path - 1));
  }
  std::memcpy(address.sun_path, path.c_str(), path.native().size());
  return address;
}

Result<Descriptor> new_socket(const std::filesystem::path& path) {
  Descriptor made(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (made.number() < 0) {
    return trouble(path, "no socket");
  }
  return made;
}

const sockaddr* generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

}  // namespace

Descriptor::Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(number_, other.number_);
  return *this;
}

Descriptor::~Descriptor() {
  if (number_ >= 0) {
    close(number_);
  }
}

Result<Descriptor> connect_to(const std::filesystem::path& path) {
  const Result<sockaddr_un> address = address_of(path);
  if (!address) {
    return fail(address.error().message);
  }
  Result<Descriptor> made = new_socket(path);
  if (made && connect(made->number(), generic(*address), sizeof *address) != 0) {
    return trouble(path, "nobody answers on this socket");
  }
  return made;
}

Result<Descriptor> listen_on(const std::filesystem::path& path) {
  const Result<sockaddr_un> address = address_of(path);
  if (!address) {
    return fail(address.error().message);
  }
  struct stat state {};
  if (lstat(path.c_str(), &state) == 0) {
    if (!S_ISSOCK(state.st_mode)) {
      return fail(path.string() + ": exists and is no socket; allowed: a path that is free");
    }
    if (connect_to(path)) {
      return fail(path.string() + ": another powercut listens on this socket");
    }
    unlink(path.c_str());
  }
  Result<Descriptor> made = new_socket(path);
  if (!made) {
    return made;
  }
  // The mode of the unbound socket is that of the file: at no moment could others open it.
  if (fchmod(made->number(), S_IRUSR | S_IWUSR) != 0 ||
      bind(made->number(), generic(*address), sizeof *address) != 0 ||
      listen(made->number(), backlog) != 0) {
    return trouble(path, "cannot listen on this socket");
  }
  return made;
}

}  // namespace faultfs::control
