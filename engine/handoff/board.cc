#include "engine/handoff/board.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <sstream>
#include <thread>

#include <fmt/format.h>

#include "engine/cyclone/shared_format.h"
#include "engine/restart/config.h"
#include "engine/restart/layout.h"

namespace engine::handoff {

/// Laid over the object's bytes; all zeros at first.
struct BoardLayout {
  static constexpr std::size_t socket_bytes = 108;
  struct Place {
    std::atomic<std::uint32_t> process;
    std::uint32_t unused;
    std::uint64_t started;
    DiskIdentity disk;
    std::array<char, socket_bytes> socket;
  };
  std::array<char, 8> magic;
  std::uint32_t schema;
  std::atomic<std::uint32_t> writer;
  std::uint64_t abi_hash;
  std::array<Place, 2> places;
  std::atomic<std::uint64_t> handoffs, takeovers;
  std::array<cyclone::LiveStripe, cyclone::stripe_count_max> live;
};

namespace {

using restart::Access;

constexpr std::array<char, 8> board_magic = {'P', 'C', 'U', 'T', 'B', 'R', 'D', '\0'};
constexpr std::uint32_t board_schema = 1;

std::uint64_t board_abi() {
  std::vector<std::string> facts = cyclone::shared_format_facts();
  facts.push_back(
      fmt::format("board {} of {} stripes", sizeof(BoardLayout), sizeof(cyclone::LiveStripe)));
  return restart::abi_hash(facts);
}

/// In ticks since the machine started; 0: there is no such process. See proc(5), stat, field 22.
std::uint64_t start_of(std::uint32_t process) {
  constexpr int fields_before = 19;  // from the one behind the name to the start
  std::ifstream in(fmt::format("/proc/{}/stat", process));
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) {
    return 0;
  }
  std::istringstream rest(text.substr(name_end + 1));
  std::string skipped;
  for (int n = 0; n < fields_before; ++n) {
    rest >> skipped;
  }
  std::uint64_t start = 0;
  rest >> start;
  return start;
}

bool lives(const BoardLayout::Place& place) {
  const std::uint32_t process = place.process.load();
  return process != 0 && place.started != 0 && start_of(process) == place.started;
}

std::optional<Instance> instance_at(const BoardLayout& layout, std::size_t number) {
  const BoardLayout::Place& place = layout.places.at(number);
  if (!lives(place)) {
    return std::nullopt;
  }
  const auto end = std::find(place.socket.begin(), place.socket.end(), '\0');
  return Instance{
      place.process.load(), {place.socket.begin(), end}, layout.writer.load() == number + 1};
}

Result<std::string> board_name(std::string_view prefix_word) {
  const auto prefix = restart::frame_prefix(prefix_word);
  return prefix ? Result<std::string>(*prefix + "board") : tl::unexpected(prefix.error());
}

tl::unexpected<Error> system_trouble(const std::string& name, int error_number) {
  return fail(Trouble::device, fmt::format("{}: {}", name, restart::reason(error_number)));
}

/// Why a board of this size and content is none of this build's; empty: it is one.
std::string wrong_with(std::uint64_t size_bytes, const BoardLayout* layout) {
  if (layout == nullptr) {
    return fmt::format("it has {} bytes, this build's has {}", size_bytes, sizeof(BoardLayout));
  }
  const bool ours = layout->magic == board_magic && layout->schema == board_schema &&
                    layout->abi_hash == board_abi();
  return ours ? "" : "it is another build's";
}

/// The object under its lock; no object: somebody else has the lock, or it was just removed.
struct Locked {
  std::unique_ptr<restart::SharedObject> object;
  std::uint64_t size_bytes = 0;
};

Result<Locked> lock_board(restart::SharedMemory& memory, const std::string& name, bool create) {
  auto object = memory.open(name, Access::read_write);
  if (!object && object.error() == ENOENT && create) {
    object = memory.create(name);
    if (!object && object.error() == EEXIST) {
      return Locked{};
    }
  }
  if (!object) {
    return system_trouble(name, object.error());
  }
  if ((*object)->lock() == restart::LockAnswer::held || (*object)->unlinked()) {
    return Locked{};
  }
  const auto size_bytes = (*object)->size_bytes();
  if (!size_bytes) {
    return system_trouble(name, size_bytes.error());
  }
  return Locked{std::move(*object), *size_bytes};
}

/// By a descriptor of its own: a mapping keeps the lock of the one it was made with.
restart::SystemResult<std::unique_ptr<restart::Mapping>> map_board(restart::SharedMemory& memory,
                                                                   const std::string& name) {
  const auto object = memory.open(name, Access::read_write);
  return object ? (*object)->map(sizeof(BoardLayout), Access::read_write)
                : tl::unexpected(object.error());
}

/// Tries for some seconds; whoever has the lock needs it for a moment only.
template <typename Try>
Status patiently(const std::string& name, const Try& attempt) {
  constexpr int attempts = 500;
  constexpr std::chrono::milliseconds pause{10};
  for (int n = 0; n < attempts; ++n) {
    const Result<bool> done = attempt();
    if (!done || *done) {
      return done ? Status{} : tl::unexpected(done.error());
    }
    std::this_thread::sleep_for(pause);  // pause: another process has the lock for a moment
  }
  return fail(Trouble::busy, fmt::format("{} stays locked by another process", name));
}

}  // namespace

Result<DiskIdentity> identify_disk(const std::filesystem::path& file) {
  struct stat facts = {};
  if (::stat(file.c_str(), &facts) != 0) {
    return fail(Trouble::device,
                fmt::format("cannot open {}: {}", file.string(), restart::reason(errno)));
  }
  return S_ISBLK(facts.st_mode) ? DiskIdentity{0, facts.st_rdev}
                                : DiskIdentity{facts.st_dev, facts.st_ino};
}

Board::Board(restart::SharedMemory& memory, std::string name)
    : memory_(memory), name_(std::move(name)) {}

/// False: not now.
Result<bool> Board::try_join(const DiskIdentity& disk, std::string_view socket) {
  auto locked = lock_board(memory_, name_, true);
  if (!locked || !locked->object) {
    return locked ? Result<bool>(false) : tl::unexpected(locked.error());
  }
  restart::SharedObject& object = *locked->object;
  const bool fresh = locked->size_bytes == 0;
  if (fresh) {
    const auto sized = object.resize(sizeof(BoardLayout), true);
    if (!sized) {
      static_cast<void>(memory_.unlink(name_));
      return system_trouble(name_, sized.error());
    }
  }
  const bool sized = fresh || locked->size_bytes == sizeof(BoardLayout);
  auto mapping = sized ? map_board(memory_, name_)
                       : restart::SystemResult<std::unique_ptr<restart::Mapping>>(nullptr);
  if (!mapping) {
    return system_trouble(name_, mapping.error());
  }
  auto* const layout =
      *mapping ? reinterpret_cast<BoardLayout*>((*mapping)->bytes().data()) : nullptr;
  if (fresh) {
    layout->magic = board_magic;
    layout->schema = board_schema;
    layout->abi_hash = board_abi();
  }
  const std::string wrong = wrong_with(locked->size_bytes, layout);
  if (!wrong.empty()) {
    const bool somebody = layout != nullptr && layout->magic == board_magic &&
                          std::any_of(layout->places.begin(), layout->places.end(), lives);
    if (somebody) {
      return fail(Trouble::busy, fmt::format("{}: {}, and an instance lives there", name_, wrong));
    }
    static_cast<void>(memory_.unlink(name_));
    return false;
  }
  const auto place = std::find_if_not(layout->places.begin(), layout->places.end(), lives);
  if (place == layout->places.end()) {
    return fail(Trouble::busy,
                fmt::format("{}: processes {} and {} cooperate already; allowed: two instances",
                            name_,
                            layout->places[0].process.load(),
                            layout->places[1].process.load()));
  }
  place_ = static_cast<std::size_t>(place - layout->places.begin());
  const BoardLayout::Place& other = layout->places.at(1 - place_);
  if (lives(other) && !(other.disk == disk)) {
    return fail(
        Trouble::busy,
        fmt::format("{}: process {} has another disk; every disk needs a name_prefix of its "
                    "own",
                    name_,
                    other.process.load()));
  }
  if (layout->writer.load() == place_ + 1) {
    layout->writer.store(0);  // it was the dead one
  }
  place->process.store(0);
  place->started = start_of(memory_.own_process());
  place->disk = disk;
  place->socket.fill('\0');
  socket.copy(place->socket.data(), place->socket.size() - 1);
  place->process.store(memory_.own_process());
  layout_ = layout;
  mapping_ = std::move(*mapping);
  return true;
}

Result<std::unique_ptr<Board>> Board::join(restart::SharedMemory& memory,
                                           std::string_view prefix_word,
                                           const DiskIdentity& disk,
                                           std::string_view socket) {
  const auto name = board_name(prefix_word);
  if (!name) {
    return tl::unexpected(name.error());
  }
  std::unique_ptr<Board> board(new Board(memory, *name));
  const Status joined = patiently(*name, [&] { return board->try_join(disk, socket); });
  return joined ? Result<std::unique_ptr<Board>>(std::move(board)) : tl::unexpected(joined.error());
}

Board::~Board() {
  if (layout_ == nullptr) {
    return;
  }
  set_writes(false);
  static_cast<void>(patiently(name_, [this]() -> Result<bool> {
    const auto locked = lock_board(memory_, name_, false);
    if (locked && !locked->object) {
      return false;
    }
    layout_->places.at(place_).process.store(0);
    if (!other() && locked) {
      static_cast<void>(memory_.unlink(name_));
    }
    return true;
  }));
}

std::span<cyclone::LiveStripe> Board::live() const {
  return layout_->live;
}

std::optional<Instance> Board::other() const {
  return instance_at(*layout_, 1 - place_);
}

void Board::set_writes(bool writes) {
  auto own = static_cast<std::uint32_t>(place_ + 1);
  if (writes) {
    layout_->writer.store(own);
  } else {
    layout_->writer.compare_exchange_strong(own, 0);
  }
}

void Board::count_handoff() {
  ++layout_->handoffs;
}

void Board::count_takeover() {
  ++layout_->takeovers;
}

Result<BoardStatus> read_board(restart::SharedMemory& memory, std::string_view prefix_word) {
  const auto name = board_name(prefix_word);
  if (!name) {
    return tl::unexpected(name.error());
  }
  BoardStatus status;
  status.name = *name;
  const auto object = memory.open(*name, Access::read_only);
  if (!object && object.error() == ENOENT) {
    return status;
  }
  const auto size_bytes = object ? (*object)->size_bytes() : tl::unexpected(object.error());
  if (!size_bytes) {
    return system_trouble(*name, size_bytes.error());
  }
  status.exists = true;
  if (*size_bytes != sizeof(BoardLayout)) {
    status.wrong = wrong_with(*size_bytes, nullptr);
    return status;
  }
  const auto mapping = (*object)->map(sizeof(BoardLayout), Access::read_only);
  if (!mapping) {
    return system_trouble(*name, mapping.error());
  }
  const auto& layout = *reinterpret_cast<const BoardLayout*>((*mapping)->bytes().data());
  status.wrong = wrong_with(*size_bytes, &layout);
  if (status.wrong.empty()) {
    for (std::size_t n = 0; n < status.instances.size(); ++n) {
      status.instances.at(n) = instance_at(layout, n);
    }
    status.handoffs = layout.handoffs.load();
    status.takeovers = layout.takeovers.load();
  }
  return status;
}

Result<std::string> remove_board(restart::SharedMemory& memory, std::string_view prefix_word) {
  const auto status = read_board(memory, prefix_word);
  if (!status || !status->exists) {
    return status ? Result<std::string>("") : tl::unexpected(status.error());
  }
  bool removed = false;
  const Status done = patiently(status->name, [&]() -> Result<bool> {
    const auto locked = lock_board(memory, status->name, false);
    if (!locked || !locked->object) {
      return locked ? Result<bool>(false) : tl::unexpected(locked.error());
    }
    const auto now = read_board(memory, prefix_word);
    for (const auto& instance : now ? now->instances : status->instances) {
      if (instance) {
        return fail(
            Trouble::busy,
            fmt::format(
                "process {} lives on {}; it was not removed", instance->process, status->name));
      }
    }
    removed = memory.unlink(status->name).has_value();
    return true;
  });
  return done ? Result<std::string>(removed ? status->name : "") : tl::unexpected(done.error());
}

}  // namespace engine::handoff
