#include "scenarios/life_notes.h"

namespace scenarios {

void LifeNotes::ending() const {
  if (target_.traits().deterministic) {
    for (auto& refused : target_.gate_refusals()) {
      recording_.gate_refusals.push_back(std::move(refused));
    }
  }
}

void LifeNotes::shared_from(std::uint32_t entry) const {
  if (target_.traits().shares_memory) {
    recording_.shared.emplace_back(entry, target_.save_shared());
  }
}

void LifeNotes::killed(faultfs::Device& device) const {
  if (const std::string store = target_.killed_at_store(); !store.empty()) {
    device.mark("killed after " + store);
  }
  device.mark("kill");
}

void LifeNotes::power_goes() const {
  target_.order_shared("lost");
  recording_.shared.clear();
}

std::string_view kind_name(OperationKind kind) {
  switch (kind) {
    case OperationKind::put:
      return "put";
    case OperationKind::purge:
      return "purge";
    case OperationKind::purge_all:
      return "purge_all";
    case OperationKind::update:
      return "update";
    case OperationKind::sync:
      return "sync";
    case OperationKind::clear:
      return "clear";
  }
  return "";
}

std::shared_ptr<const SharedState> shared_at(const Recording& recording,
                                             const faultfs::CrashPoint& point) {
  std::shared_ptr<const SharedState> state;
  if (point.kind == faultfs::CutKind::kill) {
    for (const auto& [from_entry, there] : recording.shared) {
      state = from_entry <= point.entry ? there : state;
    }
  }
  return state;
}

}  // namespace scenarios
