#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "faultfs/faults/expression.h"

namespace faultfs::faults {

/// Whose requests, when and how often: the part of an expression that all faults share, and how far
/// it has counted.
class Trigger {
 public:
  /// `disk` is the number of the disk that `expression` names.
  Trigger(const Expression& expression, std::optional<DiskNumber> disk);

  /// Notes a mark.
  void mark(std::string_view text);

  /// True when `request` is one it is meant for.
  [[nodiscard]] bool concerns(const Request& request) const;

  /// Counts a match; true when the fault is to fire at it.
  [[nodiscard]] bool due();
  /// Counts a match at which the fault did fire.
  void fired() { ++fired_; }

  [[nodiscard]] std::uint64_t matches() const { return matches_; }
  [[nodiscard]] std::uint64_t firings() const { return fired_; }

 private:
  Expression expression_;
  std::optional<DiskNumber> disk_;
  bool open_;
  std::uint64_t matches_ = 0;
  std::uint64_t fired_ = 0;
};

}  // namespace faultfs::faults
