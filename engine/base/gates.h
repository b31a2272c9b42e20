#pragma once

/// Gates: named checks that can refuse something. A part of the engine has an enumeration of them,
/// one table of their names, and in each life a set that knows which are on and counts refusals.

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "engine/base/result.h"

namespace engine {

/// How often one gate refused something.
struct GateRefusals {
  std::string gate;
  std::uint64_t count = 0;
};

/// Marks a row of a gate that keeps the program memory-safe and cannot be switched off.
inline constexpr bool guard = true;

template <typename Gate>
struct GateRow {
  Gate gate;
  std::string_view name;
  bool is_guard = false;
};

/// Names the word and lists the gates that can be switched off.
[[nodiscard]] tl::unexpected<Error> no_such_gate(std::string_view word,
                                                 const std::vector<std::string_view>& switchable);

/// The names of an enumeration's gates, in its order; anything else does not compile. It is kept in
/// a constant, which `GateSet` is made for:
///
///     inline constexpr GateTable gate_table(std::to_array<GateRow<Gate>>({
///         {Gate::first, "first"},
///         {Gate::second, "second", guard},
///     }));
template <typename GateType, std::size_t gates>
class GateTable {
 public:
  using Gate = GateType;
  static constexpr std::size_t count = gates;

  explicit consteval GateTable(const std::array<GateRow<Gate>, gates>& rows) : rows_(rows) {
    for (std::size_t n = 0; n < gates; ++n) {
      if (rows[n].gate != static_cast<Gate>(n)) {
        throw "a gate is not in its enumerator's place";
      }
    }
  }

  [[nodiscard]] constexpr std::string_view name(Gate gate) const { return row(gate).name; }
  [[nodiscard]] constexpr bool switchable(Gate gate) const { return !row(gate).is_guard; }
  [[nodiscard]] const std::array<GateRow<Gate>, gates>& rows() const { return rows_; }

  /// The gate of that name, guards too.
  [[nodiscard]] std::optional<Gate> find(std::string_view name) const {
    for (const GateRow<Gate>& each : rows_) {
      if (each.name == name) {
        return each.gate;
      }
    }
    return std::nullopt;
  }

  /// The gate of that name, if it can be switched off. Error: as `no_such_gate`.
  [[nodiscard]] Result<Gate> find_switchable(std::string_view name) const {
    const std::optional<Gate> found = find(name);
    if (found && switchable(*found)) {
      return *found;
    }
    std::vector<std::string_view> allowed;
    add_switchable_names(allowed);
    return no_such_gate(name, allowed);
  }

  /// Adds all names to `names`, in order.
  void add_names(std::vector<std::string_view>& names) const {
    for (const GateRow<Gate>& each : rows_) {
      names.push_back(each.name);
    }
  }
  /// Adds those that can be switched off.
  void add_switchable_names(std::vector<std::string_view>& names) const {
    for (const GateRow<Gate>& each : rows_) {
      if (!each.is_guard) {
        names.push_back(each.name);
      }
    }
  }

 private:
  [[nodiscard]] constexpr const GateRow<Gate>& row(Gate gate) const {
    return rows_.at(static_cast<std::size_t>(gate));
  }

  std::array<GateRow<Gate>, gates> rows_;
};

/// Which gates of `table` are on (all, at first), and how often each refused something. `Count`: an
/// atomic number, where several threads refuse.
template <const auto& table, typename Count = std::uint64_t>
class GateSet {
 public:
  using Gate = typename std::remove_cvref_t<decltype(table)>::Gate;

  GateSet() = default;
  explicit GateSet(const std::vector<Gate>& off) {
    for (const Gate gate : off) {
      switch_off(gate);
    }
  }

  [[nodiscard]] bool on(Gate gate) const { return !off_[index(gate)]; }
  /// A guard stays on.
  void switch_off(Gate gate) { off_[index(gate)] = table.switchable(gate); }
  void refuse(Gate gate) { ++refusals_[index(gate)]; }
  /// Counts what `before` has refused too.
  void add(const GateSet& before) {
    for (std::size_t n = 0; n < table.count; ++n) {
      refusals_[n] += before.refusals_[n];
    }
  }

  /// Adds gate name → refusals to `counts`, all gates.
  void add_refusals(std::map<std::string, std::uint64_t>& counts) const {
    for (const auto& row : table.rows()) {
      counts.emplace(row.name, refusals_[index(row.gate)]);
    }
  }
  [[nodiscard]] std::map<std::string, std::uint64_t> refusals() const {
    std::map<std::string, std::uint64_t> counts;
    add_refusals(counts);
    return counts;
  }
  /// Without those that refused nothing.
  [[nodiscard]] std::vector<GateRefusals> refused() const {
    std::vector<GateRefusals> found;
    for (const auto& row : table.rows()) {
      if (const std::uint64_t count = refusals_[index(row.gate)]; count > 0) {
        found.push_back({std::string(row.name), count});
      }
    }
    return found;
  }

 private:
  static std::size_t index(Gate gate) { return static_cast<std::size_t>(gate); }

  std::bitset<table.count> off_;
  std::array<Count, table.count> refusals_ = {};
};

}  // namespace engine
