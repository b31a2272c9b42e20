// A cache that always misses tells no lie, and is no use. So what was durable when the power went
// and could not lawfully be forgotten must be a hit: the key's last put, acknowledged and then
// durable, with nothing later begun on it that takes it away (allowed.cc) and no eviction that may
// have (demand.cc).
//
// A hit with other bytes is for the other properties to judge. A get that failed is neither hit nor
// miss: undecided.
#include "properties/all.h"
#include "properties/facts.h"
#include "properties/text.h"

namespace properties {
namespace {

using scenarios::GetReply;

class RecallFloor : public Property {
 public:
  [[nodiscard]] std::string_view name() const override { return "recall_floor"; }
  [[nodiscard]] std::string_view claim() const override {
    return "What was durable, and neither replaced, purged nor evicted, is still a hit.";
  }
  [[nodiscard]] Verdict judge(const Facts& facts,
                              std::vector<Violation>& found,
                              std::string& why) const override {
    const std::size_t before = found.size();
    Verdict verdict = Verdict::holds;
    for (const Answer& answer : facts.answers) {
      const bool floor = answer.allowed != nullptr && answer.allowed->must != 0 &&
                         answer.phase != Phase::during_the_run;
      if (!floor || answer.reading->kind == GetReply::Kind::hit) {
        continue;
      }
      if (answer.reading->kind == GetReply::Kind::failed) {
        why = "a get failed: " + answer.reading->detail;
        verdict = Verdict::undecided;
        continue;
      }
      found.push_back(violation_of(*this, answer, facts));
    }
    return found.size() == before ? verdict : Verdict::violated;
  }
};

}  // namespace

const Property& recall_floor() {
  static const RecallFloor property;
  return property;
}

}  // namespace properties
