#include "properties/judge.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "properties/log_demand.h"

namespace properties {
namespace {

using scenarios::CommandKind;
using scenarios::GetReply;
using scenarios::Reading;

bool claims_order(const std::vector<const Property*>& properties) {
  return std::any_of(properties.begin(), properties.end(), [](const Property* property) {
    return property->name() == "purged_stays_purged" || property->name() == "no_rollback";
  });
}

auto order_of(const faultfs::CrashPoint& point) {
  return std::tuple(point.entry, point.inside, point.kind);
}

}  // namespace

Judge::Judge(const scenarios::Recording& recording,
             const faultfs::CrashModel& model,
             std::vector<const Property*> properties)
    : recording_(recording), model_(model), properties_(std::move(properties)), demand_(recording) {
  facts_.recording = &recording;
  facts_.ordered = claims_order(properties_);
  facts_.restarted =
      std::ranges::any_of(recording.commands, scenarios::restarts, &scenarios::Command::kind);
}

Judgement Judge::judge(const scenarios::Examination& seen) {
  facts_.seen = &seen;
  facts_.answers.clear();
  const std::vector<KeyAnswers>& allowed = answers_at(seen.point);
  add_answers(seen.after_recovery, Phase::after_recovery, allowed);
  add_answers(seen.after_reopen, Phase::after_reopen, allowed);
  if (!seen.after_traffic.empty() || !seen.after_last_restart.empty()) {
    fold_in_traffic(seen);
    add_answers(seen.after_traffic, Phase::after_traffic, after_traffic_);
    add_answers(seen.after_last_restart, Phase::after_last_restart, after_traffic_);
  }
  Judgement judgement = judge_facts();
  facts_.seen = nullptr;
  return judgement;
}

Judgement Judge::judge_run() {
  facts_.seen = nullptr;
  facts_.answers.clear();
  // A get in the middle of a run sees what a kill right there would leave: all that had completed.
  // Positions in the logs of earlier segments mean nothing any more.
  const bool placed = recording_.history.segments == 1 &&
                      recording_.reading_at.size() == recording_.readings.size();
  for (std::size_t i = 0; i < recording_.readings.size(); ++i) {
    const Reading& reading = recording_.readings[i];
    Answer answer{&reading, Phase::during_the_run, nullptr, false, false};
    if (placed) {
      const faultfs::CrashPoint point{faultfs::CutKind::kill, recording_.reading_at[i], false};
      answer.allowed = find_answers(answers_at(point), reading.key);
    }
    facts_.answers.push_back(answer);
  }
  return judge_facts();
}

const std::vector<KeyAnswers>& Judge::answers_at(const faultfs::CrashPoint& point) {
  const auto at = std::lower_bound(points_.begin(),
                                   points_.end(),
                                   order_of(point),
                                   [](const std::unique_ptr<Point>& a, const auto& wanted) {
                                     return order_of(a->point) < wanted;
                                   });
  if (at != points_.end() && (*at)->point == point) {
    return (*at)->answers;
  }
  auto made = std::make_unique<Point>(Point{point, allowed_answers(recording_, model_, point)});
  return (*points_.insert(at, std::move(made)))->answers;
}

void Judge::add_answers(const std::vector<Reading>& readings,
                        Phase phase,
                        const std::vector<KeyAnswers>& allowed) {
  for (const Reading& reading : readings) {
    Answer answer{&reading, phase, find_answers(allowed, reading.key), false, true};
    answer.plain = is_plain(answer, facts_);
    facts_.answers.push_back(answer);
  }
}

void Judge::fold_in_traffic(const scenarios::Examination& seen) {
  after_traffic_ = answers_at(seen.point);
  for (const scenarios::Operation& operation : seen.traffic) {
    fold_traffic(operation, after_traffic_);
  }
  if (auto log = log_demand_at(recording_, seen.point)) {
    release_lapped_by_traffic(seen.traffic, std::move(*log), after_traffic_);
    return;
  }
  held_.clear();
  const std::vector<Reading>& last =
      seen.after_reopen.empty() ? seen.after_recovery : seen.after_reopen;
  for (const Reading& reading : last) {
    if (const auto version = served_version(reading, facts_)) {
      held_.emplace_back(reading.key, *version);
    }
  }
  demand_.restart_with(held_);
  release_evicted_by_traffic(seen.traffic, demand_, after_traffic_);
}

Judgement Judge::judge_facts() const {
  Judgement judgement;
  std::string why;
  for (const Property* property : properties_) {
    why.clear();
    const Verdict verdict = property->judge(facts_, judgement.violations, why);
    if (verdict == Verdict::undecided) {
      judgement.undecided.push_back(std::string(property->name()) + ": " + why);
    }
    judgement.verdict = std::max(judgement.verdict, verdict);
  }
  return judgement;
}

Judgement judge(const Evidence& evidence, const std::vector<const Property*>& properties) {
  return Judge(evidence.recording, evidence.model, properties).judge(evidence.seen);
}

Judgement judge_run(const scenarios::Recording& recording,
                    const faultfs::CrashModel& model,
                    const std::vector<const Property*>& properties) {
  return Judge(recording, model, properties).judge_run();
}

}  // namespace properties
