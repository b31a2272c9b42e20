#include "runner/prober.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>

#include "faultfs/base/random.h"
#include "runner/explorer.h"

namespace runner {
namespace {

constexpr std::uint64_t search_part = 2000;

/// `hint` in a log of `log_size` entries: once counted from its beginning, once from its end.
std::vector<faultfs::CrashPlan> transferred(const Hint& hint, std::uint32_t log_size) {
  std::vector<faultfs::CrashPlan> plans;
  for (const bool from_end : {true, false}) {
    const std::int64_t shift = from_end ? std::int64_t{log_size} - std::int64_t{hint.log_size} : 0;
    faultfs::CrashPlan plan = hint.plan;
    const auto moved = [&](std::uint32_t entry) {
      return static_cast<std::uint32_t>(std::clamp<std::int64_t>(entry + shift, 0, log_size));
    };
    plan.point.entry = moved(plan.point.entry);
    std::erase_if(plan.fates, [&](const faultfs::Fate& fate) {
      return std::int64_t{fate.write} + shift < 1 || fate.write + shift > log_size;
    });
    for (auto& fate : plan.fates) {
      fate.write = moved(fate.write);
    }
    plans.push_back(std::move(plan));
    // The same point with every volatile write lost, or none: what a fate was needed for may be
    // gone.
    plans.push_back({plans.back().point, {}});
  }
  return plans;
}

/// A cut inside one write, as inside each of the writes in `log` that may be its like.
std::vector<faultfs::CrashPlan> likened(const Hint& hint,
                                        const faultfs::CrashModel& model,
                                        const std::vector<std::vector<std::uint32_t>>& weighty) {
  constexpr std::size_t likes_max = 3;
  std::vector<faultfs::CrashPlan> plans;
  const faultfs::CrashPlan& plan = hint.plan;
  if (!plan.point.inside || plan.fates.size() > 1) {
    return plans;
  }
  for (const auto& group : weighty) {
    for (std::size_t i = 0; i < std::min(group.size(), likes_max); ++i) {
      faultfs::CrashPlan like = plan;
      like.point.entry = group[group.size() - 1 - i];
      const auto open = model.volatile_writes(like.point);
      const auto sectors = open.empty() ? 0 : open.back().sector_count;
      for (faultfs::Fate& fate : like.fates) {
        fate.write = like.point.entry;
        std::erase_if(fate.sectors, [sectors](std::uint32_t sector) { return sector >= sectors; });
      }
      plans.push_back(std::move(like));
    }
  }
  return plans;
}

/// `breaks_here` in a forked child: a death by signal is a broken `process_survives`.
faultfs::Result<bool> breaks_in_child(Experiment& experiment,
                                      const faultfs::CrashPlan& plan,
                                      const std::string& property) {
  enum Answer : int { holds = 0, broken = 1, trouble = 2 };
  const pid_t child = fork();
  if (child < 0) {
    return faultfs::fail("no child process can be forked to isolate a crash state");
  }
  if (child == 0) {
    auto result = experiment.run(plan);
    _exit(!result ? trouble : violates(result->judgement, property) ? broken : holds);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status)) {
    return property == "process_survives";
  }
  if (WEXITSTATUS(status) == trouble) {
    return faultfs::fail("an isolated crash state could not be run");
  }
  return WEXITSTATUS(status) == broken;
}

}  // namespace

std::vector<faultfs::CrashPlan> restart_points(const faultfs::WriteLog& log) {
  std::vector<faultfs::CrashPlan> plans;
  for (std::uint32_t number = 2; number <= log.size(); ++number) {
    const std::string_view mark = log.mark_text(number);
    if (mark == "kill" || mark == "stop") {
      plans.push_back({{faultfs::CutKind::kill, number - 1, false}, {}});
    }
  }
  return plans;
}

bool violates(const properties::Judgement& judgement, std::string_view property) {
  return std::ranges::any_of(judgement.violations, [&](const properties::Violation& violation) {
    return violation.property == property;
  });
}

// NOLINTNEXTLINE(readability-function-size): how, which cache, on what, of which seed, of what.
Prober::Prober(ProberOptions options,
               scenarios::TargetConfig config,
               faultfs::DeviceProfile profile,
               std::uint64_t seed,
               std::string property,
               std::optional<scenarios::Recording> recording)
    : options_(std::move(options)),
      config_(std::move(config)),
      profile_(std::move(profile)),
      seed_(seed),
      property_(std::move(property)) {
  if (recording) {
    failing_.commands = recording->commands;
    failing_.faults = faults_ = recording->faults;
    auto stage = Stage::create(config_, profile_, options_.stage);
    if (stage) {
      stage_ = std::move(*stage);
      failing_.experiment = Experiment::resume(*stage_, std::move(*recording));
    }
  }
}

Prober::~Prober() = default;

bool Prober::writes_in_a_circle() const {
  return stage_ && stage_->target().traits().circle_bytes > 0;
}

bool Prober::deterministic() const {
  return !stage_ || stage_->target().traits().deterministic;
}

bool Prober::is_of(const Recorded& recorded,
                   const std::vector<scenarios::Command>& commands) const {
  return recorded.experiment && commands == recorded.commands && faults_ == recorded.faults;
}

faultfs::Result<Experiment*> Prober::experiment(const std::vector<scenarios::Command>& commands) {
  for (const Recorded* known : {&failing_, &trial_}) {
    if (is_of(*known, commands)) {
      return known->experiment.get();
    }
  }
  if (!stage_) {
    auto stage = Stage::create(config_, profile_, options_.stage);
    if (!stage) {
      return faultfs::fail(stage.error().message);
    }
    stage_ = std::move(*stage);
  }
  trial_.experiment.reset();
  auto made = Experiment::record(*stage_, config_, profile_, seed_, commands, faults_);
  if (!made) {
    return faultfs::fail(made.error().message);
  }
  trial_ = {commands, faults_, std::move(*made)};
  return trial_.experiment.get();
}

Hint Prober::found(const std::vector<scenarios::Command>& commands,
                   const faultfs::CrashPlan& plan) {
  if (!is_of(failing_, commands)) {
    failing_ = std::move(trial_);
    trial_ = {};
  }
  return {plan, failing_.experiment->recording().log.size()};
}

bool Prober::late() const {
  return std::chrono::steady_clock::now() >= options_.deadline;
}

faultfs::Result<bool> Prober::breaks_here(Experiment& experiment,
                                          const faultfs::CrashPlan& plan,
                                          std::shared_ptr<Recovery>* recovery) {
  if (!experiment.check(plan)) {
    return false;
  }
  ++states_;
  if (options_.isolate) {
    return breaks_in_child(experiment, plan, property_);
  }
  auto result = experiment.run(plan);
  if (!result) {
    return faultfs::fail(result.error().message);
  }
  if (recovery != nullptr) {
    *recovery = result->recovery;
  }
  return violates(result->judgement, property_);
}

bool Prober::dies_recording(const std::vector<scenarios::Command>& commands) {
  const bool known = is_of(failing_, commands) || is_of(trial_, commands);
  if (!options_.isolate || known) {
    return false;
  }
  const pid_t child = fork();
  if (child == 0) {
    _exit(experiment(commands) ? 0 : 1);
  }
  int status = 0;
  while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFSIGNALED(status);
}

// NOLINTNEXTLINE(readability-function-cognitive-complexity): three ways to look, one after another.
faultfs::Result<std::optional<Hint>> Prober::search(const std::vector<scenarios::Command>& commands,
                                                    const Hint& hint,
                                                    std::uint64_t states_max) {
  if (dies_recording(commands)) {
    return std::optional<Hint>();
  }
  auto made = experiment(commands);
  if (!made) {
    return faultfs::fail(made.error().message);
  }
  Experiment& experiment = **made;
  const std::uint32_t log_size = experiment.recording().log.size();
  std::vector<faultfs::CrashPlan> likely = transferred(hint, log_size);
  const auto weighty = weighty_entries(experiment.recording());
  std::ranges::move(likened(hint, experiment.model(), weighty), std::back_inserter(likely));
  if (violates(experiment.judge_run(), property_)) {
    if (deterministic()) {
      return found(commands, {{faultfs::CutKind::kill, log_size, false}, {}});
    }
    const auto points = restart_points(experiment.recording().log);
    likely.insert(likely.begin(), points.begin(), points.end());
  }
  for (const auto& plan : likely) {
    auto broken = breaks_here(experiment, plan);
    if (!broken) {
      return faultfs::fail(broken.error().message);
    }
    if (*broken) {
      return found(commands, plan);
    }
  }
  // Then near states: few deviations everywhere, and a random sample.
  // A store that writes in a circle has few places like the one that failed, and those were tried.
  constexpr std::uint64_t circle_states = 16;
  std::uint64_t left = std::min(
      {options_.states_per_search, states_max, writes_in_a_circle() ? circle_states : states_max});
  for (const char* name : {"bounded", "mixed"}) {
    ExplorerOptions explorer_options;
    explorer_options.name = name;
    explorer_options.deviations_max = 1;
    explorer_options.seed = faultfs::mix(seed_, search_part);
    explorer_options.weighty = weighty;
    // A child's recovery stays in the child.
    explorer_options.depth =
        options_.isolate ? 0 : static_cast<std::uint32_t>(hint.plan.again.size());
    experiment.configure({PruneOptions::none(), explorer_options.depth});
    auto explorer = make_explorer(experiment.model(), explorer_options);
    const std::uint64_t share = name == std::string_view("bounded") ? left / 2 : left;
    for (std::uint64_t count = 0; explorer && count < share && !late(); ++count, --left) {
      const auto plan = (*explorer)->next();
      if (!plan) {
        break;
      }
      std::shared_ptr<Recovery> recovery;
      auto broken = breaks_here(experiment, *plan, &recovery);
      if (!broken) {
        return faultfs::fail(broken.error().message);
      }
      if (*broken) {
        return found(commands, *plan);
      }
      (*explorer)->recovered({}, recovery);
    }
  }
  return std::optional<Hint>();
}

faultfs::Result<bool> Prober::breaks(const std::vector<scenarios::Command>& commands,
                                     const faultfs::CrashPlan& plan) {
  if (dies_recording(commands)) {
    return false;
  }
  auto made = experiment(commands);
  if (!made) {
    return faultfs::fail(made.error().message);
  }
  // What went wrong while recording goes wrong whatever the plan says.
  if (deterministic() && violates((*made)->judge_run(), property_) && (*made)->check(plan)) {
    return true;
  }
  return breaks_here(**made, plan);
}

}  // namespace runner
