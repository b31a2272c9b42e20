#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <system_error>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "engine/block/file_device.h"
#include "engine/cyclone/store.h"
#include "engine/rock/check.h"
#include "engine/rock/store.h"
#include "engine/service/client.h"
#include "engine/service/options.h"

namespace engine::service {
namespace {

using Json = nlohmann::ordered_json;

/// A store to look at, and the disk below it where it is offline.
struct Opened {
  std::unique_ptr<block::Device> device;
  std::unique_ptr<Store> store;
  rock::Config config;
  bool cyclone = false;
};

Result<std::unique_ptr<Store>> connect(const std::filesystem::path& file) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string& path = file.native();
  if (path.size() >= sizeof address.sun_path) {
    return fail(Trouble::invalid, fmt::format("the socket path {} is too long", path));
  }
  path.copy(static_cast<char*>(address.sun_path), path.size());
  const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (socket < 0 ||
      ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    const std::string why = std::generic_category().message(errno);
    ::close(socket);
    return fail(Trouble::lost, fmt::format("no engine answers at {}: {}", path, why));
  }
  return connect_client(socket);
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

Result<Opened> open_cyclone(std::unique_ptr<block::Device> device, block::OpenMode mode) {
  StoreWords words;
  words.store = "cyclone";
  auto config = make_cyclone_config(words);
  const Status adopted = config ? cyclone::adopt_span(*device, *config) : Status{};
  if (!config || !adopted) {
    return tl::unexpected(config ? adopted.error() : config.error());
  }
  auto store = mode == block::OpenMode::read_only ? cyclone::open_for_inspection(*device, *config)
                                                  : cyclone::open_store(*device, *config);
  if (!store) {
    return tl::unexpected(store.error());
  }
  const Status recovered = recover_all(**store, mode);
  if (!recovered) {
    return tl::unexpected(recovered.error());
  }
  return Opened{std::move(device), std::move(*store), {}, true};
}

Result<Opened> open_disk(const Source& source, block::OpenMode mode) {
  auto device = block::open_file_device(source.disk, mode);
  if (!device) {
    return tl::unexpected(device.error());
  }
  if (cyclone::is_span(**device)) {
    return open_cyclone(std::move(*device), mode);
  }
  const auto slot_bytes =
      source.slot.empty() ? rock::slot_bytes_of(**device) : parse_slot_size(source.slot);
  if (!slot_bytes) {
    return tl::unexpected(slot_bytes.error());
  }
  StoreWords words;
  words.slot = std::to_string(*slot_bytes);
  const auto config = make_config(words);
  if (!config) {
    return tl::unexpected(config.error());
  }
  auto store = mode == block::OpenMode::read_only ? rock::open_for_inspection(**device, *config)
                                                  : rock::open_store(**device, *config);
  if (!store) {
    return tl::unexpected(store.error());
  }
  const Status recovered = recover_all(**store, mode);
  if (!recovered) {
    return tl::unexpected(recovered.error());
  }
  return Opened{std::move(*device), std::move(*store), *config};
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
  return Opened{nullptr, std::move(*store), {}};
}

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

int check_live(const Store& store, bool json) {
  const Inspection view = store.inspect();
  std::vector<int> owners(view.units.size());
  for (const EntryUse& entry : view.entries) {
    for (const std::uint32_t unit : entry.units) {
      if (unit < owners.size()) {
        ++owners[unit];
      }
    }
  }
  Json wrong = Json::array();
  for (std::size_t unit = 0; unit < owners.size(); ++unit) {
    if (owners[unit] != (view.units[unit].kind == UnitUse::Kind::entry ? 1 : 0)) {
      wrong.push_back(unit);
    }
  }
  if (json) {
    fmt::print("{}\n", Json{{"slots", view.units.size()}, {"used_not_once", wrong}}.dump(2));
  } else {
    fmt::print(
        "{} slots, {} not used exactly once; for a verdict per slot stop the engine and "
        "check its --disk\n",
        view.units.size(),
        wrong.size());
  }
  return wrong.empty() ? exit_ok : exit_not_so;
}

}  // namespace

int list_command(const Source& source, const ListOptions& options, bool json) {
  const auto opened = open_source(source, block::OpenMode::read_only);
  if (!opened) {
    return complain(opened.error());
  }
  Inspection view = opened->store->inspect();
  std::sort(view.entries.begin(), view.entries.end(), [](const auto& a, const auto& b) {
    return a.key < b.key;
  });
  Json rows = Json::array();
  std::string token;
  for (const EntryUse& entry : view.entries) {
    if (!options.after.empty() && entry.key <= options.after) {
      continue;
    }
    if (options.limit > 0 && rows.size() == options.limit) {
      token = rows.back()["key"];
      break;
    }
    rows.push_back(to_json(entry));
    if (!json) {
      fmt::print("{:<24} {:>12} bytes  write {:<10} {} slots\n",
                 entry.key,
                 entry.body_bytes,
                 write_id_text(entry.write_id),
                 entry.units.size());
    }
  }
  if (json) {
    fmt::print("{}\n", Json{{"objects", rows}, {"resume", token}}.dump(2));
  } else if (!token.empty()) {
    fmt::print("more: --after {}\n", token);
  }
  return exit_ok;
}

int lookup_command(const Source& source, const std::string& key, bool json) {
  const auto opened = open_source(source, block::OpenMode::read_only);
  if (!opened) {
    return complain(opened.error());
  }
  GetReply reply;
  const Status got = opened->store->get(key, {}, reply);
  if (!got) {
    return complain(got.error());
  }
  if (json) {
    fmt::print("{}\n",
               Json{{"key", key},
                    {"hit", reply.hit},
                    {"body_bytes", reply.body_bytes},
                    {"header", reply.header}}
                   .dump(2, ' ', false, Json::error_handler_t::replace));
  } else if (reply.hit) {
    fmt::print("{}: hit, {} bytes\n{}\n", key, reply.body_bytes, reply.header);
  } else {
    fmt::print("{}: miss\n", key);
  }
  return reply.hit ? exit_ok : exit_not_so;
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
    return check_live(*opened->store, json);
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
  const auto opened = open_source(source, block::OpenMode::read_only);
  if (!opened) {
    return complain(opened.error());
  }
  const Stats stats = opened->store->stats();
  const RecoveryReport& recovery = stats.recovery;
  const Json report = {{"finished", recovery.finished},
                       {"slots", recovery.units_total},
                       {"scanned", recovery.scanned},
                       {"empty", recovery.empty},
                       {"loaded", recovery.loaded},
                       {"refused", recovery.refused},
                       {"superseded", recovery.superseded},
                       {"objects", recovery.entries},
                       {"ticks", recovery.ticks}};
  const Json all = {
      {"recovery", report}, {"refusals", stats.refusals}, {"counters", stats.counters}};
  if (json) {
    fmt::print("{}\n", all.dump(2));
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
  const auto opened = open_source(source, block::OpenMode::read_write);
  if (!opened) {
    return complain(opened.error());
  }
  const auto purged = opened->store->purge(key);
  if (!purged) {
    return complain(purged.error());
  }
  if (opened->device) {
    const Status closed = opened->store->close();
    if (!closed) {
      return complain(closed.error());
    }
  }
  if (json) {
    fmt::print("{}\n", Json{{"key", key}, {"was_there", *purged}}.dump(2));
  } else {
    fmt::print("{}: {}\n", key, *purged ? "purged" : "was not there");
  }
  return exit_ok;
}

}  // namespace engine::service
