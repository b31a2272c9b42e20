#include "properties/facts.h"

#include <algorithm>

namespace properties {

using scenarios::GetReply;
using scenarios::Operation;
using scenarios::OperationKind;
using scenarios::Piece;
using scenarios::Reading;

std::string_view phase_name(Phase phase) {
  switch (phase) {
    case Phase::during_the_run:
      return "during the run";
    case Phase::after_recovery:
      return "after recovery";
    case Phase::after_reopen:
      return "after reopen";
    case Phase::after_traffic:
      return "after traffic";
    case Phase::after_last_restart:
      return "after last restart";
  }
  return "";
}

const Operation* Facts::find(std::uint32_t number) const {
  const std::vector<Operation>& history = recording->history.operations;
  if (number == 0) {
    return nullptr;
  }
  if (number <= history.size() && history[number - 1].number == number) {
    return &history[number - 1];
  }
  const auto same = [number](const Operation& operation) { return operation.number == number; };
  const auto in_history = std::find_if(history.begin(), history.end(), same);
  if (in_history != history.end()) {
    return &*in_history;
  }
  if (seen == nullptr) {
    return nullptr;
  }
  const auto in_traffic = std::find_if(seen->traffic.begin(), seen->traffic.end(), same);
  return in_traffic == seen->traffic.end() ? nullptr : &*in_traffic;
}

scenarios::PutNumber served_put(const Reading& reading, const Facts& facts) {
  if (reading.pieces.empty()) {
    if (!reading.header.has_value()) {
      return 0;
    }
    const Operation* update = facts.find(reading.header->update);
    return update == nullptr ? reading.header->put : update->of_put;
  }
  const Piece& first = reading.pieces.front();
  const bool own = std::all_of(
      reading.pieces.begin(), reading.pieces.end(), [&reading, &first](const Piece& piece) {
        return piece.kind == Piece::Kind::body && piece.key == reading.key &&
               piece.put == first.put;
      });
  return own ? first.put : 0;
}

std::optional<Version> served_version(const Reading& reading, const Facts& facts) {
  const scenarios::PutNumber put = served_put(reading, facts);
  if (reading.kind != GetReply::Kind::hit || put == 0 || !reading.header.has_value()) {
    return std::nullopt;
  }
  return Version{put, reading.header->update};
}

bool is_plain(const Answer& answer, const Facts& facts) {
  const Reading& reading = *answer.reading;
  if (reading.kind != GetReply::Kind::hit) {
    return reading.kind == GetReply::Kind::miss;
  }
  const std::optional<Version> version = served_version(reading, facts);
  if (!version || answer.allowed == nullptr || !answer.allowed->allows(*version)) {
    return false;
  }
  const Operation* put = facts.find(version->put);
  const bool header_agrees = reading.header->key == reading.key &&
                             (version->update != 0 || reading.header->put == version->put);
  return put != nullptr && header_agrees && put->body_bytes == reading.claimed_bytes &&
         put->body_bytes == reading.served_bytes && reading.offset_bytes == 0 &&
         reading.pieces.size() <= 1;
}

}  // namespace properties
