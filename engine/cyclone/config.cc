#include "engine/cyclone/config.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/restart/gates.h"

namespace engine::cyclone {
namespace {

/// The reference checks magic, version and serials of a copy, and keys of a document.
Config trafficserver() {
  Config config;
  for (const Gate gate : {Gate::copy_checksum,
                          Gate::copy_instance,
                          Gate::document_header,
                          Gate::document_body,
                          Gate::log_link,
                          Gate::durable_purge,
                          Gate::purge_epoch,
                          Gate::lap_guard}) {
    config.gates_off.emplace_back(gate_table.name(gate));
  }
  for (const auto& row : image_check_table.rows()) {
    if (row.gate >= ImageCheck::sector_zero) {
      config.gates_off.emplace_back(row.name);
    }
  }
  for (const restart::Gate gate : restart::gates_off_in_trafficserver()) {
    config.gates_off.emplace_back(restart::gate_table.name(gate));
  }
  config.recovery = Recovery::clear_only;
  config.acknowledge_buffered = true;
  config.evict_every_tenth = true;
  return config;
}

}  // namespace

std::vector<std::string_view> all_gate_names() {
  std::vector<std::string_view> all;
  gate_table.add_names(all);
  image_check_table.add_names(all);
  restart::gate_table.add_names(all);
  return all;
}

Status check_gate(std::string_view name) {
  std::vector<std::string_view> allowed;
  gate_table.add_switchable_names(allowed);
  image_check_table.add_switchable_names(allowed);
  restart::gate_table.add_switchable_names(allowed);
  if (std::ranges::find(allowed, name) == allowed.end()) {
    return no_such_gate(name, allowed);
  }
  return {};
}

bool is_pinned(const Config& config, std::string_view object) {
  return std::any_of(config.pins.begin(), config.pins.end(), [object](std::string_view pin) {
    return pin.ends_with('*') ? object.starts_with(pin.substr(0, pin.size() - 1)) : object == pin;
  });
}

Result<Config> find_preset(std::string_view name) {
  if (name == "hardened") {
    return Config{};
  }
  if (name == "trafficserver") {
    return trafficserver();
  }
  return fail(
      Trouble::invalid,
      fmt::format("'{}' is not a preset of cyclone; allowed: hardened, trafficserver", name));
}

Gates::Gates(const std::vector<std::string>& off) {
  for (const std::string& name : off) {
    if (const auto gate = gate_table.find(name)) {
      own_.switch_off(*gate);
    } else if (const auto check = image_check_table.find(name)) {
      image_.switch_off(*check);
    }
  }
}

void Gates::add(const Gates& before) {
  own_.add(before.own_);
  image_.add(before.image_);
}

std::map<std::string, std::uint64_t> Gates::refusals() const {
  std::map<std::string, std::uint64_t> counts = own_.refusals();
  image_.add_refusals(counts);
  return counts;
}

}  // namespace engine::cyclone
