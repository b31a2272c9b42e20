#include "properties/answer_property.h"

#include "properties/text.h"

namespace properties {

Verdict AnswerProperty::judge(const Facts& facts,
                              std::vector<Violation>& found,
                              std::string& /*why*/) const {
  const std::size_t before = found.size();
  for (const Answer& answer : facts.answers) {
    if (answer.plain || answer.reading->kind != scenarios::GetReply::Kind::hit ||
        !broken_by(answer, facts)) {
      continue;
    }
    found.push_back(violation_of(*this, answer, facts));
    const std::string more = remark(answer, facts);
    found.back().observed += more.empty() ? "" : "; " + more;
  }
  return found.size() == before ? Verdict::holds : Verdict::violated;
}

std::string AnswerProperty::remark(const Answer& /*answer*/, const Facts& /*facts*/) const {
  return {};
}

}  // namespace properties
