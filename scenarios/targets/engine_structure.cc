#include "scenarios/targets/engine_structure.h"

#include <fmt/format.h>

#include "engine/alternate.h"

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

/// Books slot `unit` for the chain of entry `index`; says so when it is another's.
std::string book(const engine::Inspection& inspection,
                 std::size_t index,
                 std::uint32_t unit,
                 std::vector<bool>& chained) {
  const std::string& key = inspection.entries[index].key;
  if (unit >= inspection.units.size()) {
    return fmt::format("{} is said to use slot {} of {}", key, unit, inspection.units.size());
  }
  const engine::UnitUse& use = inspection.units[unit];
  if (chained[unit]) {
    return fmt::format("slot {} is in two places of chains, one of them of {}", unit, key);
  }
  chained[unit] = true;
  if (use.kind != Kind::entry) {
    return fmt::format(
        "slot {} is in the chain of {} and is also {}", unit, key, kind_name(use.kind));
  }
  return use.entry == index
             ? std::string()
             : fmt::format("slot {} is in the chain of {} and booked for another entry", unit, key);
}

/// Books the slots of all chains; the first contradiction to the table of slots.
std::string check_chains(const engine::Inspection& inspection, std::vector<bool>& chained) {
  std::string error;
  for (std::size_t index = 0; index < inspection.entries.size() && error.empty(); ++index) {
    const std::vector<std::uint32_t>& units = inspection.entries[index].units;
    for (std::size_t i = 0; i < units.size() && error.empty(); ++i) {
      error = book(inspection, index, units[i], chained);
    }
  }
  return error;
}

/// An alternate that another one's head leads to: that one must have it, and be of the same object.
std::string check_shared_heads(const engine::Inspection& inspection) {
  for (const engine::EntryUse& entry : inspection.entries) {
    if (!entry.through) {
      continue;
    }
    const std::uint32_t unit = *entry.through;
    const bool inside = unit < inspection.units.size();
    const engine::UnitUse use = inside ? inspection.units[unit] : engine::UnitUse{};
    if (use.kind != Kind::entry || use.entry >= inspection.entries.size()) {
      return fmt::format("{} is found through slot {}, which is no alternate's", entry.key, unit);
    }
    const engine::EntryUse& first = inspection.entries[use.entry];
    if (first.units.empty() || first.units.front() != unit ||
        engine::object_of(first.key) != engine::object_of(entry.key)) {
      return fmt::format(
          "{} is found through slot {}, which is not the head of {}", entry.key, unit, first.key);
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
  if (structure.conservation_error.empty()) {
    structure.conservation_error = check_shared_heads(inspection);
  }
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
