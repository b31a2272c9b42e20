// `cache-engine serve`: the disks are opened, the store that the words say on them, what is before
// it, and a server for all that.

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <map>
#include <system_error>

#include <fmt/format.h>

#include "engine/block/file_device.h"
#include "engine/block/whole_blocks.h"
#include "engine/block/window.h"
#include "engine/memory/ram_store.h"
#include "engine/service/cooperation.h"
#include "engine/service/lives.h"
#include "engine/service/options.h"
#include "engine/volumes/volume_store.h"

namespace engine::service {
namespace {

void log_line(std::string_view line) {
  fmt::print(stderr, "cache-engine: {}\n", line);
}

/// Why the disk is not there; nothing where it is, whatever else may be wrong with it.
std::string absence(const std::filesystem::path& file) {
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor >= 0) {
    ::close(descriptor);
    return {};
  }
  constexpr std::array<int, 7> gone = {ENOENT, ENOTDIR, ENXIO, ENODEV, ENOMEDIUM, EIO, ESTALE};
  const int why = errno;
  return std::find(gone.begin(), gone.end(), why) != gone.end()
             ? std::generic_category().message(why)
             : std::string();
}

/// A store, and the disks below it.
struct Served {
  std::vector<std::unique_ptr<block::Device>> disks;
  std::vector<std::unique_ptr<block::Window>> parts;  ///< of those whose size was said
  std::unique_ptr<Store> store;
};

class Opener {
 public:
  Opener(const std::vector<DiskWord>& disks, const StoreWords& words)
      : disks_(disks), words_(words) {}

  [[nodiscard]] Result<Served> open() {
    auto store = words_.store == "memory" ? memory::open_ram_store({})
                 : are_volumes(disks_)    ? open_volumes()
                                          : open_one();
    if (store && !words_.ram_cache.empty()) {
      const auto ram = parse_ram_cache(words_.ram_cache);
      store = ram ? memory::make_ram_cache(std::move(*store), *ram) : tl::unexpected(ram.error());
    }
    if (!store) {
      return tl::unexpected(store.error());
    }
    served_.store = std::move(*store);
    return std::move(served_);
  }

 private:
  using Opened = Result<std::unique_ptr<Store>>;

  [[nodiscard]] Result<block::Device*> open_disk(const DiskWord& disk) {
    auto device =
        block::open_file_device(disk.file,
                                block::OpenMode::read_write,
                                words_.direct ? block::Transfer::direct : block::Transfer::cached);
    if (!device) {
      return tl::unexpected(device.error());
    }
    // A rock writes what it has, not whole blocks.
    const bool parts = words_.store == "rock" && (*device)->write_block_bytes() > 1;
    served_.disks.push_back(parts ? std::make_unique<block::WholeBlocks>(std::move(*device))
                                  : std::move(*device));
    block::Device& whole = *served_.disks.back();
    if (disk.size_bytes == 0) {
      return &whole;
    }
    if (disk.size_bytes > whole.size_bytes()) {
      return fail(Trouble::invalid,
                  fmt::format("disk {} has {} bytes, and size={} was said",
                              disk.file.string(),
                              whole.size_bytes(),
                              disk.size_bytes));
    }
    served_.parts.push_back(std::make_unique<block::Window>(whole, 0, disk.size_bytes));
    return served_.parts.back().get();
  }

  [[nodiscard]] Opened open_one() {
    const DiskWord& disk = disks_.front();
    const auto device = open_disk(disk);
    if (!device) {
      return tl::unexpected(device.error());
    }
    const auto label = volumes::find_label(**device);
    if (label && *label) {
      return fail(Trouble::invalid,
                  fmt::format("{} carries the label of volume {}: serve it as {}:volume={}, or "
                              "erase its first {} bytes",
                              disk.file.string(),
                              (*label)->tag,
                              disk.file.string(),
                              (*label)->tag,
                              volumes::label_bytes));
    }
    return open_on(**device, disk.id, "", words_);
  }

  [[nodiscard]] Opened open_volumes() {
    const auto tagged = tagged_disks();
    if (!tagged) {
      return tl::unexpected(tagged.error());
    }
    const auto hosting = make_hosting(words_, disks_);
    const auto seed = make_seed(words_);
    if (!hosting || !seed) {
      return tl::unexpected(hosting ? seed.error() : hosting.error());
    }
    volumes::VolumeConfig config;
    config.hosting = *hosting;
    if (!words_.key_mode.empty()) {
      const auto mode = volumes::find_key_mode(words_.key_mode);
      config.key_mode = mode.value_or(config.key_mode);
    }
    config.store_facts = store_facts(words_.store);
    config.seed = *seed;
    config.log = log_line;
    return volumes::open_volumes(*tagged, config, [&](const volumes::DiskPart& part) {
      const auto same = [&part](const DiskWord& each) { return each.id == part.name; };
      const auto at = std::find_if(disks_.begin(), disks_.end(), same) - disks_.begin();
      StoreWords words = words_;
      words.hosting.clear();
      words.seed = std::to_string(part.seed);
      for (std::string& pin : words.pins) {
        pin.insert(0, part.key_prefix);
      }
      return open_on(part.device, part.name, fmt::format(".{}", at + 1), words);
    });
  }

  /// A disk that is not there is one of its volume all the same.
  [[nodiscard]] Result<std::vector<volumes::TaggedDisk>> tagged_disks() {
    std::vector<volumes::TaggedDisk> tagged;
    for (const DiskWord& word : disks_) {
      volumes::TaggedDisk disk;
      disk.name = word.id;
      disk.tag = word.volume;
      disk.share_bytes = word.size_bytes;
      disk.trouble = absence(word.file);
      if (disk.trouble.empty()) {
        const auto device = open_disk(word);
        if (!device) {
          return tl::unexpected(device.error());
        }
        disk.device = *device;
        disk.share_bytes = (*device)->size_bytes();
      }
      tagged.push_back(std::move(disk));
    }
    return tagged;
  }

  const std::vector<DiskWord>& disks_;
  const StoreWords& words_;
  Served served_;
};

/// `words`: checked.
int serve_disks(const std::vector<DiskWord>& disks,
                const StoreWords& words,
                const ServerOptions& options) {
  auto served = Opener(disks, words).open();
  if (!served) {
    return complain(served.error());
  }
  ServerOptions server = options;
  if (words.reopens) {
    server.reopen = [&](std::uint64_t seed, std::uint32_t slot_bytes) -> Result<Store*> {
      // The locks of the old descriptors have to go before the new ones are locked.
      served->store.reset();
      *served = Served{};
      StoreWords next = words;
      next.seed = std::to_string(seed);
      next.slot = std::to_string(slot_bytes);
      auto again = Opener(disks, next).open();
      if (!again) {
        return tl::unexpected(again.error());
      }
      *served = std::move(*again);
      return served->store.get();
    };
  }
  const Status ended = serve(*served->store, server);
  return ended ? exit_ok : complain(ended.error());
}

/// Where a process that tests a handoff is to end, or to be stopped.
Result<handoff::Watch> make_watch(const StoreWords& words) {
  std::map<handoff::Step, int> signals;
  for (const auto& [word, signal] :
       {std::pair(words.ends_at, SIGKILL), std::pair(words.stops_at, SIGSTOP)}) {
    if (!word.empty()) {
      const auto step = handoff::find_step(word);
      if (!step) {
        return tl::unexpected(step.error());
      }
      signals[*step] = signal;
    }
  }
  return [signals](handoff::Step step) {
    if (const auto at = signals.find(step); at != signals.end()) {
      ::raise(at->second);
    }
  };
}

/// `words`: checked.
int serve_cooperating(const DiskWord& disk, const StoreWords& words, const ServerOptions& options) {
  auto watch = make_watch(words);
  auto own = watch ? Cooperation::start(disk, words, options.socket_file, std::move(*watch))
                   : tl::unexpected(watch.error());
  if (!own) {
    return complain(own.error());
  }
  log_line((*own)->writes() ? "writes" : "reads what the other instance writes");
  ServerOptions server = options;
  server.cooperation = own->get();
  const Status ended = serve(*(*own)->store(), server);
  return ended ? exit_ok : complain(ended.error());
}

}  // namespace

int complain(const Error& error) {
  fmt::print(stderr, "cache-engine: {}\n", error.message);
  return error.trouble == Trouble::invalid ? exit_usage : exit_trouble;
}

int serve_command(const std::vector<std::string>& disks,
                  const StoreWords& words,
                  const ServerOptions& options) {
  const auto read = parse_disks(disks);
  if (!read) {
    return complain(read.error());
  }
  if (const Status known = check_words(words, *read); !known) {
    return complain(known.error());
  }
  // A store that nobody can reach must not begin a life.
  if (const Status reachable = check(options); !reachable) {
    return complain(reachable.error());
  }
  if (words.cooperates) {
    return serve_cooperating(read->front(), words, options);
  }
  if (!words.forks) {
    return serve_disks(*read, words, options);
  }
  const auto life = wait_for_life(options.socket);
  if (!life) {
    return exit_ok;
  }
  StoreWords own = words;
  own.forks = false;
  own.seed = std::to_string(life->seed);
  own.slot = std::to_string(life->slot_bytes);
  ServerOptions server = options;
  server.socket = life->socket;
  return serve_disks(*read, own, server);
}

}  // namespace engine::service
