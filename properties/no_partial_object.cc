// An object of which a part is missing: bytes of one put only, all in their places, but not all of
// them, whatever length was announced. Example: "GET k7 -> hit, 32K: [0, 32K) from put#3", where
// put#3 has 64K. A part replaced by other bytes is judged by what those bytes are. An answer that
// is broken off so that its client knows (a connection closed before the announced length) is no
// hit of a part: where the rest lay, the cache found nothing and said so.
#include "properties/all.h"
#include "properties/answer_property.h"

namespace properties {
namespace {

class NoPartialObject : public AnswerProperty {
 public:
  [[nodiscard]] std::string_view name() const override { return "no_partial_object"; }
  [[nodiscard]] std::string_view claim() const override {
    return "A hit returns all bytes of its PUT.";
  }

 protected:
  [[nodiscard]] bool broken_by(const Answer& answer, const Facts& facts) const override {
    const scenarios::Reading& reading = *answer.reading;
    const scenarios::Operation* put = facts.find(served_put(reading, facts));
    return answer.whole_asked && !reading.broken_off && put != nullptr &&
           reading.served_bytes < put->body_bytes;
  }
};

}  // namespace

const Property& no_partial_object() {
  static const NoPartialObject property;
  return property;
}

}  // namespace properties
