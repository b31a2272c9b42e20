#include "engine/store.h"

#include <iterator>
#include <utility>

namespace engine {

void Inspection::add(Inspection&& part) {
  const auto first_unit = static_cast<std::uint32_t>(units.size());
  for (UnitUse& unit : part.units) {
    const bool owned = unit.kind == UnitUse::Kind::entry && unit.entry < part.entries.size();
    unit.entry += owned ? entries.size() : 0;
  }
  for (EntryUse& entry : part.entries) {
    for (std::uint32_t& unit : entry.units) {
      unit += first_unit;
    }
    if (entry.through) {
      *entry.through += first_unit;
    }
  }
  if (units.empty() && entries.empty()) {
    units = std::move(part.units);
    entries = std::move(part.entries);
    return;
  }
  units.insert(units.end(), part.units.begin(), part.units.end());
  std::move(part.entries.begin(), part.entries.end(), std::back_inserter(entries));
}

void Stats::add(const Stats& part) {
  for (const auto& [gate, count] : part.refusals) {
    refusals[gate] += count;
  }
  for (const auto& [name, count] : part.counters) {
    counters[name] += count;
  }
  recovery.add(part.recovery);
}

}  // namespace engine
