#pragma once

#include <cstdint>
#include <vector>

#include "scenarios/recording.h"

namespace properties {

/// What a key may hold: the body of one put, under that put's header (`update` 0) or under the
/// header of an update.
struct Version {
  scenarios::PutNumber put = 0;
  std::uint32_t update = 0;
  [[nodiscard]] bool operator==(const Version&) const = default;
};

/// A version that may not be served any more, and the operation that ended it for good.
struct EndedVersion {
  Version version;
  std::uint32_t by = 0;
  scenarios::OperationKind how = scenarios::OperationKind::put;
};

/// What a get may answer for one key. A miss is always allowed where `must` is 0.
struct KeyAnswers {
  scenarios::Key key = 0;
  std::vector<Version> may;                     ///< in order of their operations
  std::vector<EndedVersion> ended;              ///< before, and never again
  std::vector<scenarios::PutNumber> in_flight;  ///< puts the cache had not answered
  std::vector<scenarios::PutNumber> given_up;   ///< puts aborted by the client or refused
  scenarios::PutNumber must = 0;                ///< the recall floor: this put must be a hit

  [[nodiscard]] bool allows(Version version) const;
};

/// How far an operation had come at a crash point (design.md §6).
enum class OperationState { not_started, in_flight, acknowledged, given_up };

/// `last_segment`: the segment `point` is in; operations of earlier ones are over.
[[nodiscard]] OperationState state_at(const scenarios::Operation& operation,
                                      const faultfs::CrashPoint& point,
                                      std::uint32_t last_segment);

/// What a get may answer at `point` of the last segment, for every key of the history, ascending.
/// The rules are at the head of allowed.cc.
[[nodiscard]] std::vector<KeyAnswers> allowed_answers(const scenarios::Recording& recording,
                                                      const faultfs::CrashModel& model,
                                                      const faultfs::CrashPoint& point);

/// Folds one operation of the traffic after recovery into `answers`. Only kills follow it, so what
/// was acknowledged is durable. Leaves `must` of other keys alone (demand.h).
void fold_traffic(const scenarios::Operation& operation, std::vector<KeyAnswers>& answers);

/// The answers for `key`; null where the history has no such key. `answers` is ascending by key.
[[nodiscard]] const KeyAnswers* find_answers(const std::vector<KeyAnswers>& answers,
                                             scenarios::Key key);

}  // namespace properties
