#pragma once

#include <string>

#include "properties/facts.h"

namespace properties {

/// "put#3", "purge#5", "update#6", "clear#7": how an operation is called everywhere.
[[nodiscard]] std::string operation_name(const scenarios::Operation& operation);
[[nodiscard]] std::string operation_name(scenarios::OperationKind kind, std::uint32_t number);

/// "GET k7 -> hit, 64K: [0, 32K) from put#3, [32K, 64K) from put#5".
[[nodiscard]] std::string observed_text(const scenarios::Reading& reading);
/// The part of it after the arrow.
[[nodiscard]] std::string answer_text(const scenarios::Reading& reading);

/// "miss | put#3 | put#3 with the header of update#6 | put#5". `ended_too`: versions that only an
/// order claim forbids are allowed as well.
[[nodiscard]] std::string allowed_text(const KeyAnswers& answers, bool ended_too);

/// A violation by what `answer` shows; the allowed answers are those of its key.
[[nodiscard]] Violation violation_of(const Property& property,
                                     const Answer& answer,
                                     const Facts& facts);

}  // namespace properties
