// Three lengths must agree: bytes served, length announced, and the length of the put the bytes are
// of (where they are of several, or of none, the put the header names). In a read of a range only
// the announced length is judged,
// and in an answer that was broken off so that its client knows.
#include "properties/all.h"
#include "properties/answer_property.h"

namespace properties {
namespace {

class NoWrongLength : public AnswerProperty {
 public:
  [[nodiscard]] std::string_view name() const override { return "no_wrong_length"; }
  [[nodiscard]] std::string_view claim() const override {
    return "A hit is as long as it was announced, and as long as its PUT.";
  }

 protected:
  [[nodiscard]] bool broken_by(const Answer& answer, const Facts& facts) const override {
    const scenarios::Reading& reading = *answer.reading;
    if (answer.whole_asked && !reading.broken_off &&
        reading.served_bytes != reading.claimed_bytes) {
      return true;
    }
    const scenarios::PutNumber bytes_of = served_put(reading, facts);
    const bool named = bytes_of == 0 && reading.header.has_value() && reading.header->update == 0;
    const scenarios::Operation* put = facts.find(named ? reading.header->put : bytes_of);
    return put != nullptr && put->body_bytes != reading.claimed_bytes;
  }
};

}  // namespace

const Property& no_wrong_length() {
  static const NoWrongLength property;
  return property;
}

}  // namespace properties
