// Another key's bytes in an answer, or another key's header over it. Example: "GET k7 -> hit, 16K:
// [0, 16K) from put#4 of k2". It is the worst of all: one client is shown what another one stored.
#include <algorithm>

#include "properties/all.h"
#include "properties/answer_property.h"

namespace properties {
namespace {

class NoForeignBytes : public AnswerProperty {
 public:
  [[nodiscard]] std::string_view name() const override { return "no_foreign_bytes"; }
  [[nodiscard]] std::string_view claim() const override {
    return "A hit holds no byte, and no header, of another key.";
  }

 protected:
  [[nodiscard]] bool broken_by(const Answer& answer, const Facts& /*facts*/) const override {
    const scenarios::Reading& reading = *answer.reading;
    const bool header = reading.header.has_value() && reading.header->key != reading.key;
    return header || std::any_of(reading.pieces.begin(),
                                 reading.pieces.end(),
                                 [&reading](const scenarios::Piece& piece) {
                                   const bool bytes =
                                       piece.kind == scenarios::Piece::Kind::body ||
                                       piece.kind == scenarios::Piece::Kind::displaced;
                                   return bytes && piece.key != reading.key;
                                 });
  }
};

}  // namespace

const Property& no_foreign_bytes() {
  static const NoForeignBytes property;
  return property;
}

}  // namespace properties
