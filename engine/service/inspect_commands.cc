#include <algorithm>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "engine/rock/check.h"
#include "engine/service/cache_engine.h"
#include "engine/service/options.h"
#include "engine/service/source.h"

namespace engine::service {
namespace {

using Json = nlohmann::ordered_json;

std::string write_id_text(std::uint64_t order) {
  return fmt::format("{}.{}", order >> 32, order & UINT32_MAX);
}

Json to_json(const EntryUse& entry) {
  return {{"key", entry.key},
          {"write_id", write_id_text(entry.write_id)},
          {"body_bytes", entry.body_bytes},
          {"slots", entry.units}};
}

const EntryUse* find_entry(const Inspection& view, const std::string& key) {
  const auto found = std::find_if(view.entries.begin(),
                                  view.entries.end(),
                                  [&key](const EntryUse& entry) { return entry.key == key; });
  return found == view.entries.end() ? nullptr : &*found;
}

std::string checksum_text(const rock::SlotReport& slot) {
  return fmt::format("{:016x}", slot.header.payload_checksum);
}

Json to_json(const rock::SlotReport& slot) {
  Json row = {{"slot", slot.slot}, {"verdict", slot.verdict}};
  if (!slot.gate.empty()) {
    row["gate"] = slot.gate;
  }
  if (slot.has_header) {
    row["free"] = slot.header.state == rock::SlotState::free;
    row["write_id"] = write_id_text(slot.header.write.order);
    row["body_of"] = write_id_text(slot.header.chain.order);
    row["index"] = slot.header.index;
    row["next"] = slot.header.next;
    row["payload_bytes"] = slot.header.payload_bytes;
    row["payload_checksum"] = checksum_text(slot);
  }
  if (!slot.key.empty()) {
    row["key"] = slot.key;
  }
  return row;
}

void print_slot(const rock::SlotReport& slot) {
  fmt::print("slot {:<6} {:<10} {:<22}", slot.slot, slot.verdict, slot.gate);
  if (slot.has_header) {
    fmt::print(" {} write {:<8} body {:<8} index {:<3} next {:<5} payload {:<6} {} {}",
               slot.header.state == rock::SlotState::free ? "was " : "is  ",
               write_id_text(slot.header.write.order),
               write_id_text(slot.header.chain.order),
               slot.header.index,
               slot.header.next,
               slot.header.payload_bytes,
               checksum_text(slot),
               slot.key);
  }
  fmt::print("\n");
}

/// Text with bytes that are no UTF-8 is shown all the same.
std::string dump(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

/// Rows for a machine, or printed as they come.
struct Page {
  bool json = false;
  Json rows = Json::array();
};

int take_object(const cache_engine_object* object, void* context) {
  Page& page = *static_cast<Page*>(context);
  if (page.json) {
    const EntryUse entry{object->key,
                         object->write_id,
                         object->body_bytes,
                         {object->units, object->units + object->unit_count}};
    page.rows.push_back(to_json(entry));
  } else {
    fmt::print("{:<24} {:>12} bytes  write {:<10} {} slots\n",
               object->key,
               object->body_bytes,
               write_id_text(object->write_id),
               object->unit_count);
  }
  return 0;
}

int take_unit(const cache_engine_unit* unit, void* context) {
  Page& page = *static_cast<Page*>(context);
  if (!page.json) {
    fmt::print("{:>10} {:<10} {}\n", unit->unit, unit->use, unit->key != nullptr ? unit->key : "");
    return 0;
  }
  Json row = {{"unit", unit->unit}, {"use", unit->use}};
  if (unit->key != nullptr) {
    row["key"] = unit->key;
  }
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

/// Structure, and every object read whole.
int check_objects(const Source& source, bool json) {
  const auto engine = inspect_source(source);
  if (!engine) {
    return complain(engine.error());
  }
  Page page{json};
  cache_engine_checked checked = {};
  const int code = cache_engine_check(engine->get(), take_fault, &page, &checked);
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

}  // namespace

int list_command(const Source& source, const ListOptions& options, bool json) {
  const auto engine = inspect_source(source);
  if (!engine) {
    return complain(engine.error());
  }
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
                     {"header", header}}));
  } else if (code == CACHE_ENGINE_OK) {
    fmt::print("{}: hit, {} bytes\n{}\n", key, hit.body_bytes, header);
  } else {
    fmt::print("{}: miss\n", key);
  }
  return code;
}

int show_command(const Source& source, const std::string& key, bool json) {
  auto opened = open_source(source, block::OpenMode::read_only);
  if (!opened) {
    return complain(opened.error());
  }
  const Inspection view = opened->store->inspect();
  const EntryUse* entry = find_entry(view, key);
  if (entry == nullptr) {
    fmt::print(stderr, "cache-engine: no object {} is stored\n", key);
    return exit_not_so;
  }
  std::vector<rock::SlotReport> slots;
  if (opened->device && !opened->cyclone) {
    auto report = rock::check_disk(*opened->device, opened->config);
    if (!report) {
      return complain(report.error());
    }
    for (const std::uint32_t slot : entry->units) {
      slots.push_back(report->slots.at(slot));
    }
  }
  Json row = to_json(*entry);
  for (const rock::SlotReport& slot : slots) {
    row["chain"].push_back(to_json(slot));
  }
  if (json) {
    fmt::print("{}\n", row.dump(2));
    return exit_ok;
  }
  fmt::print("{}: {} bytes, write {}, slots {}\n",
             entry->key,
             entry->body_bytes,
             write_id_text(entry->write_id),
             fmt::join(entry->units, " -> "));
  std::for_each(slots.begin(), slots.end(), print_slot);
  return exit_ok;
}

int check_command(const Source& source, bool json) {
  const auto opened = open_source(source, block::OpenMode::read_only);
  if (!opened) {
    return complain(opened.error());
  }
  if (!opened->device || opened->cyclone) {
    return check_objects(source, json);
  }
  const auto report = rock::check_disk(*opened->device, opened->config);
  if (!report) {
    return complain(report.error());
  }
  std::map<std::string, std::uint64_t> counts;
  Json rows = Json::array();
  for (const rock::SlotReport& slot : report->slots) {
    ++counts[slot.verdict];
    rows.push_back(to_json(slot));
    if (!json) {
      print_slot(slot);
    }
  }
  if (json) {
    fmt::print("{}\n", Json{{"counts", counts}, {"slots", rows}}.dump(2));
  } else {
    fmt::print("{} slots of {} bytes, next epoch {}:",
               report->slots.size(),
               report->geometry.slot_bytes,
               report->epoch);
    for (const auto& [verdict, count] : counts) {
      fmt::print(" {} {}", count, verdict);
    }
    fmt::print("\n");
  }
  return counts.contains("refused") ? exit_not_so : exit_ok;
}

int stats_command(const Source& source, bool json) {
  const auto engine = inspect_source(source);
  if (!engine) {
    return complain(engine.error());
  }
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
