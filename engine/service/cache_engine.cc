#include "engine/service/cache_engine.h"

#include <algorithm>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "engine/service/source.h"

struct cache_engine {
  engine::service::Source source;
  engine::service::Opened opened;
  std::string resume;
  engine::GetReply reply;
};

namespace {

using engine::EntryUse;
using engine::Error;
using engine::Inspection;
using engine::Trouble;
using engine::UnitUse;

std::string& message() {
  thread_local std::string text;
  return text;
}

int trouble(const Error& error) {
  message() = error.message;
  return error.trouble == Trouble::invalid ? CACHE_ENGINE_INVALID : CACHE_ENGINE_TROUBLE;
}

int not_so(std::string text) {
  message() = std::move(text);
  return CACHE_ENGINE_NOT_SO;
}

/// No exception leaves for a caller that knows none; there is one only where memory runs out.
template <typename Work>
int guarded(const Work& work) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return trouble({Trouble::full, "no memory"});
  }
}

int open(const engine::service::Source& source, cache_engine** engine) {
  return guarded([&] {
    *engine = nullptr;
    auto opened = engine::service::inspect_source(source);
    if (!opened) {
      return trouble(opened.error());
    }
    *engine = opened->release();
    return int{CACHE_ENGINE_OK};
  });
}

cache_engine_object object_of(const EntryUse& entry) {
  return {
      entry.key.c_str(), entry.write_id, entry.body_bytes, entry.units.data(), entry.units.size()};
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
  return message().c_str();
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
      const cache_engine_object object = object_of(entry);
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
    const auto entry = std::find_if(view.entries.begin(),
                                    view.entries.end(),
                                    [key](const EntryUse& each) { return each.key == key; });
    if (entry == view.entries.end()) {
      return not_so(fmt::format("no object {} is stored", key));
    }
    const cache_engine_object object = object_of(*entry);
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
      const cache_engine_unit unit = {
          n, use_of(view, use), owned ? view.entries[use.entry].key.c_str() : nullptr};
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
      return trouble(got.error());
    }
    if (!engine->reply.hit) {
      return not_so(fmt::format("{}: miss", key));
    }
    *hit = {engine->reply.body_bytes, engine->reply.header.c_str(), engine->reply.header.size()};
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
      const auto got = store.get(entry.key, {}, engine->reply);
      if (!got || !engine->reply.hit) {
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
                          : not_so(fmt::format("{} things are wrong", faults.size()));
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

int cache_engine_purge(cache_engine* engine, const char* key, int* was_there) {
  return guarded([&] {
    const bool image = !engine->source.disk.empty();
    if (image) {
      // Whoever looks does not write: the image is opened once more for it, and again to look on.
      engine->opened = {};
      auto writable =
          engine::service::open_source(engine->source, engine::block::OpenMode::read_write);
      if (!writable) {
        return trouble(writable.error());
      }
      engine->opened = std::move(*writable);
    }
    const auto purged = engine->opened.store->purge(key);
    const auto closed = image && purged ? engine->opened.store->close() : engine::Status();
    if (image) {
      engine->opened = {};
      auto again = engine::service::open_source(engine->source, engine::block::OpenMode::read_only);
      if (!again) {
        return trouble(again.error());
      }
      engine->opened = std::move(*again);
    }
    if (!purged || !closed) {
      return trouble(purged ? closed.error() : purged.error());
    }
    if (was_there != nullptr) {
      *was_there = *purged ? 1 : 0;
    }
    return int{CACHE_ENGINE_OK};
  });
}
