#include "engine/restart/gates.h"

#include <utility>

#include <fmt/format.h>

namespace engine::restart {
std::vector<Gate> gates_off_in_trafficserver() {
  return {Gate::control_table,
          Gate::binding_nonce,
          Gate::binding_serials,
          Gate::binding_cursor,
          Gate::image_digest,
          Gate::writers_stopped};
}

Gates::Gates(const std::vector<Gate>& off, Log log) : set_(off), log_(std::move(log)) {}

void Gates::refuse(Gate gate, std::string_view line) {
  set_.refuse(gate);
  note(fmt::format("{}: {}", gate_table.name(gate), line));
}

void Gates::note(std::string_view line) const {
  if (log_) {
    log_(line);
  }
}

}  // namespace engine::restart
