// Every slot of the store is used exactly once: free, or in one object's chain, or held (by an
// upload, in quarantine, not scanned yet), and the parts add up to the whole. A slot in two chains
// makes a hodgepodge at the next write, a slot nobody knows is lost until the store is cleared.
//
// Judged from the tables the store itself shows, after recovery and, because double use shows late,
// once more after traffic. What a slot's bytes are is not looked at here.
#include <algorithm>
#include <array>
#include <cstddef>

#include <fmt/format.h>

#include "properties/all.h"
#include "properties/facts.h"

namespace properties {
namespace {

using scenarios::Structure;

/// For each slot who has it: 0 nobody, 1 the free set, n + 2 the chain of entry n.
class Owners {
 public:
  explicit Owners(const Structure& structure)
      : structure_(structure), owners_(structure.unit_count, 0) {}

  /// Empty when every slot has one owner and the sums agree.
  [[nodiscard]] std::string find_fault() {
    for (const std::uint32_t slot : structure_.free_units) {
      if (!take(slot, 1)) {
        return fault_;
      }
    }
    for (std::size_t entry = 0; entry < structure_.entries.size(); ++entry) {
      for (const std::uint32_t slot : structure_.entries[entry].units) {
        if (!take(slot, static_cast<std::uint32_t>(entry + 2))) {
          return fault_;
        }
      }
    }
    const std::size_t used = taken_ - structure_.free_units.size();
    if (taken_ + structure_.held_units != structure_.unit_count) {
      return fmt::format("{} free + {} in chains + {} held are not the store's {} slots",
                         structure_.free_units.size(),
                         used,
                         structure_.held_units,
                         structure_.unit_count);
    }
    return {};
  }

 private:
  bool take(std::uint32_t slot, std::uint32_t owner) {
    if (slot >= owners_.size()) {
      fault_ = fmt::format(
          "slot {} is {}, and the store has only {}", slot, owner_text(owner), owners_.size());
      return false;
    }
    if (owners_[slot] != 0) {
      fault_ =
          fmt::format("slot {} is {} and {}", slot, owner_text(owners_[slot]), owner_text(owner));
      return false;
    }
    owners_[slot] = owner;
    ++taken_;
    return true;
  }

  [[nodiscard]] std::string owner_text(std::uint32_t owner) const {
    return owner == 1 ? "free"
                      : fmt::format("in the chain of {}", structure_.entries[owner - 2].key);
  }

  const Structure& structure_;
  std::vector<std::uint32_t> owners_;
  std::size_t taken_ = 0;
  std::string fault_;
};

class SlotsConserved : public Property {
 public:
  [[nodiscard]] std::string_view name() const override { return "slots_conserved"; }
  [[nodiscard]] std::string_view claim() const override {
    return "Each slot is used exactly once: free, in one chain, or held.";
  }
  [[nodiscard]] Verdict judge(const Facts& facts,
                              std::vector<Violation>& found,
                              std::string& why) const override {
    if (facts.seen == nullptr || facts.seen->after_recovery.empty()) {
      return Verdict::holds;  // it never came up: recovery_ends, or process_survives
    }
    const Verdict first = look(facts, Phase::after_recovery, found, why);
    if (facts.seen->after_traffic.empty()) {
      return first;
    }
    return std::max(first, look(facts, Phase::after_traffic, found, why));
  }

 private:
  Verdict look(const Facts& facts,
               Phase phase,
               std::vector<Violation>& found,
               std::string& why) const {
    const auto& structure = phase == Phase::after_recovery ? facts.seen->structure
                                                           : facts.seen->structure_after_traffic;
    if (!structure && facts.seen->death) {
      return Verdict::holds;  // process_survives
    }
    if (!structure) {
      why = "the target does not show its structure";
      return Verdict::undecided;
    }
    std::string fault = structure->conservation_error;
    fault = fault.empty() ? Owners(*structure).find_fault() : fault;
    if (fault.empty()) {
      return Verdict::holds;
    }
    Violation violation;
    violation.property = name();
    violation.claim = claim();
    violation.observed = std::move(fault);
    violation.allowed = "each slot free, in one chain, or held; all of them counted";
    violation.phase = phase_name(phase);
    found.push_back(std::move(violation));
    return Verdict::violated;
  }
};

}  // namespace

const Property& slots_conserved() {
  static const SlotsConserved property;
  return property;
}

}  // namespace properties
