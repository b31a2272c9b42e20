#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace scenarios {

/// What a crash state costs its time for.
enum class CostPart : std::uint8_t {
  build,
  start,
  gets,
  structure,
  traffic,
  kill,
  judge,
  record,
  other
};
inline constexpr std::array<std::string_view, 9> cost_part_names = {
    "build", "start", "gets", "structure", "traffic", "kill", "judge", "record", "other"};

/// Adds up the time between two calls of `enter`, per part. No verdict depends on it.
class CostClock {
 public:
  /// What follows belongs to `part`.
  void enter(CostPart part) {
    const Clock::time_point now = Clock::now();
    seconds_[static_cast<std::size_t>(part_)] +=
        std::chrono::duration<double>(now - entered_).count();
    part_ = part;
    entered_ = now;
  }
  [[nodiscard]] const std::array<double, cost_part_names.size()>& seconds() const {
    return seconds_;
  }

 private:
  using Clock = std::chrono::steady_clock;
  std::array<double, cost_part_names.size()> seconds_{};
  CostPart part_ = CostPart::other;
  Clock::time_point entered_ = Clock::now();
};

}  // namespace scenarios
