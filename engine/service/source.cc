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
#include "engine/volumes/volume_store.h"

namespace engine::service {
namespace {

Result<std::unique_ptr<Store>> connect(const std::filesystem::path& file) {
  auto socket = connect_socket(file);
  return socket ? Result<std::unique_ptr<Store>>(connect_client(socket->release()))
                : tl::unexpected(socket.error());
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

Result<std::unique_ptr<Store>> open_cyclone(block::Device& device, block::OpenMode mode) {
  StoreWords words;
  words.store = "cyclone";
  auto config = make_cyclone_config(words);
  const Status adopted = config ? cyclone::adopt_span(device, *config) : Status{};
  if (!config || !adopted) {
    return tl::unexpected(config ? adopted.error() : config.error());
  }
  return mode == block::OpenMode::read_only ? cyclone::open_for_inspection(device, *config)
                                            : cyclone::open_store(device, *config);
}

/// `config`: becomes that of the disk.
Result<std::unique_ptr<Store>> open_rock(block::Device& device,
                                         const std::string& slot,
                                         block::OpenMode mode,
                                         rock::Config& config) {
  const auto slot_bytes = slot.empty() ? rock::slot_bytes_of(device) : parse_slot_size(slot);
  if (!slot_bytes) {
    return tl::unexpected(slot_bytes.error());
  }
  StoreWords words;
  words.slot = std::to_string(*slot_bytes);
  const auto made = make_config(words);
  if (!made) {
    return tl::unexpected(made.error());
  }
  config = *made;
  return mode == block::OpenMode::read_only ? rock::open_for_inspection(device, config)
                                            : rock::open_store(device, config);
}

Result<Opened> open_disk(const Source& source, block::OpenMode mode) {
  const auto word = parse_disk(source.disk.string());
  if (!word) {
    return tl::unexpected(word.error());
  }
  auto disk = block::open_file_device(word->file, mode);
  if (!disk) {
    return tl::unexpected(disk.error());
  }
  Opened opened;
  opened.disk = std::move(*disk);
  auto label = volumes::find_label(*opened.disk);
  if (!label) {
    return fail(label.error().trouble,
                fmt::format("{}: {}", word->file.string(), label.error().message));
  }
  opened.label = *label;
  const std::uint64_t begin = opened.label ? volumes::label_bytes : 0;
  const std::uint64_t end = word->size_bytes == 0 ? opened.disk->size_bytes() : word->size_bytes;
  if (end > opened.disk->size_bytes()) {
    return fail(Trouble::invalid,
                fmt::format("disk {} has {} bytes, and size={} was said",
                            word->file.string(),
                            opened.disk->size_bytes(),
                            end));
  }
  if (opened.label || word->size_bytes != 0) {
    opened.behind = std::make_unique<block::Window>(*opened.disk, begin, end - begin);
  }
  opened.cyclone = cyclone::is_span(*opened.device());
  auto store = opened.cyclone ? open_cyclone(*opened.device(), mode)
                              : open_rock(*opened.device(), source.slot, mode, opened.config);
  if (!store) {
    return tl::unexpected(store.error());
  }
  opened.store = std::move(*store);
  const Status recovered = recover_all(*opened.store, mode);
  if (!recovered) {
    return tl::unexpected(recovered.error());
  }
  if (opened.label) {
    opened.store =
        volumes::behind_label(std::move(opened.store), *opened.label, word->file.string());
  }
  return opened;
}

}  // namespace

Result<Descriptor> connect_socket(const std::filesystem::path& file) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string& path = file.native();
  if (path.size() >= sizeof address.sun_path) {
    return fail(Trouble::invalid, fmt::format("the socket path {} is too long", path));
  }
  path.copy(static_cast<char*>(address.sun_path), path.size());
  Descriptor socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket ||
      ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return fail(
        Trouble::lost,
        fmt::format("no engine answers at {}: {}", path, std::generic_category().message(errno)));
  }
  return socket;
}

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
  Opened opened;
  opened.store = std::move(*store);
  return opened;
}

}  // namespace engine::service
