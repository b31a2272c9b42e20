// Bytes that no put ever sent: noise, metadata of the store, lines that were damaged, or a header
// that is nobody's. Bytes of a put that is not in the history, or had not begun, are nobody's too.
#include <algorithm>

#include "properties/all.h"
#include "properties/answer_property.h"

namespace properties {
namespace {

/// `put` is one of the key's own that had begun. Bytes of other keys are judged elsewhere.
bool had_begun(scenarios::PutNumber put, const KeyAnswers& answers) {
  const auto same = [put](const auto& version) { return version.put == put; };
  const auto ended_same = [put](const EndedVersion& ended) { return ended.version.put == put; };
  const auto& open = answers.in_flight;
  const auto& given_up = answers.given_up;
  return std::any_of(answers.may.begin(), answers.may.end(), same) ||
         std::any_of(answers.ended.begin(), answers.ended.end(), ended_same) ||
         std::find(open.begin(), open.end(), put) != open.end() ||
         std::find(given_up.begin(), given_up.end(), put) != given_up.end();
}

/// `number` is 0 or an operation of `kind` in the history.
bool is_operation(std::uint32_t number, scenarios::OperationKind kind, const Facts& facts) {
  const scenarios::Operation* operation = facts.find(number);
  return number == 0 || (operation != nullptr && operation->kind == kind);
}

bool nobodys(const scenarios::Piece& piece, const Answer& answer, const Facts& facts) {
  if (piece.kind == scenarios::Piece::Kind::unwritten) {
    return false;
  }
  const bool own = piece.key == answer.reading->key && answer.allowed != nullptr;
  return piece.kind == scenarios::Piece::Kind::garbage ||
         !is_operation(piece.put, scenarios::OperationKind::put, facts) ||
         (own && !had_begun(piece.put, *answer.allowed));
}

class NoGarbage : public AnswerProperty {
 public:
  [[nodiscard]] std::string_view name() const override { return "no_garbage"; }
  [[nodiscard]] std::string_view claim() const override {
    return "A hit holds only bytes, and a header, that a client sent.";
  }

 protected:
  [[nodiscard]] bool broken_by(const Answer& answer, const Facts& facts) const override {
    const scenarios::Reading& reading = *answer.reading;
    const bool bytes = std::any_of(
        reading.pieces.begin(), reading.pieces.end(), [&](const scenarios::Piece& piece) {
          return nobodys(piece, answer, facts);
        });
    return bytes || !reading.header.has_value() ||
           !is_operation(reading.header->update, scenarios::OperationKind::update, facts);
  }
};

}  // namespace

const Property& no_garbage() {
  static const NoGarbage property;
  return property;
}

}  // namespace properties
