#include "engine/cyclone/config.h"

#include <algorithm>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "engine/restart/gates.h"

namespace engine::cyclone {
namespace {

constexpr std::array<std::string_view, gate_count> names = {"span_header",
                                                            "copy_checksum",
                                                            "copy_footer",
                                                            "copy_instance",
                                                            "document_header",
                                                            "document_key",
                                                            "document_body",
                                                            "log_link",
                                                            "fragment_required",
                                                            "durable_purge",
                                                            "lap_guard",
                                                            "document_bounds",
                                                            "row_bounds"};

/// The reference checks magic, version and serials of a copy, and keys of a document.
Config trafficserver() {
  Config config;
  for (const Gate gate : {Gate::copy_checksum,
                          Gate::copy_instance,
                          Gate::document_header,
                          Gate::document_body,
                          Gate::log_link,
                          Gate::durable_purge,
                          Gate::lap_guard}) {
    config.gates_off.emplace_back(gate_name(gate));
  }
  const auto first = static_cast<std::size_t>(ImageCheck::sector_zero);
  for (std::size_t check = first; check < image_check_count; ++check) {
    config.gates_off.emplace_back(image_check_name(static_cast<ImageCheck>(check)));
  }
  for (const restart::Gate gate : restart::gates_off_in_trafficserver()) {
    config.gates_off.emplace_back(restart::gate_name(gate));
  }
  config.recovery = Recovery::clear_only;
  config.acknowledge_buffered = true;
  config.evict_every_tenth = true;
  return config;
}

}  // namespace

std::string_view gate_name(Gate gate) {
  return names.at(static_cast<std::size_t>(gate));
}

bool switchable(Gate gate) {
  return gate < Gate::document_bounds;
}

std::vector<std::string_view> all_gate_names() {
  std::vector<std::string_view> all(names.begin(), names.end());
  for (std::size_t check = 0; check < image_check_count; ++check) {
    all.push_back(image_check_name(static_cast<ImageCheck>(check)));
  }
  for (std::size_t gate = 0; gate < restart::gate_count; ++gate) {
    all.push_back(restart::gate_name(static_cast<restart::Gate>(gate)));
  }
  return all;
}

Status check_gate(std::string_view name) {
  std::vector<std::string_view> allowed = all_gate_names();
  std::erase_if(allowed, [](std::string_view each) {
    const bool guard =
        each == gate_name(Gate::document_bounds) || each == gate_name(Gate::row_bounds);
    for (std::size_t gate = 0; gate < restart::gate_count; ++gate) {
      const auto kept = static_cast<restart::Gate>(gate);
      if (each == restart::gate_name(kept)) {
        return !restart::switchable(kept);
      }
    }
    return guard;
  });
  if (std::find(allowed.begin(), allowed.end(), name) != allowed.end()) {
    return {};
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
  if (name == "trafficserver") {
    return trafficserver();
  }
  return fail(
      Trouble::invalid,
      fmt::format("'{}' is not a preset of cyclone; allowed: hardened, trafficserver", name));
}

Gates::Gates(const std::vector<std::string>& off) {
  on_.fill(true);
  for (const std::string& name : off) {
    for (std::size_t gate = 0; gate < gate_count; ++gate) {
      if (names.at(gate) == name) {
        on_.at(gate) = !switchable(static_cast<Gate>(gate));
      }
    }
    if (const auto check = find_image_check(name)) {
      checks_.switch_off(*check);
    }
  }
}

void Gates::add(const Gates& before) {
  for (std::size_t gate = 0; gate < gate_count; ++gate) {
    refusals_.at(gate) += before.refusals_.at(gate);
  }
  for (std::size_t check = 0; check < image_check_count; ++check) {
    image_refusals_.at(check) += before.image_refusals_.at(check);
  }
}

std::map<std::string, std::uint64_t> Gates::refusals() const {
  std::map<std::string, std::uint64_t> counts;
  for (std::size_t gate = 0; gate < gate_count; ++gate) {
    counts.emplace(names.at(gate), refusals_.at(gate));
  }
  for (std::size_t check = 0; check < image_check_count; ++check) {
    counts.emplace(image_check_name(static_cast<ImageCheck>(check)), image_refusals_.at(check));
  }
  return counts;
}

}  // namespace engine::cyclone
