#include <cstdio>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "engine/handoff/board.h"
#include "engine/service/cache_engine.h"
#include "engine/service/options.h"

namespace engine::service {
namespace {

using Json = nlohmann::ordered_json;

std::string hex(std::uint64_t value) {
  return fmt::format("0x{:016x}", value);
}

Json to_json(const cache_engine_shm& status, const Json& rows) {
  Json report = {{"control", status.control}, {"exists", status.exists != 0}};
  if (status.exists == 0) {
    return report;
  }
  report["size_bytes"] = status.size_bytes;
  report["magic_valid"] = status.magic_valid != 0;
  report["schema"] = status.schema;
  report["schema_same"] = status.schema_same != 0;
  report["abi_hash"] = hex(status.abi_hash);
  report["abi_same"] = status.abi_same != 0;
  report["storage_signature"] = hex(status.storage_signature);
  report["clean"] = status.clean != 0;
  report["owner"] = {{"process", status.owner}, {"state", status.owner_state}};
  report["stripe_count"] = status.row_count;
  if (status.wrong != nullptr) {
    report["wrong"] = status.wrong;
    return report;
  }
  report["rows"] = rows;
  return report;
}

Json to_json(const handoff::BoardStatus& board) {
  Json report = {{"exists", board.exists}};
  if (!board.wrong.empty()) {
    report["wrong"] = board.wrong;
  } else if (board.exists) {
    report["instances"] = Json::array();
    for (const auto& instance : board.instances) {
      if (instance) {
        report["instances"].push_back({{"process", instance->process},
                                       {"socket", instance->socket},
                                       {"writes", instance->writes}});
      }
    }
    report["handoffs"] = board.handoffs;
    report["takeovers"] = board.takeovers;
  }
  return report;
}

std::string to_text(const handoff::BoardStatus& board) {
  if (!board.exists || !board.wrong.empty()) {
    return board.exists ? fmt::format("{}: {}\n", board.name, board.wrong) : "";
  }
  std::string text = fmt::format("cooperation        {}: {} handoff(s), {} takeover(s)\n",
                                 board.name,
                                 board.handoffs,
                                 board.takeovers);
  for (const auto& instance : board.instances) {
    text += instance ? fmt::format("  process {:<9} {} {}\n",
                                   instance->process,
                                   instance->writes ? "writes" : "reads ",
                                   instance->socket)
                     : "";
  }
  return text;
}

int take_row(const cache_engine_shm_row* row, void* context) {
  static_cast<Json*>(context)->push_back(row->name == nullptr
                                             ? Json{{"tombstone", true}}
                                             : Json{{"name", row->name},
                                                    {"size_bytes", row->size_bytes},
                                                    {"present", row->present != 0},
                                                    {"untrusted", row->untrusted != 0}});
  return 0;
}

struct Removals {
  std::vector<std::string> removed, failures;
};

int take_removal(const char* name, const char* failure, void* context) {
  Removals& removals = *static_cast<Removals*>(context);
  if (failure == nullptr) {
    removals.removed.emplace_back(name);
  } else {
    removals.failures.emplace_back(failure);
  }
  return 0;
}

int complain_about_last(int code) {
  fmt::print(stderr, "cache-engine: {}\n", cache_engine_message());
  return code;
}

}  // namespace

int shm_status_command(const std::string& prefix, bool json) {
  cache_engine_shm status = {};
  Json rows = Json::array();
  const int code = cache_engine_shm_status(prefix.c_str(), &status, take_row, &rows);
  if (status.control == nullptr) {
    return complain_about_last(code);
  }
  const auto board = handoff::read_board(restart::posix_shared_memory(), prefix);
  if (!board) {
    return complain(board.error());
  }
  if (json) {
    Json report = to_json(status, rows);
    report["cooperation"] = to_json(*board);
    fmt::print("{}\n", report.dump(2));
  } else {
    fmt::print("{}{}", status.text, to_text(*board));
  }
  return code == CACHE_ENGINE_OK ? exit_ok : complain_about_last(code);
}

int shm_clear_command(const std::string& prefix, bool json) {
  const auto board = handoff::remove_board(restart::posix_shared_memory(), prefix);
  if (!board) {
    return complain(board.error());
  }
  Removals removals;
  if (!board->empty()) {
    removals.removed.push_back(*board);
  }
  const int code = cache_engine_shm_clear(prefix.c_str(), take_removal, &removals);
  if (code != CACHE_ENGINE_OK && removals.failures.empty()) {
    return complain_about_last(code);
  }
  for (const std::string& failure : removals.failures) {
    fmt::print(stderr, "cache-engine: {}\n", failure);
  }
  if (json) {
    fmt::print("{}\n",
               Json{{"removed", removals.removed}, {"failures", removals.failures}}.dump(2));
    return code;
  }
  for (const std::string& name : removals.removed) {
    fmt::print("unlinked {}\n", name);
  }
  const std::string failed = removals.failures.empty()
                                 ? std::string()
                                 : fmt::format(", {} failure(s)", removals.failures.size());
  fmt::print("Removed {} segment(s){}.\n", removals.removed.size(), failed);
  return code;
}

}  // namespace engine::service
