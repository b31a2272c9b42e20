#include "engine/restart/control.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <optional>

#include <fmt/format.h>

#include "engine/restart/purge.h"

namespace engine::restart {
namespace {

constexpr std::string_view left_alone = "no shared memory in this run; objects left as they are";

/// A refusal of the segment's content.
struct Refusal {
  Gate gate;
  std::string line;
};

class ControlOpener {
 public:
  ControlOpener(SharedMemory& memory, const StartRequest& request, std::string prefix, Gates& gates)
      : memory_(memory),
        prefix_(std::move(prefix)),
        name_(control_name(prefix_)),
        own_abi_(abi_hash(request.format_facts)),
        own_storage_(storage_signature(request.spans)),
        gates_(gates) {}

  ControlOpening open() {
    auto opened = memory_.open(name_, Access::read_write);
    if (!opened) {
      return opened.error() == ENOENT ? create() : unusable("opened", opened.error());
    }
    object_ = std::move(*opened);
    if (const auto failure = map_what_is_there()) {
      return unusable("mapped", *failure);
    }
    if (const auto refusal = somebody_else()) {
      gates_.refuse(refusal->gate, refusal->line);
      return {};
    }
    if (const auto refusal = content()) {
      gates_.refuse(refusal->gate, refusal->line);
      drop_all(refusal->gate);
      return create();
    }
    return adopt();
  }

 private:
  [[nodiscard]] bool own_size() const { return size_bytes_ == control_bytes; }
  [[nodiscard]] Control& control() const {
    return *reinterpret_cast<Control*>(mapping_->bytes().data());
  }

  ControlOpening unusable(std::string_view doing, int error_number) {
    gates_.refuse(
        Gate::control_open,
        fmt::format("{} cannot be {}: {}; {}", name_, doing, reason(error_number), left_alone));
    return {};
  }

  /// Maps the segment where it has this build's size, of any other at most the frozen bytes.
  std::optional<int> map_what_is_there() {
    const auto size_bytes = object_->size_bytes();
    if (!size_bytes) {
      return size_bytes.error();
    }
    size_bytes_ = *size_bytes;
    if (size_bytes_ < frozen_bytes) {
      return std::nullopt;
    }
    auto mapping = object_->map(own_size() ? control_bytes : frozen_bytes,
                                own_size() ? Access::read_write : Access::read_only);
    if (!mapping) {
      return mapping.error();
    }
    mapping_ = std::move(*mapping);
    std::memcpy(&frozen_, mapping_->bytes().data(), sizeof frozen_);
    return std::nullopt;
  }

  std::optional<Refusal> somebody_else() {
    const LockAnswer lock = object_->lock();
    if (lock == LockAnswer::held && gates_.on(Gate::control_lock)) {
      return Refusal{Gate::control_lock, fmt::format("{} has a live owner; {}", name_, left_alone)};
    }
    // An owner id is looked at only where no lock can tell: an id may have been given away since.
    const bool named = mapping_ && frozen_.magic == control_magic && frozen_.owner != 0;
    if (lock == LockAnswer::unsupported && named && frozen_.owner != memory_.own_process() &&
        memory_.alive(frozen_.owner) && gates_.on(Gate::control_owner)) {
      return Refusal{
          Gate::control_owner,
          fmt::format("{} has a live owner, process {}; {}", name_, frozen_.owner, left_alone)};
    }
    if (object_->unlinked()) {
      return Refusal{Gate::control_race,
                     fmt::format("{} was replaced by another start; {}", name_, left_alone)};
    }
    return std::nullopt;
  }

  std::optional<Refusal> content() {
    if (!own_size()) {
      return Refusal{Gate::control_size,
                     fmt::format("{} is {} bytes, not this build's {}; dropping all images",
                                 name_,
                                 size_bytes_,
                                 control_bytes)};
    }
    const auto refused = [this](Gate gate, bool bad) { return bad && gates_.on(gate); };
    if (refused(Gate::control_magic, frozen_.magic != control_magic)) {
      return Refusal{Gate::control_magic,
                     fmt::format("{} is not this build's: bad magic; dropping all images", name_)};
    }
    if (refused(Gate::control_schema, frozen_.schema != schema_version)) {
      return Refusal{
          Gate::control_schema,
          fmt::format("schema mismatch: {} has {}, this build has {}; dropping all images",
                      name_,
                      frozen_.schema,
                      schema_version)};
    }
    if (refused(Gate::control_abi, frozen_.abi_hash != own_abi_)) {
      return Refusal{Gate::control_abi,
                     fmt::format("ABI mismatch: {} has {:016x}, this build has {:016x}; dropping "
                                 "all images",
                                 name_,
                                 frozen_.abi_hash,
                                 own_abi_)};
    }
    if (refused(Gate::control_clean, frozen_.clean != 1)) {
      return Refusal{Gate::control_clean,
                     fmt::format("previous run did not shutdown cleanly: {} has no clean mark; "
                                 "dropping all images",
                                 name_)};
    }
    if (refused(
            Gate::control_table,
            frozen_.rows_used > row_count || control().table_digest != table_digest(control()))) {
      return Refusal{
          Gate::control_table,
          fmt::format("the table of {} changed after its clean mark; dropping all images", name_)};
    }
    return std::nullopt;
  }

  void drop_all(Gate gate) {
    PurgeReport report;
    const bool names_known = gate == Gate::control_clean || gate == Gate::control_table;
    if (names_known) {
      remove_rows(memory_, prefix_, control(), report);
    }
    if (!names_known || gate == Gate::control_table) {
      sweep_names(memory_, prefix_, report);
    }
    remove_object(memory_, name_, report);
    for (const std::string& failure : report.failures) {
      gates_.note(failure);
    }
    mapping_.reset();
    object_.reset();
  }

  ControlOpening create() {
    gates_.note(fmt::format("creating fresh control segment {}", name_));
    auto created = memory_.create(name_);
    if (!created) {
      return created.error() == EEXIST ? lost_race() : unusable("created", created.error());
    }
    object_ = std::move(*created);
    if (object_->lock() == LockAnswer::held || object_->unlinked()) {
      return lost_race();
    }
    const auto resized = object_->resize(control_bytes, true);
    auto mapping = resized
                       ? object_->map(control_bytes, Access::read_write)
                       : SystemResult<std::unique_ptr<Mapping>>(tl::unexpected(resized.error()));
    if (!mapping) {
      static_cast<void>(memory_.unlink(name_));
      return unusable("created", mapping.error());
    }
    mapping_ = std::move(*mapping);
    Control& fresh = control();
    fresh.frozen.schema = schema_version;
    fresh.frozen.abi_hash = own_abi_;
    fresh.frozen.storage_signature = own_storage_;
    fresh.frozen.owner = memory_.own_process();
    fresh.frozen.magic = control_magic;
    mapping_->settle();
    return {Mode::fresh, prefix_, std::move(object_), std::move(mapping_)};
  }

  ControlOpening lost_race() {
    gates_.refuse(Gate::control_race,
                  fmt::format("{} was made by another start meanwhile; {}", name_, left_alone));
    return {};
  }

  ControlOpening adopt() {
    Control& adopted = control();
    // Before anything else: from here on a kill leaves a segment that nobody attaches.
    store_clean(adopted, false);
    const bool changed = adopted.frozen.storage_signature != own_storage_;
    adopted.frozen.storage_signature = own_storage_;
    adopted.frozen.owner = memory_.own_process();
    adopted.frozen.rows_used = std::min<std::uint32_t>(adopted.frozen.rows_used, row_count);
    mapping_->settle();
    gates_.note(fmt::format("attaching up to {} stripes (fast restart{})",
                            adopted.frozen.rows_used,
                            changed ? ", partial: the storage has changed" : ""));
    return {Mode::attaching, prefix_, std::move(object_), std::move(mapping_)};
  }

  SharedMemory& memory_;
  std::string prefix_;
  std::string name_;
  std::uint64_t own_abi_;
  std::uint64_t own_storage_;
  Gates& gates_;
  std::unique_ptr<SharedObject> object_;
  std::unique_ptr<Mapping> mapping_;
  std::uint64_t size_bytes_ = 0;
  Frozen frozen_;
};

void purge_stale(SharedMemory& memory, const Config& config, Gates& gates) {
  const auto purged = purge(memory, config.name_prefix, gates);
  gates.note(purged ? fmt::format("disabled; purged {} stale objects", purged->removed.size())
                    : fmt::format("disabled; nothing purged: {}", purged.error().message));
}

}  // namespace

std::string_view mode_name(Mode mode) {
  constexpr std::array<std::string_view, 3> names = {"disabled", "fresh", "attaching"};
  return names.at(static_cast<std::size_t>(mode));
}

void store_clean(Control& control, bool clean) {
  // Release: whoever sees the mark sees every store before it; and none moves up before its
  // removal.
  std::atomic_ref(control.frozen.clean).store(clean ? 1 : 0, std::memory_order_seq_cst);
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

ControlOpening open_control(SharedMemory& memory, const StartRequest& request, Gates& gates) {
  if (!request.config.enabled) {
    if (request.config.purge_stale_on_start) {
      purge_stale(memory, request.config, gates);
    }
    return {};
  }
  auto prefix = frame_prefix(request.config.name_prefix);
  if (!prefix) {
    gates.refuse(Gate::prefix_name, prefix.error().message + "; no shared memory in this run");
    return {};
  }
  return ControlOpener(memory, request, std::move(*prefix), gates).open();
}

}  // namespace engine::restart
