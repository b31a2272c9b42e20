#include "scenarios/targets/engine_structure.h"

#include <fmt/format.h>

namespace scenarios {

namespace {

using Kind = engine::UnitUse::Kind;

std::string_view kind_name(Kind kind) {
  switch (kind) {
    case Kind::free:
      return "free";
    case Kind::entry:
      return "an entry's";
    case Kind::upload:
      return "an upload's";
    case Kind::quarantine:
      return "in quarantine";
    case Kind::unscanned:
      return "not scanned yet";
  }
  return "";
}

/// Which entry's chain each slot is in; an error when it is in two, or in one that the table of
/// slots does not name.
std::string check_chains(const engine::Inspection& inspection, std::vector<bool>& chained) {
  for (std::size_t index = 0; index < inspection.entries.size(); ++index) {
    const engine::EntryUse& entry = inspection.entries[index];
    for (const std::uint32_t unit : entry.units) {
      if (unit >= inspection.units.size()) {
        return fmt::format(
            "{} is said to use slot {} of {}", entry.key, unit, inspection.units.size());
      }
      if (chained[unit]) {
        return fmt::format(
            "slot {} is in two places of chains, one of them of {}", unit, entry.key);
      }
      chained[unit] = true;
      const engine::UnitUse& use = inspection.units[unit];
      if (use.kind != Kind::entry) {
        return fmt::format(
            "slot {} is in the chain of {} and is also {}", unit, entry.key, kind_name(use.kind));
      }
      if (use.entry != index) {
        return fmt::format(
            "slot {} is in the chain of {} and booked for another entry", unit, entry.key);
      }
    }
  }
  return {};
}

}  // namespace

Structure structure_of(const engine::Inspection& inspection) {
  Structure structure;
  structure.unit_count = static_cast<std::uint32_t>(inspection.units.size());
  structure.entries.reserve(inspection.entries.size());
  for (const engine::EntryUse& entry : inspection.entries) {
    structure.entries.push_back({entry.key, entry.units});
  }
  std::vector<bool> chained(inspection.units.size());
  structure.conservation_error = check_chains(inspection, chained);
  for (std::uint32_t unit = 0; unit < structure.unit_count; ++unit) {
    const Kind kind = inspection.units[unit].kind;
    if (kind == Kind::free) {
      structure.free_units.push_back(unit);
    } else if (kind != Kind::entry) {
      ++structure.held_units;
    } else if (!chained[unit] && structure.conservation_error.empty()) {
      structure.conservation_error =
          fmt::format("slot {} is booked for an entry and is in no chain", unit);
    }
  }
  return structure;
}

}  // namespace scenarios
