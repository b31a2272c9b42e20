#include "runner/explore_task.h"

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <set>

#include <fmt/format.h>

#include "faultfs/base/check.h"
#include "faultfs/base/random.h"
#include "runner/explorer.h"
#include "runner/known_cases.h"
#include "runner/prober.h"
#include "runner/recording_file.h"

namespace runner {
namespace {

constexpr std::uint64_t explorer_part = 2;
constexpr const char* survives = "process_survives";

/// Of this process with all its threads, and of its children that have ended.
double cpu_seconds() {
  double sum = 0;
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage used{};
    getrusage(who, &used);
    for (const timeval& time : {used.ru_utime, used.ru_stime}) {
      sum += static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
    }
  }
  return sum;
}

std::uint64_t memory_bytes_max() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  return static_cast<std::uint64_t>(used.ru_maxrss) * 1024;
}

/// One history being explored.
class Exploration {
 public:
  Exploration(const CampaignOptions& options,
              const StageOptions& stage_options,
              const ExploreTask& task)
      : options_(options),
        stage_options_(stage_options),
        task_(task),
        deadline_(std::chrono::steady_clock::now() +
                  std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                      std::chrono::duration<double>(task.seconds_max))),
        plan_(plan_history(options, task.index)) {
    result_.index = task.index;
    result_.profile = plan_.profile.name;
  }

  ExploreResult run() {
    at(0);
    const double cpu_before = cpu_seconds();
    if (!prepare()) {
      return std::move(result_);
    }
    run_states();
    stage_->target().kill();  // so that its time is counted
    result_.cost = {cpu_seconds() - cpu_before, memory_bytes_max(), experiment_->clock().seconds()};
    result_.cost.part_seconds.at(static_cast<std::size_t>(scenarios::CostPart::record)) +=
        recording_seconds_;
    for (const auto* property : experiment_->claimed()) {
      auto& count = result_.properties[std::string(property->name())];
      count.holds += result_.states - count.violated - count.undecided;
    }
    return std::move(result_);
  }

 private:
  void at(std::uint64_t state) {
    if (task_.whereabouts != nullptr) {
      *task_.whereabouts = {plan_.index, state};
    }
  }

  bool trouble(const std::string& message) {
    result_.trouble = message;
    return false;
  }

  bool prepare() {
    auto stage = Stage::create(plan_.config, plan_.profile, stage_options_);
    if (!stage) {
      return trouble(stage.error().message);
    }
    stage_ = std::move(*stage);
    plan_commands(options_, stage_->target().traits(), plan_);
    if (!record()) {
      return false;
    }
    auto judgement = experiment_->judge_run();
    if (judgement.verdict != properties::Verdict::violated && !experiment_->recording().death) {
      return true;
    }
    // A wrong answer while recording needs no crash state at all.
    if (stage_->target().traits().deterministic) {
      if (!record()) {
        return false;
      }
      keep_confirmed(judgement, experiment_->judge_run());
    }
    if (came_from_the_disk(judgement)) {
      return true;
    }
    const std::uint32_t end = experiment_->recording().log.size();
    count(judgement, {{faultfs::CutKind::kill, end, false}, {}});
    return true;
  }

  bool record() {
    experiment_.reset();
    const auto began = std::chrono::steady_clock::now();
    auto made = Experiment::record(
        *stage_, plan_.config, plan_.profile, plan_.seed, plan_.commands, plan_.faults);
    if (!made) {
      return trouble(made.error().message);
    }
    recording_seconds_ +=
        std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    experiment_ = std::move(*made);
    count_faults(experiment_->recording().fault_states);
    result_.gate_refusals.clear();
    for (const auto& [gate, refusals] : experiment_->recording().gate_refusals) {
      result_.gate_refusals[gate] += refusals;
    }
    return true;
  }

  /// Where a recording cannot be made again: was what went wrong in it on the disk at one of its
  /// restarts? Then that crash state is counted, which can be replayed.
  bool came_from_the_disk(const properties::Judgement& during_run) {
    if (stage_->target().traits().deterministic) {
      return false;
    }
    for (const auto& plan : restart_points(experiment_->recording().log)) {
      auto state = experiment_->run(plan);
      if (!state) {
        return trouble(state.error().message);
      }
      for (const auto& violation : during_run.violations) {
        if (violates(state->judgement, violation.property)) {
          count(state->judgement, plan);
          return true;
        }
      }
    }
    return false;
  }

  void run_states() {
    ExplorerOptions explorer_options;
    explorer_options.name = options_.explorer;
    explorer_options.seed = faultfs::mix(plan_.seed, explorer_part);
    explorer_options.deviations_max = options_.deviations_max;
    explorer_options.states_max = states_per_history(options_);
    explorer_options.weighty = weighty_entries(experiment_->recording());
    const bool nests = stage_->target().traits().deterministic && plan_.faults.empty() &&
                       !plan_.config.shared_memory;
    explorer_options.depth = nests ? options_.depth : 0;
    explorer_options.equal =
        options_.prune.contents ? faultfs::EqualContents::merged : faultfs::EqualContents::apart;
    experiment_->configure({options_.prune, explorer_options.depth});
    auto explorer = make_explorer(experiment_->model(), explorer_options);
    POWERCUT_CHECK(explorer.has_value(), "explorer {}", options_.explorer);
    for (std::uint64_t number = 1; number <= explorer_options.states_max; ++number) {
      const auto plan = (*explorer)->next();
      if (!plan) {
        break;
      }
      if (std::chrono::steady_clock::now() >= deadline_) {
        result_.unexplored.emplace_back("the rest of the histories that --time ended");
        break;
      }
      if (std::ranges::find(task_.crashed, number) != task_.crashed.end()) {
        crashed(*plan);
        // What it read before it died is not known: it may have been anything.
        (*explorer)->observed((*explorer)->undecided());
        continue;
      }
      at(number);
      if (options_.before_state) {
        options_.before_state(plan_.index, number);
      }
      if (!run_state(*plan, **explorer)) {
        break;
      }
    }
    result_.covered = (*explorer)->covered();
    for (const auto& left : (*explorer)->unexplored()) {
      result_.unexplored.push_back(left.what);
    }
    if (explorer_options.depth == 0) {
      result_.unexplored.emplace_back("cuts inside the recovery (--depth 2 has them)");
    }
  }

  bool run_state(const faultfs::CrashPlan& plan, Explorer& explorer) {
    const auto legal = experiment_->check(plan);
    POWERCUT_CHECK(legal.has_value(),
                   "explorer {} gave an illegal plan: {}\n{}",
                   options_.explorer,
                   legal ? "" : legal.error().message,
                   faultfs::to_text(plan));
    auto state = experiment_->run(plan, explorer.undecided());
    if (!state) {
      return trouble(state.error().message);
    }
    explorer.recovered(*state->reads, state->recovery);
    result_.executed += state->executed ? 1 : 0;
    result_.nested += plan.again.empty() ? 0 : 1;
    count_faults(state->seen->fault_states);
    for (const auto& [gate, refusals] : state->seen->gate_refusals) {
      result_.gate_refusals[gate] += refusals;
    }
    if (!confirm(plan, state->judgement)) {
      return false;
    }
    count(state->judgement, plan);
    return true;
  }

  /// Counts by what was asked for: the seed may be this history's own.
  void count_faults(const std::vector<faultfs::FaultState>& states) {
    for (std::size_t at = 0; at < plan_.faults.size(); ++at) {
      auto& count = result_.faults[plan_.faults_asked[at]];
      const std::string text = faultfs::faults::to_text(plan_.faults[at]);
      const auto state = std::ranges::find(states, text, &faultfs::FaultState::expression);
      if (state != states.end()) {
        count.matches += state->matches;
        count.firings += state->firings;
      }
    }
  }

  /// Runs a state again that would be the first of its history to break a property.
  bool confirm(const faultfs::CrashPlan& plan, properties::Judgement& judgement) {
    const bool news = std::ranges::any_of(judgement.violations, [&](const auto& violation) {
      return result_.properties[violation.property].violated == 0;
    });
    if (!news) {
      return true;
    }
    auto again = experiment_->run_anew(plan);
    if (!again) {
      return trouble(again.error().message);
    }
    keep_confirmed(judgement, again->judgement);
    return true;
  }

  /// What `again` does not show too is undecided: a process killed by somebody else, a lost race.
  static void keep_confirmed(properties::Judgement& judgement, const properties::Judgement& again) {
    std::erase_if(judgement.violations, [&](const properties::Violation& violation) {
      const bool shown = violates(again, violation.property);
      if (!shown) {
        judgement.undecided.push_back(fmt::format(
            "{}: seen once, and not when tried again: {}", violation.property, violation.observed));
      }
      return !shown;
    });
    if (judgement.verdict == properties::Verdict::violated && judgement.violations.empty()) {
      judgement.verdict = properties::Verdict::undecided;
    }
  }

  void count(const properties::Judgement& judgement, const faultfs::CrashPlan& plan) {
    ++result_.states;
    switch (judgement.verdict) {
      case properties::Verdict::holds:
        ++result_.held;
        break;
      case properties::Verdict::undecided:
        ++result_.undecided;
        break;
      case properties::Verdict::violated:
        ++result_.violated;
        note_first();
        break;
    }
    for (const auto& why : judgement.undecided) {
      ++result_.undecided_why[why];
      ++result_.properties[why.substr(0, why.find(':'))].undecided;
    }
    std::set<std::string> names;
    for (const auto& violation : judgement.violations) {
      names.insert(violation.property);
    }
    for (const auto& name : names) {
      if (++result_.properties[name].violated == 1) {
        keep(name, plan, false);
      }
    }
  }

  void note_first() {
    if (result_.first_violated == 0) {
      result_.first_violated = result_.states;
    }
  }

  void crashed(const faultfs::CrashPlan& plan) {
    ++result_.states;
    ++result_.executed;
    ++result_.violated;
    note_first();
    ++result_.properties[survives].violated;
    keep(survives, plan, true);
  }

  void keep(const std::string& property, const faultfs::CrashPlan& plan, bool isolate) {
    RawFailure failure;
    failure.file.scenario = plan_.scenario;
    failure.file.config = plan_.config;
    failure.file.profile = plan_.profile.name;
    failure.file.faults = plan_.faults;
    failure.file.seed = plan_.seed;
    failure.file.commands = plan_.commands;
    failure.file.plan = plan;
    failure.file.expect_property = property;
    failure.log_size = experiment_->recording().log.size();
    failure.isolate = isolate;
    if (!stage_->target().traits().deterministic) {
      keep_recording(failure);
    }
    result_.failures.push_back(std::move(failure));
  }

  /// The same commands would not write the same log again: the recording is the only evidence.
  void keep_recording(RawFailure& failure) {
    const auto directory = options_.out / pending_name(plan_.index);
    if (auto status = pack_recording(experiment_->recording(), directory, failure.file); !status) {
      result_.trouble = status.error().message;
      return;
    }
    failure.recording_directory = directory.string();
  }

  const CampaignOptions& options_;
  StageOptions stage_options_;
  const ExploreTask& task_;
  std::chrono::steady_clock::time_point deadline_;
  HistoryPlan plan_;
  ExploreResult result_;
  std::unique_ptr<Stage> stage_;
  std::unique_ptr<Experiment> experiment_;
  double recording_seconds_ = 0;
};

}  // namespace

ExploreResult explore(const CampaignOptions& options,
                      const StageOptions& stage_options,
                      const ExploreTask& task) {
  return Exploration(options, stage_options, task).run();
}

void to_json(nlohmann::json& json, const RawFailure& failure) {
  json = {{"case", to_text(failure.file)},
          {"log_size", failure.log_size},
          {"recording", failure.recording_directory},
          {"isolate", failure.isolate}};
}

void from_json(const nlohmann::json& json, RawFailure& failure) {
  auto file = parse_case(json.at("case").get<std::string>());
  POWERCUT_CHECK(file.has_value(),
                 "a case does not parse back: {}\n{}",
                 file ? "" : file.error().message,
                 json.at("case").get<std::string>());
  failure.file = *file;
  failure.log_size = json.at("log_size");
  failure.recording_directory = json.at("recording");
  failure.isolate = json.at("isolate");
}

void to_json(nlohmann::json& json, const ExploreResult& result) {
  nlohmann::json properties = nlohmann::json::object(), faults = nlohmann::json::object();
  for (const auto& [asked, count] : result.faults) {
    faults[asked] = {count.matches, count.firings};
  }
  for (const auto& [name, count] : result.properties) {
    properties[name] = {count.holds, count.violated, count.undecided};
  }
  json = {{"index", result.index},
          {"profile", result.profile},
          {"covered", result.covered},
          {"states", result.states},
          {"executed", result.executed},
          {"nested", result.nested},
          {"first_violated", result.first_violated},
          {"held", result.held},
          {"violated", result.violated},
          {"undecided", result.undecided},
          {"properties", properties},
          {"undecided_why", result.undecided_why},
          {"gates", result.gate_refusals},
          {"faults", faults},
          {"unexplored", result.unexplored},
          {"failures", result.failures},
          {"trouble", result.trouble},
          {"cpu_seconds", result.cost.cpu_seconds},
          {"memory_bytes_max", result.cost.memory_bytes_max},
          {"part_seconds", result.cost.part_seconds}};
}

void from_json(const nlohmann::json& json, ExploreResult& result) {
  result.index = json.at("index");
  result.profile = json.at("profile");
  result.covered = json.at("covered");
  result.states = json.at("states");
  result.executed = json.at("executed");
  result.nested = json.at("nested");
  result.first_violated = json.at("first_violated");
  result.held = json.at("held");
  result.violated = json.at("violated");
  result.undecided = json.at("undecided");
  for (const auto& [name, count] : json.at("properties").items()) {
    result.properties[name] = {count.at(0), count.at(1), count.at(2)};
  }
  for (const auto& [asked, count] : json.at("faults").items()) {
    result.faults[asked] = {count.at(0), count.at(1)};
  }
  result.undecided_why = json.at("undecided_why").get<std::map<std::string, std::uint64_t>>();
  result.gate_refusals = json.at("gates").get<std::map<std::string, std::uint64_t>>();
  result.unexplored = json.at("unexplored").get<std::vector<std::string>>();
  result.failures = json.at("failures").get<std::vector<RawFailure>>();
  result.trouble = json.at("trouble");
  result.cost.cpu_seconds = json.at("cpu_seconds");
  result.cost.memory_bytes_max = json.at("memory_bytes_max");
  result.cost.part_seconds = json.at("part_seconds").get<decltype(Cost::part_seconds)>();
}

}  // namespace runner
