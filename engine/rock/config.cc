#include "engine/rock/config.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace engine::rock {
namespace {

struct GateRow {
  Gate gate;
  std::string_view name;
  bool switchable;
};

constexpr std::array gate_rows = {
    GateRow{Gate::db_header, "db_header", true},
    GateRow{Gate::slot_instance, "slot_instance", true},
    GateRow{Gate::slot_header_checksum, "slot_header_checksum", true},
    GateRow{Gate::slot_payload_checksum, "slot_payload_checksum", true},
    GateRow{Gate::write_id, "write_id", true},
    GateRow{Gate::inode_required, "inode_required", true},
    GateRow{Gate::tail_required, "tail_required", true},
    GateRow{Gate::owner_check, "owner_check", true},
    GateRow{Gate::durable_invalidation, "durable_invalidation", true},
    GateRow{Gate::update_supersedes, "update_supersedes", true},
    GateRow{Gate::slot_bounds, "slot_bounds", false},
    GateRow{Gate::chain_loop, "chain_loop", false},
    GateRow{Gate::entry_contradiction, "entry_contradiction", false},
};

const GateRow& row(Gate gate) {
  return gate_rows.at(static_cast<std::size_t>(gate));
}

Config squid() {
  Config config;
  config.gates_off = all_gates();
  std::erase_if(config.gates_off, [](Gate gate) { return !switchable(gate); });
  config.replace_at_begin = true;
  config.byte_sum_proof = true;
  config.metadata_at_hit = true;
  return config;
}

}  // namespace

std::string_view gate_name(Gate gate) {
  return row(gate).name;
}

bool switchable(Gate gate) {
  return row(gate).switchable;
}

const std::vector<Gate>& all_gates() {
  static const std::vector<Gate> gates = [] {
    std::vector<Gate> all;
    all.reserve(gate_rows.size());
    for (const GateRow& each : gate_rows) {
      all.push_back(each.gate);
    }
    return all;
  }();
  return gates;
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
              fmt::format("'{}' is not a gate that can be switched off; allowed: {}",
                          name,
                          fmt::join(allowed, ", ")));
}

Result<Config> find_preset(std::string_view name) {
  if (name == "hardened") {
    return Config{};
  }
  if (name == "squid") {
    return squid();
  }
  return fail(Trouble::invalid,
              fmt::format("'{}' is not a preset of rock; allowed: hardened, squid", name));
}

}  // namespace engine::rock
