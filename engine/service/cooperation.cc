#include "engine/service/cooperation.h"

#include <fcntl.h>

#include <thread>

#include <fmt/format.h>

#include "engine/block/file_device.h"
#include "engine/cyclone/shared_format.h"
#include "engine/cyclone/store.h"
#include "engine/service/options.h"
#include "engine/volumes/label.h"

namespace engine::service {
namespace {

using Clock = std::chrono::steady_clock;

void log_line(std::string_view line) {
  fmt::print(stderr, "cache-engine: {}\n", line);
}

Result<Descriptor> copy_of(const Descriptor& descriptor) {
  Descriptor copy(::fcntl(descriptor.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy) {
    return fail(Trouble::device, "no descriptor is left");
  }
  return copy;
}

block::Transfer transfer_of(const StoreWords& words) {
  return words.direct ? block::Transfer::direct : block::Transfer::cached;
}

}  // namespace

Cooperation::Cooperation(const DiskWord& disk, const StoreWords& words, handoff::Listener listener)
    : word_(disk),
      words_(std::make_unique<StoreWords>(words)),
      listener_(std::move(listener)),
      next_look_(Clock::now()) {}

Cooperation::~Cooperation() {
  drop_store();
}

Result<std::unique_ptr<Cooperation>> Cooperation::start(const DiskWord& disk,
                                                        const StoreWords& words,
                                                        const std::filesystem::path& socket_file,
                                                        handoff::Watch watch) {
  auto listener = handoff::Listener::open();
  const auto shm = make_shm_config(words);
  const auto identity = handoff::identify_disk(disk.file);
  if (!listener || !shm || !identity) {
    return tl::unexpected(!listener ? listener.error() : shm ? identity.error() : shm.error());
  }
  std::unique_ptr<Cooperation> own(new Cooperation(disk, words, std::move(*listener)));
  own->watch_ = std::move(watch);
  auto board = handoff::Board::join(
      restart::posix_shared_memory(),
      shm->name_prefix,
      *identity,
      socket_file.empty() ? std::string() : std::filesystem::absolute(socket_file).native());
  if (!board) {
    return tl::unexpected(board.error());
  }
  own->board_ = std::move(*board);
  const Status begun = own->begin();
  return begun ? Result<std::unique_ptr<Cooperation>>(std::move(own))
               : tl::unexpected(begun.error());
}

/// The other instance may be about to write, or about to end.
Status Cooperation::begin() {
  constexpr int attempts = 500;
  constexpr std::chrono::milliseconds pause{10};
  Status last;
  for (int n = 0; n < attempts; ++n) {
    auto disk = block::open_disk(word_.file, block::OpenMode::read_write, transfer_of(*words_));
    if (disk) {
      return open_writer(std::move(*disk));
    }
    last = tl::unexpected(disk.error());
    const auto other = board_->other();
    if (disk.error().trouble != Trouble::busy || !other) {
      return last;
    }
    if (other->writes) {
      last = open_reader();
      if (last) {
        return last;
      }
    }
    std::this_thread::sleep_for(pause);  // pause: the other instance is opening its store
  }
  return last;
}

void Cooperation::drop_store() {
  if (board_) {
    board_->set_writes(false);
  }
  store_.reset();
  device_.reset();
  writes_ = false;
}

Status Cooperation::open_writer(Descriptor disk) {
  drop_store();
  disk_ = std::move(disk);
  auto copy = copy_of(disk_);
  auto device =
      copy ? block::make_file_device(
                 std::move(*copy), word_.file, block::OpenMode::read_write, transfer_of(*words_))
           : tl::unexpected(copy.error());
  if (!device) {
    return tl::unexpected(device.error());
  }
  if (const auto label = volumes::find_label(**device); label && *label) {
    return fail(Trouble::invalid,
                fmt::format("{} carries the label of volume {}; allowed: a disk without one",
                            word_.file.string(),
                            (*label)->tag));
  }
  auto store = open_on(**device, word_.id, "", *words_, board_->live());
  if (!store) {
    return tl::unexpected(store.error());
  }
  device_ = std::move(*device);
  store_ = std::move(*store);
  writes_ = true;
  board_->set_writes(true);
  return {};
}

Status Cooperation::open_reader() {
  drop_store();
  disk_.reset();
  auto device =
      block::open_file_device(word_.file, block::OpenMode::read_only, transfer_of(*words_));
  const auto config = make_cyclone_config(*words_);
  if (!device || !config) {
    return tl::unexpected(device ? config.error() : device.error());
  }
  auto store =
      cyclone::follow_store(**device, *config, restart::posix_shared_memory(), board_->live());
  if (!store) {
    return tl::unexpected(store.error());
  }
  device_ = std::move(*device);
  store_ = std::move(*store);
  return {};
}

Result<handoff::Terms> Cooperation::terms() const {
  const auto disk = handoff::identify_disk(word_.file);
  if (!disk || !device_) {
    return disk ? fail(Trouble::gone, "no disk is open") : tl::unexpected(disk.error());
  }
  handoff::Terms terms;
  terms.abi_hash = restart::abi_hash(cyclone::shared_format_facts());
  terms.disk = *disk;
  terms.disk_bytes = device_->size_bytes();
  return terms;
}

void Cooperation::look() {
  if (writes_ || Clock::now() < next_look_) {
    return;
  }
  next_look_ = Clock::now() + look_every;
  auto disk = block::open_disk(word_.file, block::OpenMode::read_write, transfer_of(*words_));
  if (!disk) {
    return;
  }
  const Status opened = open_writer(std::move(*disk));
  if (opened) {
    board_->count_takeover();
    log_line("nobody wrote any more: this instance does from now on");
    return;
  }
  log_line(fmt::format("cannot take the disk over: {}", opened.error().message));
  constexpr int patience = 20;
  next_look_ = Clock::now() + patience * look_every;
  if (const Status back = open_reader(); !back) {
    log_line(back.error().message);
  }
}

/// P's way back: S is dead, or has closed the store.
Error Cooperation::go_back(const Error& why, const std::vector<std::byte>& uploads) {
  Status back = open_writer(std::move(disk_));
  back = back ? store_->resume(uploads) : back;
  if (!back) {
    const Status reads = open_reader();
    return {Trouble::device,
            fmt::format("failed: {}; and this instance {}: {}",
                        why.message,
                        reads ? "only reads now" : "serves nothing",
                        back.error().message)};
  }
  return {why.trouble, fmt::format("revived: {}", why.message)};
}

Result<std::string> Cooperation::hand_over(handoff::Freight& freight,
                                           std::chrono::milliseconds patience) {
  const auto aborted = [](const Error& why) {
    return fail(why.trouble, fmt::format("aborted: {}", why.message));
  };
  const auto other = board_->other();
  const auto own = terms();
  if (!writes_ || !other || !own) {
    return !writes_ ? fail(Trouble::invalid, "aborted: this instance reads; the other one writes")
           : own    ? fail(Trouble::invalid,
                        "aborted: there is no second instance (start one with serve --cooperate)")
                    : aborted(own.error());
  }
  auto link = handoff::Link::connect(static_cast<pid_t>(other->process));
  if (!link) {
    return aborted(link.error());
  }
  handoff::Giver giver(std::move(*link), patience, watch_);
  if (const Status agreed = giver.agree(*own); !agreed) {
    return aborted(agreed.error());
  }
  const auto began = Clock::now();
  giver.freeze();
  auto uploads = store_->pack_uploads();
  if (!uploads) {
    return aborted(uploads.error());
  }
  if (const Status closed = store_->close(); !closed) {
    return tl::unexpected(go_back(closed.error(), *uploads));
  }
  drop_store();
  freight.uploads = *uploads;
  auto lent = copy_of(disk_);
  Status given = lent ? Status{} : tl::unexpected(lent.error());
  if (given) {
    freight.disk = std::move(*lent);
    given = giver.cut_over(freight);
    given = given ? giver.release() : given;
    freight.disk.reset();
  }
  if (!given && giver.fenced()) {
    return tl::unexpected(go_back(given.error(), *uploads));
  }
  const auto stall = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - began);
  board_->count_handoff();
  const Status reads = open_reader();
  if (!given || !reads) {
    return fail(Trouble::device,
                fmt::format("{}; this instance only reads now",
                            given ? reads.error().message : given.error().message));
  }
  return fmt::format(
      "handed over to process {}; nobody was served for {} ms", other->process, stall.count());
}

Result<handoff::Freight> Cooperation::take(handoff::Taker& taker) {
  const auto own = terms();
  const Status agreed = own ? taker.agree(*own) : tl::unexpected(own.error());
  auto freight = agreed ? taker.receive() : tl::unexpected(agreed.error());
  if (!freight) {
    return freight;
  }
  Status opened = open_writer(std::move(freight->disk));
  opened = opened ? store_->resume(freight->uploads) : opened;
  if (!opened) {
    // Closed before it is refused: the other instance opens it again.
    const Status reads = open_reader();
    taker.refuse(reads ? opened.error() : reads.error());
    return tl::unexpected(opened.error());
  }
  taker.serve();
  return freight;
}

std::optional<handoff::Freight> Cooperation::answer() {
  auto link = listener_.accept();
  if (!link || writes_) {
    return std::nullopt;
  }
  handoff::Taker taker(std::move(*link), watch_);
  auto freight = take(taker);
  if (!freight) {
    log_line(fmt::format("no handoff: {}", freight.error().message));
    return std::nullopt;
  }
  return std::move(*freight);
}

}  // namespace engine::service
