#include "runner/campaign.h"

#include <chrono>
#include <csignal>
#include <deque>
#include <map>
#include <set>
#include <system_error>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "faultfs/base/bytes.h"
#include "faultfs/base/check.h"
#include "runner/campaign_work.h"
#include "runner/explore_task.h"
#include "runner/keep_task.h"
#include "runner/known_cases.h"
#include "scenarios/generate.h"

namespace runner {
namespace {

namespace fs = std::filesystem;
using faultfs::fail;
using Clock = std::chrono::steady_clock;

constexpr int harness_bug_code = 70;     // EX_SOFTWARE
constexpr std::size_t crashes_max = 20;  // of one history, before it is given up
constexpr double never = 1e9;            // seconds
constexpr double shrink_seconds_max = 300;

class Campaign {
 public:
  Campaign(const CampaignOptions& options, const std::vector<Observer*>& observers)
      : options_(options), observers_(observers) {}

  faultfs::Result<RunSummary> run() {
    if (auto status = begin(); !status) {
      return fail(status.error().message);
    }
    while (step()) {
    }
    return finish();
  }

 private:
  faultfs::Status begin() {
    if (profiles_of(options_).empty()) {
      auto unknown = faultfs::find_profile(options_.profile);
      return fail(unknown ? "no device profile fits" : unknown.error().message);
    }
    started_ = Clock::now();
    remove_abandoned(options_.out);
    options_.out = numbered_run(options_.out);
    summary_.info.title = fmt::format("{} on {}", title(), to_text(options_.device));
    summary_.info.seed = options_.seed;
    summary_.info.commit = options_.commit;
    summary_.info.out = options_.out;
    summary_.info.command_line = options_.command_line;
    summary_.info.states_max = options_.states_max;
    summary_.info.seconds_max = options_.seconds_max;
    summary_.info.jobs = options_.jobs;
    auto pool = Pool::create(
        options_.jobs,
        [this](const nlohmann::json& task,
               const faultfs::Result<Sandbox>& sandbox,
               int cpu,
               Whereabouts& where) { return campaign_work(options_, task, sandbox, cpu, where); });
    if (!pool) {
      return fail(pool.error().message);
    }
    pool_ = std::move(*pool);
    for (auto* observer : observers_) {
      observer->run_started(summary_.info);
    }
    for (const auto& file : failing_cases(options_)) {
      ++retried_;
      ++retrying_;
      const bool dies = file.file.expect_property == "process_survives";
      add_keep({file.file, 0, file.recording_directory, dies && in_memory()}, true);
    }
    return {};
  }

  [[nodiscard]] std::string title() const {
    const auto& config = options_.config;
    std::string text = config.target;
    if (config.target == "engine") {
      text += fmt::format(" {} {}", config.store, config.preset);
    }
    text += config.disks == 1 ? "" : fmt::format(" on {} disks", config.disks);
    text += config.ram_cache.empty() ? "" : fmt::format(" behind {} of RAM", config.ram_cache);
    if (!config.without_gates.empty()) {
      text += fmt::format(" without {}", fmt::join(config.without_gates, ", "));
    }
    for (const auto& fault : options_.faults) {
      text += fmt::format(", {}", faultfs::faults::to_text(fault));
    }
    return text;
  }

  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(Clock::now() - started_).count();
  }

  [[nodiscard]] bool in_memory() const { return options_.device == DeviceKind::memory; }

  /// Cases are numbered in the order in which they are found, whoever is done with them first.
  void add_keep(RawFailure failure, bool known) {
    keeps_.push_back({std::move(failure), known, ++cases_given_});
  }

  /// True while histories should be handed out: not before the cases of earlier runs are judged,
  /// because what they show need not be kept again.
  [[nodiscard]] bool wants_more() const {
    if (retrying_ > 0) {
      return false;
    }
    const bool time_done = options_.seconds_max != 0 && seconds() >= options_.seconds_max;
    return wants_merge() && !time_done && !stopped_;
  }

  /// One round: hand out tasks, take one answer. False when all is done.
  bool step() {
    while (auto worker = pool_->idle()) {
      if (!keeps_.empty()) {
        give_keep(*worker);
      } else if (!again_.empty()) {
        give_explore(*worker, again_.front().index, again_.front().crashed);
        again_.pop_front();
      } else if (wants_more()) {
        give_explore(*worker, next_index_++, {});
      } else {
        break;
      }
    }
    if (!pool_->busy()) {
      return false;
    }
    if (auto event = pool_->wait(200)) {
      take(*event);
    }
    tell_progress();
    return true;
  }

  void give_explore(std::size_t worker,
                    std::uint64_t index,
                    const std::vector<std::uint64_t>& crashed) {
    // A clock ends histories only where a clock is asked for.
    const double left = options_.seconds_max == 0 ? never : options_.seconds_max - seconds();
    pool_->give(
        worker,
        {{"do", "explore"}, {"index", index}, {"crashed", crashed}, {"seconds_left", left}});
  }

  /// What is left of the time for shrinking: a case that is found at the end of `--time` may still
  /// take a quarter of it.
  [[nodiscard]] double shrink_seconds() const {
    if (options_.seconds_max == 0) {
      return never;  // then only states count, and the result is the same on every machine
    }
    const double left = 1.25 * options_.seconds_max + 1 - seconds();
    return std::clamp(left, 1.0, shrink_seconds_max);
  }

  void give_keep(std::size_t worker) {
    const auto number = keeps_.front().number;
    pool_->give(worker,
                {{"do", "keep"},
                 {"number", number},
                 {"directory", (options_.out / fmt::format("case-{:04}", number)).string()},
                 {"known", keeps_.front().known},
                 {"shrink_seconds", shrink_seconds()},
                 {"failure", keeps_.front().failure}});
    keeps_.pop_front();
    ++shrinking_;
  }

  void take(const PoolEvent& event) {
    if (event.task.at("do") == "keep") {
      take_case(event);
      return;
    }
    const std::uint64_t index = event.task.at("index");
    if (!event.answer) {
      take_death(event, index);
      return;
    }
    if (event.answer->contains("error")) {
      ExploreResult result;
      result.index = index;
      result.trouble = event.answer->at("error");
      results_[index] = std::move(result);
    } else {
      auto result = event.answer->get<ExploreResult>();
      auto& slot = results_[index];
      slot = std::move(result);
    }
    merge_ready();
  }

  /// In memory the cache runs inside the worker: its death is a finding, and the history goes on
  /// behind the state that caused it. Anywhere else it is trouble.
  void take_death(const PoolEvent& event, std::uint64_t index) {
    const std::string how = event.end.signal != 0 ? fmt::format("signal {}", event.end.signal)
                                                  : fmt::format("exit code {}", event.end.code);
    POWERCUT_CHECK(event.end.code != harness_bug_code,
                   "a worker found a bug in the harness (above)");
    auto crashed = event.task.at("crashed").get<std::vector<std::uint64_t>>();
    const bool in_state = in_memory() && event.where.index == index && event.where.state > 0 &&
                          event.end.signal != SIGKILL && crashed.size() < crashes_max;
    if (in_state) {
      crashed.push_back(event.where.state);
      again_.push_back({index, std::move(crashed)});
      return;
    }
    ExploreResult result;
    result.index = index;
    result.trouble = fmt::format(
        "a worker ended ({}) in history {}, crash state {}", how, index, event.where.state);
    results_[index] = std::move(result);
    merge_ready();
  }

  /// Merges results in the order of their index, so that the outcome does not depend on jobs.
  void merge_ready() {
    for (auto at = results_.find(next_merge_); at != results_.end();
         at = results_.find(next_merge_)) {
      if (wants_merge()) {
        merge(at->second);
      }
      results_.erase(at);
      ++next_merge_;
    }
  }

  /// Histories that were under way when the limit on states was reached do not count.
  [[nodiscard]] bool wants_merge() const {
    const bool states_done = options_.states_max != 0 && summary_.states >= options_.states_max;
    return !states_done && !(options_.stop_at_first && !seen_properties_.empty());
  }

  void merge(const ExploreResult& result) {
    ++summary_.histories;
    if (result.first_violated > 0 && summary_.first_violated == 0) {
      summary_.first_violated = summary_.states + result.first_violated;
    }
    summary_.states += result.states;
    summary_.covered += result.covered;
    summary_.executed += result.executed;
    summary_.nested += result.nested;
    summary_.held += result.held;
    summary_.violated_states += result.violated;
    summary_.undecided_states += result.undecided;
    summary_.states_by_profile[result.profile] += result.states;
    note_settings(result.index);
    summary_.cost.cpu_seconds += result.cost.cpu_seconds;
    summary_.cost.memory_bytes_max =
        std::max(summary_.cost.memory_bytes_max, result.cost.memory_bytes_max);
    for (std::size_t part = 0; part < result.cost.part_seconds.size(); ++part) {
      summary_.cost.part_seconds.at(part) += result.cost.part_seconds.at(part);
    }
    for (const auto& [name, count] : result.properties) {
      for (auto* total :
           {&summary_.properties[name], &summary_.properties_by_profile[result.profile][name]}) {
        total->holds += count.holds;
        total->violated += count.violated;
        total->undecided += count.undecided;
      }
    }
    for (const auto& [why, count] : result.undecided_why) {
      summary_.undecided_why[why] += count;
    }
    for (const auto& [gate, count] : result.gate_refusals) {
      summary_.gate_refusals[gate] += count;
    }
    for (const auto& [asked, count] : result.faults) {
      summary_.faults[asked].matches += count.matches;
      summary_.faults[asked].firings += count.firings;
    }
    unexplored_.insert(result.unexplored.begin(), result.unexplored.end());
    if (!result.trouble.empty()) {
      merge_trouble(result.trouble);
    }
    for (const auto& failure : result.failures) {
      if (seen_properties_.insert(failure.file.expect_property).second) {
        add_keep(failure, false);
      }
    }
  }

  /// What the engine was set to in this history, so that the end of the run can say what was tried.
  void note_settings(std::uint64_t index) {
    const auto plan = plan_history(options_, index);
    if (plan.config.target != "engine") {
      return;
    }
    settings_["sectors"].insert(std::to_string(plan.profile.sector_bytes));
    settings_["write cache"].insert(plan.profile.volatile_write_cache ? "on" : "off");
    settings_["slots"].insert(faultfs::size_text(plan.config.slot_bytes));
    for (const auto& [what, value] :
         {std::pair{"allocators", plan.config.allocator}, {"policies", plan.config.policy}}) {
      settings_[what].insert(value.empty() ? "the preset's" : value);
    }
  }

  void tell_settings() {
    std::vector<std::string> texts = {
        fmt::format("{} device profiles", summary_.states_by_profile.size())};
    for (const auto& [what, values] : settings_) {
      texts.push_back(fmt::format("{} {}", what, fmt::join(values, ", ")));
    }
    if (!settings_.empty()) {
      summary_.notes.push_back(fmt::format("tried {}", fmt::join(texts, "; ")));
    }
  }

  /// What each fault came to. One that never fired was not tried, whatever the states say.
  void tell_faults() {
    for (const auto& fault : faults_of(options_)) {
      summary_.faults[faultfs::faults::to_text(fault)];
    }
    for (const auto& [asked, count] : summary_.faults) {
      if (count.firings == 0) {
        undecide(fmt::format("the fault {} never fired: {} of the requests were its own",
                             asked,
                             count.matches == 0 ? "none" : std::to_string(count.matches)));
        continue;
      }
      summary_.notes.push_back(
          fmt::format("fault {}: fired {} of {} times", asked, count.firings, count.matches));
    }
  }

  /// The same trouble again and again means that nothing more will come of going on.
  void merge_trouble(const std::string& trouble) {
    ++summary_.undecided_states;
    if (++summary_.undecided_why[trouble] >= 3 && summary_.states == 0) {
      stopped_ = true;
    }
  }

  void take_case(const PoolEvent& event) {
    --shrinking_;
    const std::uint32_t number = event.task.at("number");
    const bool known = event.task.at("known");
    if (!event.answer && again_in_children(event)) {
      return;
    }
    auto& slot = cases_[number];
    if (!event.answer || event.answer->contains("error")) {
      undecide(event.answer ? event.answer->at("error").get<std::string>()
                            : fmt::format("the worker that replayed case {} died", number));
    } else {
      auto failure = event.answer->get<FailureCase>();
      if (failure.reproduced == 0 && known) {
        ++healed_;
      } else {
        failure.seconds_to_find = seconds();
        seen_properties_.insert(failure.violation.property);
        slot = std::move(failure);
      }
    }
    if (known) {
      --retrying_;
    }
    tell_cases();
  }

  /// A state near the one that failed may crash the cache, in memory the worker with it. The case
  /// is tried once more, each state in a child of its own.
  bool again_in_children(const PoolEvent& event) {
    auto failure = event.task.at("failure").get<RawFailure>();
    const std::uint32_t number = event.task.at("number");
    if (!retried_cases_.insert(number).second) {
      return false;
    }
    failure.isolate = in_memory();
    keeps_.push_front({std::move(failure), event.task.at("known"), number});
    return true;
  }

  void undecide(const std::string& why) {
    ++summary_.undecided_states;
    ++summary_.undecided_why[why];
  }

  /// Tells the cases that are done, in the order of their numbers.
  void tell_cases() {
    for (auto at = cases_.find(next_told_); at != cases_.end(); at = cases_.find(++next_told_)) {
      if (at->second) {
        ++summary_.causes;
        for (auto* observer : observers_) {
          observer->case_kept(*at->second);
        }
      }
      cases_.erase(at);
    }
  }

  void tell_progress() {
    const Progress progress{seconds(),
                            summary_.states,
                            summary_.histories,
                            summary_.violated_states,
                            summary_.undecided_states,
                            shrinking_};
    for (auto* observer : observers_) {
      observer->progressed(progress);
    }
  }

  RunSummary finish() {
    pool_.reset();
    remove_pending();
    summary_.seconds = seconds();
    summary_.not_explored.assign(unexplored_.begin(), unexplored_.end());
    for (const auto& profile : faultfs::all_profiles()) {
      if (!summary_.states_by_profile.contains(profile.name)) {
        left_out_.push_back(profile.name);
      }
    }
    if (!left_out_.empty()) {
      summary_.not_explored.push_back(
          fmt::format("device profiles {}", fmt::join(left_out_, ", ")));
    }
    tell_settings();
    tell_faults();
    if (options_.device == DeviceKind::memory) {
      summary_.not_explored.push_back(
          "signals, sockets and the kernel's paths: the engine ran inside the workers");
    }
    if (retried_ > 0) {
      summary_.notes.push_back(
          fmt::format("failing cases of earlier runs, tried first: {}; of these hold now: {}",
                      retried_,
                      healed_));
    }
    const bool violated = summary_.violated_states > 0 || summary_.causes > 0;
    summary_.exit_code = violated                                                ? 1
                         : summary_.undecided_states > 0 || summary_.states == 0 ? 3
                                                                                 : 0;
    for (auto* observer : observers_) {
      observer->run_ended(summary_);
    }
    return summary_;
  }

  /// Recordings of failures that were not kept, because their property had a case already.
  void remove_pending() {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(options_.out, ignored)) {
      if (entry.path().filename().string().starts_with("pending-")) {
        fs::remove_all(entry.path(), ignored);
      }
    }
    fs::remove(options_.out, ignored);  // only where nothing was kept
  }

  struct Keep {
    RawFailure failure;
    bool known = false;  // by an earlier run
    std::uint32_t number = 0;
  };
  struct Again {
    std::uint64_t index = 0;
    std::vector<std::uint64_t> crashed;
  };

  CampaignOptions options_;
  std::vector<Observer*> observers_;
  Clock::time_point started_;
  RunSummary summary_;
  std::unique_ptr<Pool> pool_;
  std::deque<Keep> keeps_;
  std::deque<Again> again_;
  std::map<std::uint32_t, std::optional<FailureCase>> cases_;  // done, and not told yet
  std::set<std::uint32_t> retried_cases_;
  std::map<std::uint64_t, ExploreResult> results_;
  std::uint64_t next_index_ = 0, next_merge_ = 0;
  std::uint32_t cases_given_ = 0, shrinking_ = 0, retried_ = 0, retrying_ = 0, healed_ = 0;
  std::uint32_t next_told_ = 1;
  std::set<std::string> seen_properties_, unexplored_;
  std::map<std::string, std::set<std::string>> settings_;
  std::vector<std::string> left_out_;
  bool stopped_ = false;
};

}  // namespace

faultfs::Result<RunSummary> run_campaign(const CampaignOptions& options,
                                         const std::vector<Observer*>& observers) {
  return Campaign(options, observers).run();
}

}  // namespace runner
