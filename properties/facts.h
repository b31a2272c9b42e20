#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "properties/allowed.h"
#include "properties/property.h"

namespace properties {

enum class Phase : std::uint8_t {
  during_the_run,
  after_recovery,
  after_reopen,
  after_traffic,
  after_last_restart,
};
[[nodiscard]] std::string_view phase_name(Phase phase);

/// One reading, with what it is judged by.
struct Answer {
  const scenarios::Reading* reading = nullptr;
  Phase phase = Phase::after_recovery;
  const KeyAnswers* allowed =
      nullptr;  ///< null during the run, where any put of the key may be seen
  /// A miss, or the bytes of one allowed version, whole and with its header: nothing to find.
  bool plain = false;
  /// The whole body was asked for (always, except in readings during the run).
  bool whole_asked = true;
};

/// The evidence of one crash state, or (`seen` null) of the recorded run itself, prepared once for
/// all properties. Made by `Judge`, which owns what is pointed to.
struct Facts {
  const scenarios::Recording* recording = nullptr;
  const scenarios::Examination* seen = nullptr;
  std::vector<Answer> answers;
  /// The properties judged include purged_stays_purged or no_rollback, so `KeyAnswers::may` is all
  /// that may be served; otherwise ended versions may come back too.
  bool ordered = true;
  bool restarted = false;  ///< the run has a restart in it

  /// The operation `number` of the history or of the traffic; null where there is none.
  [[nodiscard]] const scenarios::Operation* find(std::uint32_t number) const;
};

/// The put all of whose pieces are that put's own bytes of the reading's key, in their places: the
/// only candidate for what was served. Empty bodies are named by their header. 0: none, or several.
[[nodiscard]] scenarios::PutNumber served_put(const scenarios::Reading& reading,
                                              const Facts& facts);

/// `served_put` and the update that wrote the header. Empty where either is not known.
[[nodiscard]] std::optional<Version> served_version(const scenarios::Reading& reading,
                                                    const Facts& facts);

/// Whether `answer` is plain (see there), except for what is said by `Answer::allowed`.
[[nodiscard]] bool is_plain(const Answer& answer, const Facts& facts);

}  // namespace properties
