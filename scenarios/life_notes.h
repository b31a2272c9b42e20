#pragma once

#include "scenarios/recording.h"

namespace scenarios {

/// What a recording keeps of the lives of its target, beside what the client sees: the gates that
/// refused something, and what is in shared memory at each crash point.
class LifeNotes {
 public:
  LifeNotes(Target& target, Recording& recording) : target_(target), recording_(recording) {}

  /// A life is about to end: asks it for its gates.
  void ending() const;
  /// What is in shared memory now is what a kill from `entry` of the log on leaves there.
  void shared_from(std::uint32_t entry) const;
  /// Marks a kill that the device or a store chose, and which store it was.
  void killed(faultfs::Device& device) const;
  /// The machine is about to be off: nothing of shared memory is left.
  void power_goes() const;

 private:
  Target& target_;
  Recording& recording_;
};

[[nodiscard]] std::string_view kind_name(OperationKind kind);

}  // namespace scenarios
