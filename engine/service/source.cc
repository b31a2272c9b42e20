#include "engine/service/source.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include <fmt/format.h>

#include "engine/cyclone/store.h"
#include "engine/rock/check.h"
#include "engine/rock/store.h"
#include "engine/service/client.h"

namespace engine::service {
namespace {

Result<std::unique_ptr<Store>> connect(const std::filesystem::path& file) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string& path = file.native();
  if (path.size() >= sizeof address.sun_path) {
    return fail(Trouble::invalid, fmt::format("the socket path {} is too long", path));
  }
  path.copy(static_cast<char*>(address.sun_path), path.size());
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket < 0 ||
      ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const std::string why = std::generic_category().message(errno);
    ::close(socket);
    return fail(Trouble::lost, fmt::format("no engine answers at {}: {}", path, why));
  }
  return connect_client(socket);
}

Status recover_all(Store& store, block::OpenMode mode) {
  Result<bool> more = true;
  while (!more || *more) {
    more = store.tick();
    if (!more && mode == block::OpenMode::read_write) {
      return tl::unexpected(more.error());
    }
  }
  return {};
}

Result<Opened> open_cyclone(std::unique_ptr<block::Device> device, block::OpenMode mode) {
  StoreWords words;
  words.store = "cyclone";
  auto config = make_cyclone_config(words);
  const Status adopted = config ? cyclone::adopt_span(*device, *config) : Status{};
  if (!config || !adopted) {
    return tl::unexpected(config ? adopted.error() : config.error());
  }
  auto store = mode == block::OpenMode::read_only ? cyclone::open_for_inspection(*device, *config)
                                                  : cyclone::open_store(*device, *config);
  if (!store) {
    return tl::unexpected(store.error());
  }
  const Status recovered = recover_all(**store, mode);
  if (!recovered) {
    return tl::unexpected(recovered.error());
  }
  return Opened{std::move(device), std::move(*store), {}, true};
}

Result<Opened> open_disk(const Source& source, block::OpenMode mode) {
  auto device = block::open_file_device(source.disk, mode);
  if (!device) {
    return tl::unexpected(device.error());
  }
  if (cyclone::is_span(**device)) {
    return open_cyclone(std::move(*device), mode);
  }
  const auto slot_bytes =
      source.slot.empty() ? rock::slot_bytes_of(**device) : parse_slot_size(source.slot);
  if (!slot_bytes) {
    return tl::unexpected(slot_bytes.error());
  }
  StoreWords words;
  words.slot = std::to_string(*slot_bytes);
  const auto config = make_config(words);
  if (!config) {
    return tl::unexpected(config.error());
  }
  auto store = mode == block::OpenMode::read_only ? rock::open_for_inspection(**device, *config)
                                                  : rock::open_store(**device, *config);
  if (!store) {
    return tl::unexpected(store.error());
  }
  const Status recovered = recover_all(**store, mode);
  if (!recovered) {
    return tl::unexpected(recovered.error());
  }
  return Opened{std::move(*device), std::move(*store), *config};
}

}  // namespace

Result<Opened> open_source(const Source& source, block::OpenMode mode) {
  if (source.disk.empty() == source.socket.empty()) {
    return fail(Trouble::invalid,
                "say what to look at: either --disk FILE (not in use) or --socket PATH (running)");
  }
  if (!source.disk.empty()) {
    return open_disk(source, mode);
  }
  auto store = connect(source.socket);
  if (!store) {
    return tl::unexpected(store.error());
  }
  return Opened{nullptr, std::move(*store), {}};
}

}  // namespace engine::service
