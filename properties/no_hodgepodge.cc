// A hodgepodge is an object made of pieces of several versions of its key: bytes of two puts, a
// put's bytes in another place than they were sent to, or the header of one put over the body of
// another. Example: "[0, 32K) from put#3, [32K, 64K) from put#5".
//
// A header update belongs to every version the key may have held when it came; after a restart the
// client does not know which, so there an update may name another put than the body's, as long as
// that body was put before it. Bytes of other keys are no_foreign_bytes; zeros, no_unwritten_bytes.
#include <algorithm>

#include "properties/all.h"
#include "properties/answer_property.h"

namespace properties {
namespace {

using scenarios::Operation;
using scenarios::Piece;
using scenarios::Reading;

bool update_fits(scenarios::PutNumber put, const Answer& answer, const Facts& facts) {
  const Version version{put, answer.reading->header->update};
  const Operation* update = facts.find(version.update);
  if (update == nullptr || update->key != answer.reading->key) {
    return true;  // nobody's header, or another key's: not a mixture
  }
  if (update->of_put == put) {
    return true;
  }
  if (answer.allowed == nullptr || !facts.ordered) {
    return facts.restarted && put < version.update;
  }
  const auto& ended = answer.allowed->ended;
  return answer.allowed->allows(version) ||
         std::any_of(ended.begin(), ended.end(), [version](const EndedVersion& e) {
           return e.version == version;
         });
}

bool header_fits(const Answer& answer, const Facts& facts) {
  const Reading& reading = *answer.reading;
  const scenarios::PutNumber put = served_put(reading, facts);
  if (put == 0 || !reading.header.has_value() || reading.header->key != reading.key) {
    return true;
  }
  return reading.header->update == 0 ? reading.header->put == put : update_fits(put, answer, facts);
}

bool one_put(const Reading& reading) {
  scenarios::PutNumber put = 0;
  for (const Piece& piece : reading.pieces) {
    const bool bytes = piece.kind == Piece::Kind::body || piece.kind == Piece::Kind::displaced;
    if (!bytes || piece.key != reading.key) {
      continue;
    }
    if (piece.kind == Piece::Kind::displaced || (put != 0 && put != piece.put)) {
      return false;
    }
    put = piece.put;
  }
  return true;
}

class NoHodgepodge : public AnswerProperty {
 public:
  [[nodiscard]] std::string_view name() const override { return "no_hodgepodge"; }
  [[nodiscard]] std::string_view claim() const override {
    return "A hit returns the bytes of one PUT, whole.";
  }

 protected:
  [[nodiscard]] bool broken_by(const Answer& answer, const Facts& facts) const override {
    return !one_put(*answer.reading) || !header_fits(answer, facts);
  }
};

}  // namespace

const Property& no_hodgepodge() {
  static const NoHodgepodge property;
  return property;
}

}  // namespace properties
