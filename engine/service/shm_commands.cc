#include <cstdio>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "engine/cyclone/shared_format.h"
#include "engine/restart/purge.h"
#include "engine/service/options.h"

namespace engine::service {
namespace {

using Json = nlohmann::ordered_json;
using restart::ShmStatus;

std::string hex(std::uint64_t value) {
  return fmt::format("0x{:016x}", value);
}

std::string_view owner_word(ShmStatus::Owner owner) {
  constexpr std::array<std::string_view, 3> words = {"none", "live", "stale"};
  return words.at(static_cast<std::size_t>(owner));
}

Json to_json(const ShmStatus& status) {
  Json report = {{"control", status.control_name}, {"exists", status.exists}};
  if (!status.exists) {
    return report;
  }
  report["size_bytes"] = status.size_bytes;
  report["magic_valid"] = status.magic_valid;
  report["schema"] = status.frozen.schema;
  report["schema_same"] = status.schema_same;
  report["abi_hash"] = hex(status.frozen.abi_hash);
  report["abi_same"] = status.abi_same;
  report["storage_signature"] = hex(status.frozen.storage_signature);
  report["clean"] = status.frozen.clean == 1;
  report["owner"] = {{"process", status.frozen.owner}, {"state", owner_word(status.owner)}};
  report["stripe_count"] = status.frozen.rows_used;
  if (!status.wrong.empty()) {
    report["wrong"] = status.wrong;
    return report;
  }
  report["rows"] = Json::array();
  for (const ShmStatus::RowStatus& row : status.rows) {
    report["rows"].push_back(row.tombstone ? Json{{"tombstone", true}}
                                           : Json{{"name", row.name},
                                                  {"size_bytes", row.size_bytes},
                                                  {"present", row.present},
                                                  {"untrusted", row.untrusted}});
  }
  return report;
}

}  // namespace

int shm_status_command(const std::string& prefix, bool json) {
  const auto status =
      restart::read_status(restart::posix_shared_memory(), prefix, cyclone::shared_format_facts());
  if (!status) {
    return complain(status.error());
  }
  fmt::print("{}", json ? to_json(*status).dump(2) + "\n" : restart::to_text(*status));
  return status->wrong.empty() ? exit_ok : complain({Trouble::device, status->wrong});
}

int shm_clear_command(const std::string& prefix, bool json) {
  restart::Gates gates({}, nullptr);
  const auto report = restart::purge(restart::posix_shared_memory(), prefix, gates);
  if (!report) {
    return complain(report.error());
  }
  for (const std::string& failure : report->failures) {
    fmt::print(stderr, "cache-engine: {}\n", failure);
  }
  if (json) {
    fmt::print("{}\n", Json{{"removed", report->removed}, {"failures", report->failures}}.dump(2));
    return report->failures.empty() ? exit_ok : exit_trouble;
  }
  for (const std::string& name : report->removed) {
    fmt::print("unlinked {}\n", name);
  }
  const std::string failed = report->failures.empty()
                                 ? std::string()
                                 : fmt::format(", {} failure(s)", report->failures.size());
  fmt::print("Removed {} segment(s){}.\n", report->removed.size(), failed);
  return report->failures.empty() ? exit_ok : exit_trouble;
}

}  // namespace engine::service
