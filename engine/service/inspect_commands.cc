#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "engine/service/cache_engine.h"
#include "engine/service/options.h"
#include "engine/service/source.h"

namespace engine::service {
namespace {

using Json = nlohmann::ordered_json;

std::string write_id_text(std::uint64_t order) {
  return fmt::format("{}.{}", order >> 32, order & UINT32_MAX);
}

template <typename Thing>
void add_disk(const Thing& thing, Json& row) {
  if (thing.disk != nullptr) {
    row["disk"] = thing.disk;
    row["volume"] = thing.volume;
  }
}

Json to_json(const cache_engine_object& object) {
  Json row = {{"key", object.key},
              {"write_id", write_id_text(object.write_id)},
              {"body_bytes", object.body_bytes},
              {"slots", std::vector(object.units, object.units + object.unit_count)}};
  if (object.through != UINT64_MAX) {
    row["through"] = object.through;
  }
  add_disk(object, row);
  return row;
}

Json to_json(const cache_engine_slot& slot) {
  Json row = {{"slot", slot.slot}, {"verdict", slot.verdict}};
  if (slot.gate != nullptr) {
    row["gate"] = slot.gate;
  }
  if (slot.has_header != 0) {
    row["free"] = slot.was_free != 0;
    row["write_id"] = write_id_text(slot.write_id);
    row["body_of"] = write_id_text(slot.body_of);
    row["index"] = slot.index;
    row["next"] = slot.next;
    row["payload_bytes"] = slot.payload_bytes;
    row["payload_checksum"] = fmt::format("{:016x}", slot.payload_checksum);
  }
  if (slot.key != nullptr) {
    row["key"] = slot.key;
  }
  return row;
}

void print_slot(const cache_engine_slot& slot) {
  fmt::print(
      "slot {:<6} {:<10} {:<22}", slot.slot, slot.verdict, slot.gate != nullptr ? slot.gate : "");
  if (slot.has_header != 0) {
    fmt::print(" {} write {:<8} body {:<8} index {:<3} next {:<5} payload {:<6} {:016x} {}",
               slot.was_free != 0 ? "was " : "is  ",
               write_id_text(slot.write_id),
               write_id_text(slot.body_of),
               slot.index,
               slot.next,
               slot.payload_bytes,
               slot.payload_checksum,
               slot.key != nullptr ? slot.key : "");
  }
  fmt::print("\n");
}

/// " on disk a of volume 1"; nothing where the store has no volumes.
template <typename Thing>
std::string disk_text(const Thing& thing) {
  return thing.disk != nullptr ? fmt::format("on {} of volume {}", thing.disk, thing.volume)
                               : std::string();
}

/// Text with bytes that are no UTF-8 is shown all the same.
std::string dump(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

/// Rows for a machine, or printed as they come.
struct Page {
  bool json = false;
  Json rows = Json::array();
  std::map<std::string, std::uint64_t> counts = {};
};

int take_object(const cache_engine_object* object, void* context) {
  Page& page = *static_cast<Page*>(context);
  if (page.json) {
    page.rows.push_back(to_json(*object));
  } else {
    fmt::print("{:<24} {:>12} bytes  write {:<10} {} slots{} {}\n",
               object->key,
               object->body_bytes,
               write_id_text(object->write_id),
               object->unit_count,
               object->through == UINT64_MAX ? "" : " and another alternate's head",
               disk_text(*object));
  }
  return 0;
}

int take_unit(const cache_engine_unit* unit, void* context) {
  Page& page = *static_cast<Page*>(context);
  if (!page.json) {
    fmt::print("{:>10} {:<10} {} {}\n",
               unit->unit,
               unit->use,
               unit->key != nullptr ? unit->key : "",
               disk_text(*unit));
    return 0;
  }
  Json row = {{"unit", unit->unit}, {"use", unit->use}};
  if (unit->key != nullptr) {
    row["key"] = unit->key;
  }
  add_disk(*unit, row);
  page.rows.push_back(std::move(row));
  return 0;
}

int take_fault(const char* what, void* context) {
  Page& page = *static_cast<Page*>(context);
  if (page.json) {
    page.rows.push_back(what);
  } else {
    fmt::print("{}\n", what);
  }
  return 0;
}

int take_number(const char* group, const char* name, std::uint64_t value, void* context) {
  Json& all = *static_cast<Json*>(context);
  all[group][name] = value;
  return 0;
}

/// What the last call of the C interface did not do.
int complain_about_last(int code) {
  fmt::print(stderr, "cache-engine: {}\n", cache_engine_message());
  return code;
}

/// What is looked at, where that is one disk of a volume.
void print_label(cache_engine* engine, bool json) {
  cache_engine_facts facts = {};
  static_cast<void>(cache_engine_about(engine, &facts));
  if (facts.volume != 0 && !json) {
    fmt::print("a disk of volume {} (label version {}), a {} behind its label\n",
               facts.volume,
               facts.label_version,
               facts.store);
  }
}

int take_slot(const cache_engine_slot* slot, void* context) {
  Page& page = *static_cast<Page*>(context);
  ++page.counts[slot->verdict];
  if (page.json) {
    page.rows.push_back(to_json(*slot));
  } else {
    print_slot(*slot);
  }
  return 0;
}

/// Every slot of a rock judged.
int check_slots(cache_engine* engine, bool json) {
  Page page{json};
  cache_engine_slots_facts facts = {};
  const int code = cache_engine_slots(engine, nullptr, take_slot, &page, &facts);
  if (code > CACHE_ENGINE_NOT_SO) {
    return complain_about_last(code);
  }
  if (json) {
    fmt::print("{}\n", dump({{"counts", page.counts}, {"slots", page.rows}}));
    return code;
  }
  fmt::print(
      "{} slots of {} bytes, next epoch {}:", facts.slot_count, facts.slot_bytes, facts.next_epoch);
  for (const auto& [verdict, count] : page.counts) {
    fmt::print(" {} {}", count, verdict);
  }
  fmt::print("\n");
  return code;
}

/// Structure, and every object read whole.
int check_objects(cache_engine* engine, bool json) {
  Page page{json};
  cache_engine_checked checked = {};
  const int code = cache_engine_check(engine, take_fault, &page, &checked);
  if (code > CACHE_ENGINE_NOT_SO) {
    return complain_about_last(code);
  }
  if (json) {
    fmt::print("{}\n",
               dump({{"slots", checked.unit_count},
                     {"objects", checked.object_count},
                     {"wrong", page.rows}}));
  } else {
    fmt::print("{} slots, {} objects: {}\n",
               checked.unit_count,
               checked.object_count,
               code == CACHE_ENGINE_OK ? "each slot used once, each object whole"
                                       : cache_engine_message());
  }
  return code;
}

int take_disk(const cache_engine_disk* disk, void* context) {
  Page& page = *static_cast<Page*>(context);
  if (page.json) {
    page.rows.push_back({{"disk", disk->name},
                         {"volume", disk->volume},
                         {"first_unit", disk->first_unit},
                         {"units", disk->unit_count},
                         {"trouble", disk->trouble != nullptr ? Json(disk->trouble) : Json()}});
  } else {
    fmt::print("volume {:<4} {:<32} units {} to {}{}{}\n",
               disk->volume,
               disk->name,
               disk->first_unit,
               disk->first_unit + disk->unit_count,
               disk->trouble != nullptr ? "  not used: " : "",
               disk->trouble != nullptr ? disk->trouble : "");
  }
  return 0;
}

}  // namespace

int list_command(const Source& source, const ListOptions& options, bool json) {
  const auto engine = inspect_source(source);
  if (!engine) {
    return complain(engine.error());
  }
  print_label(engine->get(), json);
  Page page{json};
  const char* resume = nullptr;
  const int code = cache_engine_list(engine->get(),
                                     options.after.empty() ? nullptr : options.after.c_str(),
                                     options.limit,
                                     take_object,
                                     &page,
                                     &resume);
  const std::string token = resume != nullptr ? resume : "";
  if (json) {
    fmt::print("{}\n", dump({{"objects", page.rows}, {"resume", token}}));
  } else if (!token.empty()) {
    fmt::print("more: --after {}\n", token);
  }
  return code;
}

int walk_command(const Source& source, const WalkOptions& options, bool json) {
  const auto engine = inspect_source(source);
  if (!engine) {
    return complain(engine.error());
  }
  Page page{json};
  std::uint64_t resume = UINT64_MAX;
  const int code =
      cache_engine_walk(engine->get(), options.from, options.limit, take_unit, &page, &resume);
  if (json) {
    fmt::print(
        "{}\n",
        dump({{"units", page.rows}, {"resume", resume == UINT64_MAX ? Json() : Json(resume)}}));
  } else if (resume != UINT64_MAX) {
    fmt::print("more: --from {}\n", resume);
  }
  return code;
}

int lookup_command(const Source& source, const std::string& key, bool json) {
  const auto engine = inspect_source(source);
  if (!engine) {
    return complain(engine.error());
  }
  cache_engine_hit hit = {};
  const int code = cache_engine_lookup(engine->get(), key.c_str(), &hit);
  if (code > CACHE_ENGINE_NOT_SO) {
    return complain_about_last(code);
  }
  const std::string header(hit.header != nullptr ? hit.header : "", hit.header_bytes);
  if (json) {
    fmt::print("{}\n",
               dump({{"key", key},
                     {"hit", code == CACHE_ENGINE_OK},
                     {"body_bytes", hit.body_bytes},
                     {"header", header},
                     {"being_put", hit.being_put != 0}}));
    return code;
  }
  const std::string_view more = hit.being_put != 0 ? ", being put" : "";
  if (code == CACHE_ENGINE_OK) {
    fmt::print("{}: hit, {} bytes{}\n{}\n", key, hit.body_bytes, more, header);
  } else {
    fmt::print("{}: miss{}\n", key, more);
  }
  return code;
}

int show_command(const Source& source, const std::string& key, bool json) {
  const auto engine = inspect_source(source);
  if (!engine) {
    return complain(engine.error());
  }
  Page page{true};
  int code = cache_engine_show(engine->get(), key.c_str(), take_object, &page);
  if (code != CACHE_ENGINE_OK) {
    return complain_about_last(code);
  }
  Json row = page.rows.front();
  if (!json) {
    print_label(engine->get(), json);
    fmt::print("{}: {} bytes, write {}, slots {}{}{}\n",
               key,
               row["body_bytes"].get<std::uint64_t>(),
               row["write_id"].get<std::string>(),
               row.contains("through")
                   ? fmt::format("({}, shared) ", row["through"].get<std::uint64_t>())
                   : "",
               fmt::join(row["slots"].get<std::vector<std::uint32_t>>(), " -> "),
               row.contains("disk") ? fmt::format(", on {} of volume {}",
                                                  row["disk"].get<std::string>(),
                                                  row["volume"].get<std::uint32_t>())
                                    : "");
  }
  cache_engine_facts facts = {};
  static_cast<void>(cache_engine_about(engine->get(), &facts));
  if (facts.store == std::string_view("rock")) {
    Page slots{json};
    code = cache_engine_slots(engine->get(), key.c_str(), take_slot, &slots, nullptr);
    if (code > CACHE_ENGINE_NOT_SO) {
      return complain_about_last(code);
    }
    row["chain"] = slots.rows;
  }
  if (json) {
    fmt::print("{}\n", dump(row));
  }
  return exit_ok;
}

int check_command(const Source& source, bool json) {
  const auto engine = inspect_source(source);
  if (!engine) {
    return complain(engine.error());
  }
  print_label(engine->get(), json);
  cache_engine_facts facts = {};
  static_cast<void>(cache_engine_about(engine->get(), &facts));
  return facts.store == std::string_view("rock") ? check_slots(engine->get(), json)
                                                 : check_objects(engine->get(), json);
}

int disks_command(const Source& source, bool json) {
  const auto engine = inspect_source(source);
  if (!engine) {
    return complain(engine.error());
  }
  Page page{json};
  const int code = cache_engine_disks(engine->get(), take_disk, &page);
  if (code != CACHE_ENGINE_OK) {
    return complain_about_last(code);
  }
  if (json) {
    fmt::print("{}\n", dump({{"disks", page.rows}}));
  } else {
    print_label(engine->get(), json);
  }
  return exit_ok;
}

int stats_command(const Source& source, bool json) {
  const auto engine = inspect_source(source);
  if (!engine) {
    return complain(engine.error());
  }
  print_label(engine->get(), json);
  Json all = {{"recovery", Json::object()}, {"refusals", Json::object()}};
  const int code = cache_engine_stats(engine->get(), take_number, &all);
  if (code != CACHE_ENGINE_OK) {
    return complain_about_last(code);
  }
  all["recovery"]["finished"] = all["recovery"]["finished"] == 1;
  if (json) {
    fmt::print("{}\n", dump(all));
    return exit_ok;
  }
  for (const auto& [part, rows] : all.items()) {
    fmt::print("{}\n", part);
    for (const auto& [name, value] : rows.items()) {
      fmt::print("  {:<24} {}\n", name, value.dump());
    }
  }
  return exit_ok;
}

int purge_all_command(const Source& source, bool json) {
  const auto engine = inspect_source(source);
  if (!engine) {
    return complain(engine.error());
  }
  const int code = cache_engine_purge_all(engine->get());
  if (code != CACHE_ENGINE_OK) {
    return complain_about_last(code);
  }
  fmt::print("{}\n", json ? dump({{"purged", "all"}}) : "every object is purged");
  return exit_ok;
}

int purge_command(const Source& source, const std::string& key, bool json) {
  const auto engine = inspect_source(source);
  if (!engine) {
    return complain(engine.error());
  }
  int was_there = 0;
  const int code = cache_engine_purge(engine->get(), key.c_str(), &was_there);
  if (code != CACHE_ENGINE_OK) {
    return complain_about_last(code);
  }
  if (json) {
    fmt::print("{}\n", dump({{"key", key}, {"was_there", was_there != 0}}));
  } else {
    fmt::print("{}: {}\n", key, was_there != 0 ? "purged" : "was not there");
  }
  return exit_ok;
}

}  // namespace engine::service
