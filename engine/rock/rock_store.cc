#include "engine/rock/rock_store.h"

#include <bit>

#include <fmt/format.h>

#include "engine/rock/database.h"
#include "engine/rock/store.h"

namespace engine::rock {
namespace {

constexpr std::uint32_t slot_bytes_min = 1024;
constexpr std::uint32_t slot_bytes_max = 1 << 20;
constexpr std::uint64_t slot_count_max = INT32_MAX;

Result<Geometry> geometry_of(const block::Device& device, std::uint32_t slot_bytes) {
  if (slot_bytes < slot_bytes_min || slot_bytes > slot_bytes_max ||
      !std::has_single_bit(slot_bytes)) {
    return fail(Trouble::invalid,
                fmt::format("a slot of {} bytes; allowed: a power of two from {} to {}",
                            slot_bytes,
                            slot_bytes_min,
                            slot_bytes_max));
  }
  const std::uint64_t size_bytes = device.size_bytes();
  if (size_bytes < reserved_bytes + 2 * std::uint64_t{slot_bytes}) {
    return fail(Trouble::invalid,
                fmt::format("a disk of {} bytes is too small: {} for the header and at least two "
                            "slots of {} are needed",
                            size_bytes,
                            reserved_bytes,
                            slot_bytes));
  }
  const std::uint64_t count = (size_bytes - reserved_bytes) / slot_bytes;
  return Geometry{slot_bytes, static_cast<std::uint32_t>(std::min(count, slot_count_max))};
}

std::string unnamed(const Digest& key) {
  return fmt::format("?{:016x}{:016x}", key.high, key.low);
}

}  // namespace

RockStore::RockStore(block::Device& device, const Config& config, Geometry geometry, bool read_only)
    : core_(device, config, geometry, read_only),
      rebuild_(core_),
      space_(core_, rebuild_),
      reader_(core_),
      uploads_(core_, rebuild_, space_),
      updater_(core_, reader_, space_) {}

Status RockStore::open() {
  return begin_life(core_);
}

Status RockStore::may_change() const {
  if (closed_) {
    return fail(Trouble::gone, "the store is closed");
  }
  return core_.read_only ? fail(Trouble::invalid, "the store is open for inspection only")
                         : Status{};
}

Result<UploadId> RockStore::begin_put(std::string_view key,
                                      std::string_view header,
                                      std::uint64_t body_bytes) {
  const Status may = may_change();
  return may ? uploads_.begin(key, header, body_bytes) : tl::unexpected(may.error());
}

Status RockStore::append(UploadId upload, std::span<const std::byte> bytes) {
  const Status may = may_change();
  return may ? uploads_.append(upload, bytes) : may;
}

Status RockStore::commit(UploadId upload) {
  const Status may = may_change();
  return may ? uploads_.commit(upload) : may;
}

Status RockStore::abort(UploadId upload) {
  const Status may = may_change();
  return may ? uploads_.abort(upload) : may;
}

Status RockStore::get(std::string_view key, ByteRange range, GetReply& reply) {
  if (closed_) {
    return fail(Trouble::gone, "the store is closed");
  }
  return reader_.get(key, range, reply);
}

bool RockStore::still(std::string_view key, std::span<const std::uint64_t> parts) {
  const auto number = closed_ ? std::nullopt : core_.find_readable(key_digest(key));
  return number && parts.size() == 2 && core_.entries[*number].write == WriteId{parts[0], parts[1]};
}

Result<bool> RockStore::update_header(std::string_view key, std::string_view header) {
  const Status may = may_change();
  return may ? updater_.update(key, header) : tl::unexpected(may.error());
}

/// Durable when acknowledged: every slot of the key is known (the rebuild is finished first),
/// invalidated, and behind a barrier. Without durable invalidation it happens in memory only.
Result<bool> RockStore::purge(std::string_view key) {
  Status done = may_change();
  const bool durable = core_.gates.on(Gate::durable_invalidation);
  if (done && durable) {
    done = rebuild_.finish();
  }
  if (!done) {
    return tl::unexpected(done.error());
  }
  const auto number = core_.find_readable(key_digest(key));
  if (number) {
    ++core_.counters.purges;
    done = core_.free_chain(core_.entries[*number], UnitUse::Kind::entry, *number);
    core_.drop_entry(*number, EntryState::retired);
  }
  // Without an entry too: an eviction or an overwrite of it may not be durable yet.
  if (done && durable && core_.dirty()) {
    done = core_.flush();
  }
  return done ? Result<bool>(number.has_value()) : tl::unexpected(done.error());
}

/// As many purges as there are objects, and one barrier. Without durable invalidation too the
/// rebuild is finished first: what it finds later would be there again.
Status RockStore::purge_all() {
  Status done = may_change();
  done = done ? rebuild_.finish() : done;
  for (std::uint32_t number = 0; done && number < core_.entries.size(); ++number) {
    if (core_.entries[number].state == EntryState::readable) {
      done = core_.free_chain(core_.entries[number], UnitUse::Kind::entry, number);
      core_.drop_entry(number, EntryState::retired);
    }
  }
  if (done && core_.gates.on(Gate::durable_invalidation) && core_.dirty()) {
    done = core_.flush();
  }
  core_.counters.purges_of_all += done ? 1 : 0;
  return done;
}

/// An older version that the rebuild has not met yet would contradict what is made durable here.
Status RockStore::sync() {
  Status done = may_change();
  if (done && core_.gates.on(Gate::durable_invalidation)) {
    done = rebuild_.finish();
  }
  return done ? core_.flush() : done;
}

Result<bool> RockStore::ticks(std::uint64_t slices) {
  if (closed_) {
    return fail(Trouble::gone, "the store is closed");
  }
  const Status done = rebuild_.step(slices);
  return done ? Result<bool>(core_.rebuilding) : tl::unexpected(done.error());
}

Status RockStore::close() {
  if (closed_ || core_.read_only) {
    closed_ = true;
    return {};
  }
  const Status aborted = uploads_.abort_all();
  const Status flushed = core_.flush();
  closed_ = true;
  return aborted ? flushed : aborted;
}

Inspection RockStore::inspect() const {
  Inspection view;
  std::vector<std::uint64_t> position(core_.entries.size());
  for (std::size_t number = 0; number < core_.entries.size(); ++number) {
    const Entry& entry = core_.entries[number];
    if (entry.state != EntryState::readable) {
      continue;
    }
    position[number] = view.entries.size();
    EntryUse& use = view.entries.emplace_back();
    use.key = entry.text.empty() ? unnamed(entry.key) : entry.text;
    use.write_id = entry.write.order;
    use.body_bytes = entry.body_bytes;
    std::int32_t slot = entry.first;
    for (std::uint32_t place = 0; place < entry.slot_count && slot != no_slot; ++place) {
      use.units.push_back(static_cast<std::uint32_t>(slot));
      slot = core_.slots[static_cast<std::uint32_t>(slot)].next;
    }
  }
  for (const SlotUse& slot : core_.slots) {
    UnitUse use{slot.kind, slot.owner};
    if (use.kind == UnitUse::Kind::entry) {
      const bool readable = core_.entries[slot.owner].state == EntryState::readable;
      use = readable ? UnitUse{use.kind, position[slot.owner]}
                     : UnitUse{UnitUse::Kind::quarantine, 0};  // found, not proven yet
    }
    view.units.push_back(use);
  }
  return view;
}

Stats RockStore::stats() const {
  const Counters& counters = core_.counters;
  Stats stats;
  stats.refusals = core_.gates.refusals();
  stats.recovery = rebuild_.report();
  stats.counters = {{"puts", counters.puts},
                    {"aborts", counters.aborts},
                    {"gets", counters.gets},
                    {"hits", counters.hits},
                    {"misses", counters.misses},
                    {"updates", counters.updates},
                    {"purges", counters.purges},
                    {"purges_of_all", counters.purges_of_all},
                    {"evictions", counters.evictions},
                    {"barriers", counters.barriers},
                    {"invalidations", counters.invalidations},
                    {"slot_reads", counters.slot_reads},
                    {"slot_writes", counters.slot_writes},
                    {"unreadable_slots", counters.unreadable_slots}};
  return stats;
}

Result<std::unique_ptr<RockStore>> make_store(block::Device& device,
                                              const Config& config,
                                              bool read_only) {
  const auto geometry = geometry_of(device, config.slot_bytes);
  if (!geometry) {
    return tl::unexpected(geometry.error());
  }
  auto store = std::make_unique<RockStore>(device, config, *geometry, read_only);
  const Status opened = store->open();
  if (!opened) {
    return tl::unexpected(opened.error());
  }
  return store;
}

Result<std::unique_ptr<Store>> open_store(block::Device& device, const Config& config) {
  auto store = make_store(device, config, false);
  return store ? Result<std::unique_ptr<Store>>(std::move(*store)) : tl::unexpected(store.error());
}

Result<std::unique_ptr<Store>> open_for_inspection(block::Device& device, const Config& config) {
  auto store = make_store(device, config, true);
  return store ? Result<std::unique_ptr<Store>>(std::move(*store)) : tl::unexpected(store.error());
}

}  // namespace engine::rock
