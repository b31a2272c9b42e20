#include "engine/service/cache_engine.h"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "engine/alternate.h"
#include "engine/rock/check.h"
#include "engine/service/c_calls.h"
#include "engine/service/source.h"

struct cache_engine {
  engine::service::Source source;
  engine::service::Opened opened;
  std::string resume;
  engine::GetReply reply;
};

namespace {

using engine::DiskUse;
using engine::EntryUse;
using engine::Inspection;
using engine::UnitUse;
using engine::service::c_not_so;
using engine::service::c_trouble;
using engine::service::guarded;

int open(const engine::service::Source& source, cache_engine** engine) {
  return guarded([&] {
    *engine = nullptr;
    auto opened = engine::service::inspect_source(source);
    if (!opened) {
      return c_trouble(opened.error());
    }
    *engine = opened->release();
    return int{CACHE_ENGINE_OK};
  });
}

/// The disk that has `unit`; null where the store has no volumes.
const DiskUse* disk_of(const Inspection& view, std::uint64_t unit) {
  const auto has = [unit](const DiskUse& disk) {
    return unit >= disk.first_unit && unit - disk.first_unit < disk.unit_count;
  };
  const auto found = std::find_if(view.disks.begin(), view.disks.end(), has);
  return found == view.disks.end() ? nullptr : &*found;
}

cache_engine_object object_of(const Inspection& view, const EntryUse& entry) {
  const std::uint64_t unit =
      entry.units.empty() ? entry.through.value_or(UINT32_MAX) : entry.units.front();
  const DiskUse* disk = disk_of(view, unit);
  return {entry.key.c_str(),
          entry.write_id,
          entry.body_bytes,
          entry.units.data(),
          entry.units.size(),
          disk != nullptr ? disk->name.c_str() : nullptr,
          disk != nullptr ? disk->volume : 0,
          entry.through ? *entry.through : UINT64_MAX};
}

/// True where the head that `entry` is found through is the first unit of an alternate of the same
/// object.
bool shares_a_head(const Inspection& view, const EntryUse& entry) {
  if (*entry.through >= view.units.size()) {
    return false;
  }
  const UnitUse& unit = view.units[*entry.through];
  if (unit.kind != UnitUse::Kind::entry || unit.entry >= view.entries.size()) {
    return false;
  }
  const EntryUse& first = view.entries[unit.entry];
  return !first.units.empty() && first.units.front() == *entry.through &&
         engine::object_of(first.key) == engine::object_of(entry.key);
}

const EntryUse* find_entry(const Inspection& view, std::string_view key) {
  const auto found = std::find_if(view.entries.begin(),
                                  view.entries.end(),
                                  [key](const EntryUse& each) { return each.key == key; });
  return found == view.entries.end() ? nullptr : &*found;
}

/// `prefix`: what the label puts before keys.
cache_engine_slot slot_of(const engine::rock::SlotReport& slot, const std::string& prefix) {
  const engine::rock::SlotHeader& header = slot.header;
  return {slot.slot,
          slot.verdict.c_str(),
          slot.gate.empty() ? nullptr : slot.gate.c_str(),
          slot.has_header ? 1 : 0,
          header.state == engine::rock::SlotState::free ? 1 : 0,
          header.write.order,
          header.chain.order,
          header.index,
          header.next,
          header.payload_bytes,
          header.payload_checksum,
          slot.key.empty() ? nullptr
                           : slot.key.c_str() + (slot.key.starts_with(prefix) ? prefix.size() : 0)};
}

const char* use_of(const Inspection& view, const UnitUse& unit) {
  switch (unit.kind) {
    case UnitUse::Kind::free:
      return "free";
    case UnitUse::Kind::entry:
      return unit.entry < view.entries.size() ? "object" : "held";
    case UnitUse::Kind::upload:
      return "upload";
    case UnitUse::Kind::quarantine:
      return "quarantine";
    case UnitUse::Kind::unscanned:
      break;
  }
  return "unscanned";
}

/// One sentence for each thing that is wrong with the structure.
std::vector<std::string> faults_of(const Inspection& view) {
  std::vector<std::uint64_t> owners(view.units.size());
  std::vector<std::string> faults;
  for (const EntryUse& entry : view.entries) {
    for (const std::uint32_t unit : entry.units) {
      if (unit >= owners.size()) {
        faults.push_back(fmt::format("{} names unit {}, which is not there", entry.key, unit));
      } else {
        ++owners[unit];
      }
    }
    if (entry.through && !shares_a_head(view, entry)) {
      faults.push_back(fmt::format(
          "{} is found through unit {}, which no other alternate has", entry.key, *entry.through));
    }
  }
  for (std::size_t unit = 0; unit < owners.size(); ++unit) {
    const bool used = view.units[unit].kind == UnitUse::Kind::entry &&
                      view.units[unit].entry < view.entries.size();
    if (owners[unit] != (used ? 1U : 0U)) {
      faults.push_back(fmt::format("unit {} is used {} times, and its own word is {}",
                                   unit,
                                   owners[unit],
                                   use_of(view, view.units[unit])));
    }
  }
  return faults;
}

}  // namespace

namespace engine::service {

Result<InspectionHandle> inspect_source(const Source& source) {
  auto opened = open_source(source, block::OpenMode::read_only);
  return opened ? Result<InspectionHandle>(
                      InspectionHandle(new cache_engine{source, std::move(*opened), {}, {}}))
                : tl::unexpected(opened.error());
}

}  // namespace engine::service

// NOLINTBEGIN(readability-function-size,readability-function-cognitive-complexity): each is one
// call of C with all its arguments, and `guarded` makes its body a lambda.
int cache_engine_open_image(const char* file, cache_engine** engine) {
  return open({file, {}, {}}, engine);
}

int cache_engine_open_socket(const char* path, cache_engine** engine) {
  return open({{}, path, {}}, engine);
}

void cache_engine_close(cache_engine* engine) {
  delete engine;
}

const char* cache_engine_message(void) {
  return engine::service::last_message().c_str();
}

int cache_engine_about(cache_engine* engine, cache_engine_facts* facts) {
  const engine::service::Opened& opened = engine->opened;
  const char* const store = opened.cyclone ? "cyclone" : opened.disk ? "rock" : "running";
  *facts = {
      store, opened.label ? opened.label->tag : 0U, opened.label ? opened.label->version : 0U};
  return CACHE_ENGINE_OK;
}

int cache_engine_disks(cache_engine* engine, cache_engine_on_disk visit, void* context) {
  return guarded([&] {
    const Inspection view = engine->opened.store->inspect();
    for (const DiskUse& use : view.disks) {
      const cache_engine_disk disk = {use.name.c_str(),
                                      use.volume,
                                      use.first_unit,
                                      use.unit_count,
                                      use.trouble.empty() ? nullptr : use.trouble.c_str()};
      if (visit(&disk, context) != 0) {
        break;
      }
    }
    return int{CACHE_ENGINE_OK};
  });
}

int cache_engine_slots(cache_engine* engine,
                       const char* key,
                       cache_engine_on_slot visit,
                       void* context,
                       cache_engine_slots_facts* facts) {
  return guarded([&] {
    const engine::service::Opened& opened = engine->opened;
    if (opened.cyclone || opened.device() == nullptr) {
      return c_trouble({engine::Trouble::invalid,
                        "slots are judged one by one on an image of a rock that is not in use"});
    }
    const Inspection view = key != nullptr ? opened.store->inspect() : Inspection{};
    const EntryUse* const entry = key != nullptr ? find_entry(view, key) : nullptr;
    if (key != nullptr && entry == nullptr) {
      return c_not_so(fmt::format("no object {} is stored", key));
    }
    const auto report = engine::rock::check_disk(*opened.device(), opened.config);
    if (!report) {
      return c_trouble(report.error());
    }
    if (facts != nullptr) {
      *facts = {report->slots.size(), report->geometry.slot_bytes, report->epoch};
    }
    const std::size_t count = entry != nullptr ? entry->units.size() : report->slots.size();
    const std::string prefix =
        opened.label ? engine::volumes::key_prefix(*opened.label) : std::string();
    std::uint64_t refused = 0;
    bool going = true;
    for (std::size_t n = 0; n < count; ++n) {
      const auto& judged = report->slots.at(entry != nullptr ? entry->units[n] : n);
      const cache_engine_slot slot = slot_of(judged, prefix);
      refused += judged.verdict == "refused" ? 1 : 0;
      going = going && visit(&slot, context) == 0;
    }
    return refused == 0 ? int{CACHE_ENGINE_OK}
                        : c_not_so(fmt::format("{} slots are refused", refused));
  });
}

int cache_engine_list(cache_engine* engine,
                      const char* after,
                      uint64_t limit,
                      cache_engine_on_object visit,
                      void* context,
                      const char** resume) {
  return guarded([&] {
    Inspection view = engine->opened.store->inspect();
    const std::string begin = after != nullptr ? after : "";
    std::erase_if(view.entries,
                  [&](const EntryUse& entry) { return after != nullptr && entry.key <= begin; });
    std::sort(view.entries.begin(), view.entries.end(), [](const auto& a, const auto& b) {
      return a.key < b.key;
    });
    const std::size_t most = limit == 0 ? SIZE_MAX : limit;
    const char* token = nullptr;
    std::size_t count = 0;
    for (const EntryUse& entry : view.entries) {
      if (count == most) {
        token = engine->resume.c_str();
        break;
      }
      engine->resume = entry.key;
      ++count;
      const cache_engine_object object = object_of(view, entry);
      if (visit(&object, context) != 0) {
        break;
      }
    }
    if (resume != nullptr) {
      *resume = token;
    }
    return int{CACHE_ENGINE_OK};
  });
}

int cache_engine_show(cache_engine* engine,
                      const char* key,
                      cache_engine_on_object visit,
                      void* context) {
  return guarded([&] {
    const Inspection view = engine->opened.store->inspect();
    const EntryUse* const entry = find_entry(view, key);
    if (entry == nullptr) {
      return c_not_so(fmt::format("no object {} is stored", key));
    }
    const cache_engine_object object = object_of(view, *entry);
    static_cast<void>(visit(&object, context));
    return int{CACHE_ENGINE_OK};
  });
}

int cache_engine_walk(cache_engine* engine,
                      uint64_t from,
                      uint64_t limit,
                      cache_engine_on_unit visit,
                      void* context,
                      uint64_t* resume) {
  return guarded([&] {
    const Inspection view = engine->opened.store->inspect();
    const std::uint64_t count = view.units.size();
    const std::uint64_t begin = std::min<std::uint64_t>(from, count);
    const std::uint64_t end = limit == 0 || limit > count - begin ? count : begin + limit;
    if (resume != nullptr) {
      *resume = end < count ? end : UINT64_MAX;
    }
    for (std::uint64_t n = begin; n < end; ++n) {
      const UnitUse& use = view.units[n];
      const bool owned = use.kind == UnitUse::Kind::entry && use.entry < view.entries.size();
      const DiskUse* const disk = disk_of(view, n);
      const cache_engine_unit unit = {n,
                                      use_of(view, use),
                                      owned ? view.entries[use.entry].key.c_str() : nullptr,
                                      disk != nullptr ? disk->name.c_str() : nullptr,
                                      disk != nullptr ? disk->volume : 0};
      if (visit(&unit, context) != 0) {
        break;
      }
    }
    return int{CACHE_ENGINE_OK};
  });
}

int cache_engine_lookup(cache_engine* engine, const char* key, cache_engine_hit* hit) {
  return guarded([&] {
    const auto got = engine->opened.store->get(key, {}, engine->reply);
    if (!got) {
      return c_trouble(got.error());
    }
    hit->being_put = engine->opened.store->being_put(key) ? 1 : 0;
    if (!engine->reply.hit) {
      return c_not_so(fmt::format("{}: miss", key));
    }
    *hit = {engine->reply.body_bytes,
            engine->reply.header.c_str(),
            engine->reply.header.size(),
            hit->being_put};
    return int{CACHE_ENGINE_OK};
  });
}

int cache_engine_check(cache_engine* engine,
                       cache_engine_on_fault visit,
                       void* context,
                       cache_engine_checked* checked) {
  return guarded([&] {
    engine::Store& store = *engine->opened.store;
    const Inspection view = store.inspect();
    std::vector<std::string> faults = faults_of(view);
    for (const EntryUse& entry : view.entries) {
      const auto got = store.verify(entry.key);
      if (!got || !*got) {
        faults.push_back(fmt::format("{} cannot be read whole{}{}",
                                     entry.key,
                                     got ? "" : ": ",
                                     got ? "" : got.error().message));
      }
    }
    if (checked != nullptr) {
      *checked = {view.units.size(), view.entries.size()};
    }
    for (const std::string& fault : faults) {
      if (visit(fault.c_str(), context) != 0) {
        break;
      }
    }
    return faults.empty() ? int{CACHE_ENGINE_OK}
                          : c_not_so(fmt::format("{} things are wrong", faults.size()));
  });
}

int cache_engine_stats(cache_engine* engine, cache_engine_on_number visit, void* context) {
  return guarded([&] {
    const engine::Stats stats = engine->opened.store->stats();
    const engine::RecoveryReport& recovery = stats.recovery;
    const std::map<std::string, std::uint64_t> report = {{"finished", recovery.finished ? 1 : 0},
                                                         {"slots", recovery.units_total},
                                                         {"scanned", recovery.scanned},
                                                         {"empty", recovery.empty},
                                                         {"loaded", recovery.loaded},
                                                         {"refused", recovery.refused},
                                                         {"superseded", recovery.superseded},
                                                         {"objects", recovery.entries},
                                                         {"ticks", recovery.ticks}};
    for (const auto& [group, numbers] : {std::pair("recovery", &report),
                                         {"refusals", &stats.refusals},
                                         {"counters", &stats.counters}}) {
      for (const auto& [name, value] : *numbers) {
        if (visit(group, name.c_str(), value, context) != 0) {
          return int{CACHE_ENGINE_OK};
        }
      }
    }
    return int{CACHE_ENGINE_OK};
  });
}

namespace {

/// Does `work` with the store; an image is opened once more for it, since whoever looks does not
/// write, and again to look on.
int change(cache_engine& engine, const std::function<engine::Status(engine::Store&)>& work) {
  const bool image = !engine.source.disk.empty();
  if (image) {
    engine.opened.store.reset();
    engine.opened = {};
    auto writable =
        engine::service::open_source(engine.source, engine::block::OpenMode::read_write);
    if (!writable) {
      return c_trouble(writable.error());
    }
    engine.opened = std::move(*writable);
  }
  engine::Status done = work(*engine.opened.store);
  done = image && done ? engine.opened.store->close() : done;
  if (image) {
    engine.opened.store.reset();
    engine.opened = {};
    auto again = engine::service::open_source(engine.source, engine::block::OpenMode::read_only);
    if (!again) {
      return c_trouble(again.error());
    }
    engine.opened = std::move(*again);
  }
  return done ? int{CACHE_ENGINE_OK} : c_trouble(done.error());
}

}  // namespace

int cache_engine_purge(cache_engine* engine, const char* key, int* was_there) {
  return guarded([&] {
    return change(*engine, [&](engine::Store& store) {
      const auto purged = store.purge(key);
      if (purged && was_there != nullptr) {
        *was_there = *purged ? 1 : 0;
      }
      return purged ? engine::Status() : tl::unexpected(purged.error());
    });
  });
}

int cache_engine_purge_all(cache_engine* engine) {
  return guarded(
      [&] { return change(*engine, [](engine::Store& store) { return store.purge_all(); }); });
}
// NOLINTEND(readability-function-size,readability-function-cognitive-complexity)
