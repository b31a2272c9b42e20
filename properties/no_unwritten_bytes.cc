// Zeros in an answer: space that was reserved for the object and never written (or that the device
// lost to zeros). Bodies have no zero bytes of their own, so one is enough.
#include <algorithm>

#include "properties/all.h"
#include "properties/answer_property.h"

namespace properties {
namespace {

class NoUnwrittenBytes : public AnswerProperty {
 public:
  [[nodiscard]] std::string_view name() const override { return "no_unwritten_bytes"; }
  [[nodiscard]] std::string_view claim() const override {
    return "A hit holds no byte that nobody ever wrote.";
  }

 protected:
  [[nodiscard]] bool broken_by(const Answer& answer, const Facts& /*facts*/) const override {
    const auto& pieces = answer.reading->pieces;
    return std::any_of(pieces.begin(), pieces.end(), [](const scenarios::Piece& piece) {
      return piece.kind == scenarios::Piece::Kind::unwritten;
    });
  }
};

}  // namespace

const Property& no_unwritten_bytes() {
  static const NoUnwrittenBytes property;
  return property;
}

}  // namespace properties
