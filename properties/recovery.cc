// recovery_ends: after every cut the cache starts, answers, and its rebuild comes to an end (within
// the bound `scenarios::examine` gives it). A process that died instead is process_survives.
//
// recovery_stable: a restart decides once. What was told after recovery is told again after a kill
// and a second restart, and once more after the traffic and the last restart; in between, a key
// that the traffic did not touch may be evicted, but it may neither change nor come back. No cut of
// power lies between these, so this holds on lying devices too. A get that failed cannot be
// compared: undecided.
//
// attach_equals_rebuild: where the first start took its directory over from shared memory, it tells
// what the second one tells, which was preceded by a kill and read the disk. It may know of objects
// that a rebuild forgets, as far as recovery_stable is not claimed; it may not miss or contradict
// what the disk says.
#include <algorithm>

#include <fmt/format.h>

#include "properties/all.h"
#include "properties/facts.h"
#include "properties/text.h"

namespace properties {
namespace {

using scenarios::GetReply;
using scenarios::Reading;

class RecoveryEnds : public Property {
 public:
  [[nodiscard]] std::string_view name() const override { return "recovery_ends"; }
  [[nodiscard]] std::string_view claim() const override {
    return "After every cut the cache starts, and its recovery comes to an end.";
  }
  [[nodiscard]] Verdict judge(const Facts& facts,
                              std::vector<Violation>& found,
                              std::string& /*why*/) const override {
    const std::string observed = trouble(facts);
    if (observed.empty()) {
      return Verdict::holds;
    }
    Violation violation;
    violation.property = name();
    violation.claim = claim();
    violation.observed = observed;
    violation.allowed = "ready, whatever the disk holds";
    violation.phase =
        phase_name(facts.seen == nullptr ? Phase::during_the_run : Phase::after_recovery);
    found.push_back(std::move(violation));
    return Verdict::violated;
  }

 private:
  static std::string trouble(const Facts& facts) {
    if (facts.seen == nullptr) {
      const std::string& seen = facts.recording->trouble;
      return facts.recording->death || seen.empty() ? "" : "a restart failed: " + seen;
    }
    const scenarios::Examination& seen = *facts.seen;
    if (seen.death) {
      return "";
    }
    if (seen.started != scenarios::Outcome::done) {
      const char* how =
          seen.started == scenarios::Outcome::refused ? "refused to start" : "does not answer";
      return seen.start_detail.empty() ? fmt::format("the cache {}", how)
                                       : fmt::format("the cache {}: {}", how, seen.start_detail);
    }
    return seen.recovery_ended ? "" : "the rebuild went on past every bound";
  }
};

/// The same answer for the client. (Details of a failure may differ.)
bool same_answer(const Reading& a, const Reading& b) {
  return a.kind == b.kind && (a.kind != GetReply::Kind::hit ||
                              (a.header == b.header && a.claimed_bytes == b.claimed_bytes &&
                               a.served_bytes == b.served_bytes && a.pieces == b.pieces));
}

const Reading* find_reading(const std::vector<Reading>& readings,
                            std::size_t near,
                            std::uint32_t key) {
  if (near < readings.size() && readings[near].key == key) {
    return &readings[near];
  }
  const auto at = std::find_if(readings.begin(), readings.end(), [key](const Reading& reading) {
    return reading.key == key;
  });
  return at == readings.end() ? nullptr : &*at;
}

/// Two askings of every key, and what may lie between them.
struct Interval {
  const std::vector<Reading>* before = nullptr;
  Phase before_phase = Phase::after_recovery;
  const std::vector<Reading>* after = nullptr;
  Phase after_phase = Phase::after_reopen;
  bool traffic = false;  ///< the traffic lay between them
};

class RecoveryStable : public Property {
 public:
  [[nodiscard]] std::string_view name() const override { return "recovery_stable"; }
  [[nodiscard]] std::string_view claim() const override {
    return "A second restart tells what the first one told.";
  }
  [[nodiscard]] Verdict judge(const Facts& facts,
                              std::vector<Violation>& found,
                              std::string& why) const override {
    if (facts.seen == nullptr) {
      return Verdict::holds;
    }
    const scenarios::Examination& seen = *facts.seen;
    const bool reopened = !seen.after_reopen.empty();
    const std::vector<Reading>* first = &seen.after_recovery;
    const std::vector<Reading>* second = reopened ? &seen.after_reopen : first;
    const Phase second_phase = reopened ? Phase::after_reopen : Phase::after_recovery;
    const Interval intervals[] = {
        {first, Phase::after_recovery, &seen.after_reopen, Phase::after_reopen, false},
        {second, second_phase, &seen.after_traffic, Phase::after_traffic, true},
        {&seen.after_traffic,
         Phase::after_traffic,
         &seen.after_last_restart,
         Phase::after_last_restart,
         false},
    };
    Verdict verdict = Verdict::holds;
    for (const Interval& interval : intervals) {
      verdict = std::max(verdict, compare(interval, seen, found, why));
    }
    return verdict;
  }

 private:
  Verdict compare(const Interval& interval,
                  const scenarios::Examination& seen,
                  std::vector<Violation>& found,
                  std::string& why) const {
    Verdict verdict = Verdict::holds;
    for (std::size_t i = 0; i < interval.after->size(); ++i) {
      const Reading& after = (*interval.after)[i];
      const Reading* before = find_reading(*interval.before, i, after.key);
      if (before == nullptr || same_answer(*before, after) ||
          (interval.traffic && lawful_in_traffic(after, seen))) {
        continue;
      }
      if (before->kind == GetReply::Kind::failed || after.kind == GetReply::Kind::failed) {
        why = "a get failed: " + before->detail + after.detail;
        verdict = std::max(verdict, Verdict::undecided);
        continue;
      }
      found.push_back(changed(interval, *before, after));
      verdict = Verdict::violated;
    }
    return verdict;
  }

  static bool lawful_in_traffic(const Reading& after, const scenarios::Examination& seen) {
    return after.kind == GetReply::Kind::miss ||
           std::any_of(seen.traffic.begin(),
                       seen.traffic.end(),
                       [&after](const scenarios::Operation& operation) {
                         return operation.key == after.key;
                       });
  }

  [[nodiscard]] Violation changed(const Interval& interval,
                                  const Reading& before,
                                  const Reading& after) const {
    Violation violation;
    violation.property = name();
    violation.claim = claim();
    violation.observed = fmt::format("{}; {} it was: {}",
                                     observed_text(after),
                                     phase_name(interval.before_phase),
                                     answer_text(before));
    violation.allowed = interval.traffic && before.kind == GetReply::Kind::hit
                            ? "miss | " + answer_text(before)
                            : answer_text(before);
    violation.key = after.key;
    violation.phase = phase_name(interval.after_phase);
    return violation;
  }
};

class AttachEqualsRebuild : public Property {
 public:
  [[nodiscard]] std::string_view name() const override { return "attach_equals_rebuild"; }
  [[nodiscard]] std::string_view claim() const override {
    return "A directory taken over from shared memory tells what the disk tells.";
  }
  [[nodiscard]] Verdict judge(const Facts& facts,
                              std::vector<Violation>& found,
                              std::string& why) const override {
    if (facts.seen == nullptr || !facts.seen->attached) {
      return Verdict::holds;
    }
    Verdict verdict = Verdict::holds;
    const std::vector<Reading>& rebuilt = facts.seen->after_reopen;
    for (std::size_t i = 0; i < rebuilt.size(); ++i) {
      const Reading* attached = find_reading(facts.seen->after_recovery, i, rebuilt[i].key);
      if (attached == nullptr || rebuilt[i].kind == GetReply::Kind::miss ||
          same_answer(*attached, rebuilt[i])) {
        continue;
      }
      if (attached->kind == GetReply::Kind::failed || rebuilt[i].kind == GetReply::Kind::failed) {
        why = "a get failed: " + attached->detail + rebuilt[i].detail;
        verdict = std::max(verdict, Verdict::undecided);
        continue;
      }
      Violation violation;
      violation.property = name();
      violation.claim = claim();
      violation.observed = fmt::format(
          "{}; rebuilt from the disk it is: {}", observed_text(*attached), answer_text(rebuilt[i]));
      violation.allowed = answer_text(rebuilt[i]);
      violation.key = rebuilt[i].key;
      violation.phase = phase_name(Phase::after_recovery);
      found.push_back(std::move(violation));
      verdict = Verdict::violated;
    }
    return verdict;
  }
};

}  // namespace

const Property& attach_equals_rebuild() {
  static const AttachEqualsRebuild property;
  return property;
}

const Property& recovery_ends() {
  static const RecoveryEnds property;
  return property;
}

const Property& recovery_stable() {
  static const RecoveryStable property;
  return property;
}

}  // namespace properties
