#include "engine/rock/config.h"

#include <fmt/format.h>

namespace engine::rock {
namespace {

Config squid() {
  Config config;
  for (const auto& row : gate_table.rows()) {
    if (!row.is_guard) {
      config.gates_off.push_back(row.gate);
    }
  }
  config.replace_at_begin = true;
  config.byte_sum_proof = true;
  config.metadata_at_hit = true;
  return config;
}

}  // namespace

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
