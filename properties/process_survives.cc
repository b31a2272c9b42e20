// The death of the cache's process is a verdict of its own: whatever the disk holds, the cache may
// refuse it, never fall over it. Kills by the harness are not deaths. SIGKILL is nothing a process
// does to itself: somebody else (an operator, the kernel short of memory) ended it, and what it
// would have done is undecided.
#include <csignal>

#include <fmt/format.h>

#include "properties/all.h"
#include "properties/facts.h"

namespace properties {
namespace {

std::string last_line(const std::string& text) {
  const std::size_t end = text.find_last_not_of("\n ");
  if (end == std::string::npos) {
    return {};
  }
  const std::size_t begin = text.rfind('\n', end);
  return text.substr(begin == std::string::npos ? 0 : begin + 1,
                     begin == std::string::npos ? end + 1 : end - begin);
}

std::string death_text(const scenarios::Death& death) {
  const std::string last = last_line(death.log_tail);
  const std::string how = death.signal != 0
                              ? fmt::format("the process died by signal {}", death.signal)
                              : fmt::format("the process ended with exit code {}", death.exit_code);
  return last.empty() ? how : fmt::format("{}; its last words: {}", how, last);
}

class ProcessSurvives : public Property {
 public:
  [[nodiscard]] std::string_view name() const override { return "process_survives"; }
  [[nodiscard]] std::string_view claim() const override {
    return "Whatever the disk holds, the cache's process goes on.";
  }
  [[nodiscard]] Verdict judge(const Facts& facts,
                              std::vector<Violation>& found,
                              std::string& why) const override {
    const auto& death = facts.seen == nullptr ? facts.recording->death : facts.seen->death;
    if (!death) {
      return Verdict::holds;
    }
    if (death->signal == SIGKILL) {
      why = "the process was killed by signal 9, and not by the harness (out of memory?)";
      return Verdict::undecided;
    }
    Violation violation;
    violation.property = name();
    violation.claim = claim();
    violation.observed = death_text(*death);
    violation.allowed = "answers, or a refusal";
    violation.phase = last_phase(facts);
    found.push_back(std::move(violation));
    return Verdict::violated;
  }

 private:
  /// The last phase anything was read in.
  static std::string last_phase(const Facts& facts) {
    if (facts.seen == nullptr) {
      return std::string(phase_name(Phase::during_the_run));
    }
    return std::string(facts.answers.empty() ? "during recovery"
                                             : phase_name(facts.answers.back().phase));
  }
};

}  // namespace

const Property& process_survives() {
  static const ProcessSurvives property;
  return property;
}

}  // namespace properties
