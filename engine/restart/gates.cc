#include "engine/restart/gates.h"

#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace engine::restart {
namespace {

struct GateRow {
  Gate gate;
  std::string_view name;
  bool switchable;
};

constexpr std::array<GateRow, gate_count> gate_rows = {{
    {Gate::prefix_name, "prefix_name", false},
    {Gate::control_open, "control_open", false},
    {Gate::control_lock, "control_lock", true},
    {Gate::control_owner, "control_owner", true},
    {Gate::control_race, "control_race", false},
    {Gate::control_size, "control_size", false},
    {Gate::control_magic, "control_magic", true},
    {Gate::control_schema, "control_schema", true},
    {Gate::control_abi, "control_abi", true},
    {Gate::control_clean, "control_clean", true},
    {Gate::control_table, "control_table", true},
    {Gate::row_claimed, "row_claimed", false},
    {Gate::row_untrusted, "row_untrusted", true},
    {Gate::row_size, "row_size", false},
    {Gate::binding_nonce, "binding_nonce", true},
    {Gate::binding_serials, "binding_serials", true},
    {Gate::binding_cursor, "binding_cursor", true},
    {Gate::image_present, "image_present", false},
    {Gate::image_size, "image_size", false},
    {Gate::image_map, "image_map", false},
    {Gate::image_digest, "image_digest", true},
    {Gate::image_structure, "image_structure", false},
    {Gate::table_full, "table_full", false},
    {Gate::image_create, "image_create", false},
    {Gate::zero_claim, "zero_claim", true},
    {Gate::writers_stopped, "writers_stopped", true},
    {Gate::purge_owner, "purge_owner", true},
}};

const GateRow& row(Gate gate) {
  return gate_rows.at(static_cast<std::size_t>(gate));
}

}  // namespace

std::string_view gate_name(Gate gate) {
  return row(gate).name;
}

bool switchable(Gate gate) {
  return row(gate).switchable;
}

Result<Gate> find_gate(std::string_view name) {
  std::vector<std::string_view> allowed;
  for (const GateRow& each : gate_rows) {
    if (each.name == name && each.switchable) {
      return each.gate;
    }
    if (each.switchable) {
      allowed.push_back(each.name);
    }
  }
  return fail(Trouble::invalid,
              fmt::format("'{}' is not a gate of restart that can be switched off; allowed: {}",
                          name,
                          fmt::join(allowed, ", ")));
}

std::vector<Gate> gates_off_in_trafficserver() {
  return {Gate::control_table,
          Gate::binding_nonce,
          Gate::binding_serials,
          Gate::binding_cursor,
          Gate::image_digest,
          Gate::writers_stopped};
}

Gates::Gates(const std::vector<Gate>& off, Log log) : log_(std::move(log)) {
  on_.fill(true);
  for (const Gate gate : off) {
    on_.at(static_cast<std::size_t>(gate)) = !switchable(gate);
  }
}

void Gates::refuse(Gate gate, std::string_view line) {
  ++refusals_.at(static_cast<std::size_t>(gate));
  note(fmt::format("{}: {}", gate_name(gate), line));
}

void Gates::note(std::string_view line) const {
  if (log_) {
    log_(line);
  }
}

std::map<std::string, std::uint64_t> Gates::refusals() const {
  std::map<std::string, std::uint64_t> counts;
  for (const GateRow& each : gate_rows) {
    counts[std::string(each.name)] = refusals_.at(static_cast<std::size_t>(each.gate));
  }
  return counts;
}

}  // namespace engine::restart
