// An object the client never finished: given up before all bytes were sent, refused by the cache,
// or in flight when the power went and not all there. A put in flight whose bytes are all there may
// be served: nobody told the client that it failed, and it is whole.
#include <algorithm>

#include "properties/all.h"
#include "properties/answer_property.h"

namespace properties {
namespace {

bool shows(const scenarios::Reading& reading, scenarios::PutNumber put) {
  const bool header = reading.header.has_value() && reading.header->key == reading.key &&
                      reading.header->update == 0 && reading.header->put == put;
  return header || std::any_of(reading.pieces.begin(),
                               reading.pieces.end(),
                               [&reading, put](const scenarios::Piece& piece) {
                                 return piece.key == reading.key && piece.put == put;
                               });
}

class NoUnfinishedObject : public AnswerProperty {
 public:
  [[nodiscard]] std::string_view name() const override { return "no_unfinished_object"; }
  [[nodiscard]] std::string_view claim() const override {
    return "A PUT that was never completed is never served.";
  }

 protected:
  [[nodiscard]] bool broken_by(const Answer& answer, const Facts& facts) const override {
    if (answer.allowed == nullptr) {
      return false;  // during the run an upload's state at that moment is not known here
    }
    const scenarios::Reading& reading = *answer.reading;
    const auto& given_up = answer.allowed->given_up;
    const bool shows_given_up = std::any_of(
        given_up.begin(), given_up.end(), [&](auto put) { return shows(reading, put); });
    const scenarios::PutNumber put = served_put(reading, facts);
    const scenarios::Operation* operation = facts.find(put);
    const auto& open = answer.allowed->in_flight;
    const bool in_flight = std::find(open.begin(), open.end(), put) != open.end();
    return shows_given_up || (in_flight && operation != nullptr && answer.whole_asked &&
                              reading.served_bytes < operation->body_bytes);
  }

  [[nodiscard]] std::string remark(const Answer& answer, const Facts& facts) const override {
    for (const scenarios::PutNumber put : answer.allowed->given_up) {
      if (shows(*answer.reading, put)) {
        const scenarios::Operation* operation = facts.find(put);
        const bool aborted = operation != nullptr && operation->aborted;
        return "put#" + std::to_string(put) +
               (aborted ? " was given up by the client" : " was refused by the cache");
      }
    }
    return "its put had not been acknowledged";
  }
};

}  // namespace

const Property& no_unfinished_object() {
  static const NoUnfinishedObject property;
  return property;
}

}  // namespace properties
