#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "properties/demand.h"
#include "properties/facts.h"

namespace properties {

/// Judges the crash states of one recording. Keeps, per crash point, what a get may answer there,
/// and reuses its memory, so a state in which all holds costs a few microseconds.
///
/// Keeps references to the recording and the model, which must outlive it and not change. Not
/// thread-safe.
class Judge {
 public:
  Judge(const scenarios::Recording& recording,
        const faultfs::CrashModel& model,
        std::vector<const Property*> properties);

  /// Judges what was seen of one crash state; worst wins.
  [[nodiscard]] Judgement judge(const scenarios::Examination& seen);

  /// Judges the recorded run itself: the gets in it, a death, a restart that failed. Gets in a run
  /// may ask for ranges, and may come while a rebuild goes on, so lengths, the recall floor and
  /// stability are not judged there; where the history has power cuts, order neither.
  [[nodiscard]] Judgement judge_run();

 private:
  struct Point {
    faultfs::CrashPoint point;
    std::vector<KeyAnswers> answers;
  };
  [[nodiscard]] const std::vector<KeyAnswers>& answers_at(const faultfs::CrashPoint& point);
  void add_answers(const std::vector<scenarios::Reading>& readings,
                   Phase phase,
                   const std::vector<KeyAnswers>& allowed);
  void fold_in_traffic(const scenarios::Examination& seen);
  [[nodiscard]] Judgement judge_facts() const;

  const scenarios::Recording& recording_;
  const faultfs::CrashModel& model_;
  std::vector<const Property*> properties_;
  Facts facts_;
  std::vector<std::unique_ptr<Point>> points_;  // ascending
  std::vector<KeyAnswers> after_traffic_;
  Demand demand_;
  std::vector<std::pair<scenarios::Key, Version>> held_;
};

/// `Judge::judge_run` for one call.
[[nodiscard]] Judgement judge_run(const scenarios::Recording& recording,
                                  const faultfs::CrashModel& model,
                                  const std::vector<const Property*>& properties);

}  // namespace properties
