#pragma once

#include <string>
#include <vector>

#include "properties/facts.h"

namespace properties {

/// A property of single hits: it is broken where one hit breaks it. Plain answers cannot.
class AnswerProperty : public Property {
 public:
  [[nodiscard]] Verdict judge(const Facts& facts,
                              std::vector<Violation>& found,
                              std::string& why) const final;

 protected:
  /// `answer` is a hit and not plain.
  [[nodiscard]] virtual bool broken_by(const Answer& answer, const Facts& facts) const = 0;
  /// What to say beyond the bytes seen ("purged by purge#5"); may be empty.
  [[nodiscard]] virtual std::string remark(const Answer& answer, const Facts& facts) const;
};

}  // namespace properties
