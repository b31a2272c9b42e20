// One worker in a sandbox of its own does it all: it mounts the tree, runs the program, and then
// shows one crash state after another under the same mount. Whoever dies takes the mount along.
//
//   crash points   behind each request of the program, with what it had said (TreeModel)
//   crash states   of each point: all kept, all lost, bytes lost, only names, names lost; then in
//   turn
//                  one request lost, one kept alone, and fates drawn from the seed. The same plan
//                  is tried once; the number of pending requests says how many there are to try.
//   --live         the program runs anew for each point, and the cut is a real one: requests fail
//   with
//                  EIO from there on, and the program sees it
//
//   --fault        while the program runs, also in each live run, counting from one; never while
//   the
//                  check does. The recording is what was done, so crash states know nothing of
//                  faults. One that never fired makes the run undecided.
//
// A failure is shrunk: fates are taken back, one after another, as long as the check still fails.

#include "runner/tree_explorer.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <ostream>
#include <set>

#include <fmt/format.h>

#include "faultfs/base/random.h"
#include "faultfs/mount/tree_mount.h"
#include "faultfs/tree/tree_choice.h"
#include "faultfs/tree/tree_faults.h"
#include "faultfs/tree/tree_files.h"
#include "runner/sandbox.h"
#include "runner/tree_trace.h"
#include "scenarios/process/child.h"

namespace runner {
namespace {

namespace fs = std::filesystem;
namespace tree = faultfs::tree;
using faultfs::CrashPlan;
using faultfs::CrashPoint;
using faultfs::CutKind;
using faultfs::Status;

enum ExitCode : int { held = 0, violated = 1, undecided = 3 };

/// How a command ended: empty where with 0, otherwise in words.
struct Ended {
  std::string trouble;
  std::string output;
};

std::string text_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// As one word of a shell.
std::string quoted(const std::string& text) {
  std::string word = "'";
  for (const char letter : text) {
    word += letter == '\'' ? std::string("'\\''") : std::string(1, letter);
  }
  return word + "'";
}

/// The program, what it did, and the crash states that were looked at.
class Exploration {
 public:
  Exploration(const TreeRun& run, const Sandbox& sandbox, std::ostream& out, tree::TreeState base)
      : run_(run),
        out_(out),
        directory_(sandbox.mount_directory),
        scratch_(sandbox.work_directory),
        base_(std::move(base)),
        tree_(run.profile, base_) {}

  Status mount() {
    auto mount = faultfs::mount::mount_tree(tree_, {.directory = directory_});
    if (!mount) {
      return faultfs::fail(mount.error().message);
    }
    mount_ = std::move(*mount);
    return {};
  }

  /// Runs the program from the start; error where it failed without a cut.
  Status record() {
    const Ended ended = run_program();
    recording_.emplace(tree_.recording());
    tree_.clear_faults();
    if (!ended.trouble.empty() && run_.faults.empty()) {  // with faults it may well fail
      return faultfs::fail(
          fmt::format("`{}` {} before any cut\n{}", run_.run, ended.trouble, ended.output));
    }
    return {};
  }

  void take(tree::Recording recording) { recording_.emplace(std::move(recording)); }

  int explore() {
    tree::TreeModel model(*recording_);
    const std::vector<std::uint32_t> all = model.crash_entries();
    std::vector<std::uint32_t> entries = all;
    if (run_.points_max > 0 && entries.size() > run_.points_max) {
      entries.clear();
      for (std::uint32_t at = 0; at < run_.points_max; ++at) {
        entries.push_back(all[at * (all.size() - 1) / std::max(1U, run_.points_max - 1)]);
      }
    }
    for (std::size_t at = 0; at < entries.size() && !finished(); ++at) {
      if (run_.live) {
        explore_live(entries[at], model);
      } else {
        explore_point(model, {CutKind::power_cut, entries[at], false});
      }
      ++points_;
    }
    return summarize(all.size(), model.log().size());
  }

  int replay(const CrashPlan& plan) {
    tree::TreeModel model(*recording_);
    if (const Status legal = model.check(plan); !legal) {
      out_ << "undecided, because " << legal.error().message << "\n";
      return undecided;
    }
    const Ended ended = judge(model, plan);
    points_ = 1;
    if (!ended.trouble.empty()) {
      tell(model, plan, plan.fates.size(), ended);
    }
    return summarize(model.crash_entries().size(), model.log().size());
  }

 private:
  [[nodiscard]] bool finished() const { return run_.stop_at_first && failures_ > 0; }

  Ended shell(const std::string& command, const fs::path& input, double seconds) {
    const fs::path output = scratch_ / "output";
    std::error_code ignored;
    fs::remove(output, ignored);
    scenarios::ChildOptions options;
    options.program = "/bin/sh";
    options.arguments = {"-c", "cd \"$POWERCUT_TREE\" || exit 127\n" + command};
    options.environment = {{"POWERCUT_TREE", directory_.string()}};
    options.input = input;
    options.output = output;
    auto child = scenarios::Child::start(options);
    if (!child) {
      return {child.error().message, ""};
    }
    const auto exit = (*child)->wait(seconds);
    if (!exit) {
      (*child)->kill();
      return {fmt::format("did not end within {} s", seconds), text_of(output)};
    }
    const std::string trouble = exit->signal != 0
                                    ? fmt::format("was killed by signal {}", exit->signal)
                                : exit->code != 0 ? fmt::format("ended with {}", exit->code)
                                                  : "";
    return {trouble, text_of(output)};
  }

  Ended run_program(std::uint64_t cut_at_request = 0) {
    tree_.clear_faults();
    tree_.power_on(base_);
    if (cut_at_request > 0) {
      tree_.cut_at_request(cut_at_request);
    }
    for (const auto& fault : run_.faults) {
      (void)tree_.add_fault(fault);
    }
    Ended ended = shell(
        fmt::format("exec >>{}\n{}", faultfs::mount::marks_file, run_.run), "", run_.run_seconds);
    const auto states = tree_.faults();
    fault_states_.resize(states.size());
    for (std::size_t at = 0; at < states.size(); ++at) {
      fault_states_[at].expression = states[at].expression;
      fault_states_[at].matches += states[at].matches;
      fault_states_[at].firings += states[at].firings;
    }
    return ended;
  }

  /// The program runs up to a cut at the request that ends with `entry`.
  void explore_live(std::uint32_t entry, const tree::TreeModel& recorded) {
    const std::vector<std::uint32_t> all = recorded.crash_entries();
    const auto request =
        static_cast<std::uint64_t>(std::find(all.begin(), all.end(), entry) - all.begin() + 1);
    run_program(request);
    tree_.cut_now();  // where the program asked less this time
    const tree::Recording cut = tree_.recording();
    tree_.clear_faults();
    tree::TreeModel model(cut);
    explore_point(model, {CutKind::power_cut, cut.log.size(), false});
  }

  /// The `number`-th crash state of a point.
  [[nodiscard]] CrashPlan choose(const tree::TreeModel& model,
                                 const CrashPoint& point,
                                 std::uint32_t number) const {
    using Choice = CrashPlan (*)(const tree::TreeModel&, const CrashPoint&);
    constexpr std::array<Choice, 4> named = {
        tree::all_lost, tree::bytes_lost, tree::only_names, tree::names_lost};
    if (number == 0) {
      return tree::all_kept(point);
    }
    if (number <= named.size()) {
      return named.at(number - 1)(model, point);
    }
    const auto open = model.open_requests(point);
    faultfs::Random random(faultfs::mix(faultfs::mix(run_.seed, point.entry), number));
    const std::uint32_t which = open.empty() ? 0 : open[random.below(open.size())].entry;
    switch (number % 3) {
      case 0:
        return tree::drawn(model, point, random.next());
      case 1:
        return tree::one_lost(model, point, which);
      default:
        return tree::one_kept(model, point, which);
    }
  }

  void explore_point(tree::TreeModel& model, const CrashPoint& point) {
    std::set<std::string> tried;
    for (std::uint32_t number = 0; number < run_.states_per_point && !finished(); ++number) {
      CrashPlan plan = choose(model, point, number);
      if (!tried.insert(to_text(plan)).second) {
        continue;
      }
      Ended ended = judge(model, plan);
      if (!ended.trouble.empty()) {
        const std::size_t fates = plan.fates.size();
        if (failures_ < told_max) {
          shrink(model, plan, ended);
        }
        tell(model, plan, fates, ended);
        return;  // the other states of this point fail for the same reason, most often
      }
    }
  }

  Ended judge(tree::TreeModel& model, const CrashPlan& plan) {
    ++states_;
    tree_.power_on(model.build(plan));
    const fs::path input = scratch_ / "said";
    std::ofstream said(input);
    for (const std::string& line : said_before(model.log(), plan.point.entry)) {
      said << line << "\n";
    }
    said.close();
    Ended ended = shell(run_.check, input, run_.check_seconds);
    failed_states_ += ended.trouble.empty() ? 0 : 1;
    return ended;
  }

  /// Takes back fates as long as the check fails.
  void shrink(tree::TreeModel& model, CrashPlan& plan, Ended& ended) {
    for (std::size_t at = plan.fates.size(); at > 0;) {
      --at;
      CrashPlan smaller = plan;
      smaller.fates.erase(smaller.fates.begin() + static_cast<std::ptrdiff_t>(at));
      if (!model.check(smaller)) {
        continue;
      }
      Ended again = judge(model, smaller);
      if (!again.trouble.empty()) {
        plan = std::move(smaller);
        ended = std::move(again);
        at = plan.fates.size();  // what could not go alone may go now
      }
    }
  }

  void tell(tree::TreeModel& model, const CrashPlan& plan, std::size_t fates, const Ended& ended) {
    ++failures_;
    if (failures_ > told_max) {
      return;
    }
    const fs::path kept = run_.out / fmt::format("case-{:04}", failures_);
    TreeFailure failure;
    failure.check = run_.check;
    failure.observed = ended.trouble;
    failure.output = ended.output;
    failure.profile = run_.profile_words;
    failure.number = failures_;
    failure.fates_before = fates;
    failure.kept_in = kept.string();
    failure.replay =
        fmt::format("powercut tree --recording {0}/recording --plan {0}/plan.txt --check {1}",
                    kept.string(),
                    quoted(run_.check));
    const std::string trace = tree_trace(model, plan, failure);
    out_ << trace << std::endl;
    std::error_code error;
    fs::remove_all(kept, error);
    fs::create_directories(kept, error);
    std::ofstream(kept / "trace.txt") << trace;
    std::ofstream(kept / "plan.txt") << to_text(plan);
    const tree::Recording recording =
        run_.live ? tree::Recording{base_, model.log(), model.profile()} : *recording_;
    for (const Status& saved : {tree::save_recording(recording, kept / "recording"),
                                tree::export_tree(model.build(plan), kept / "crash")}) {
      if (!saved) {
        out_ << "not kept: " << saved.error().message << "\n";
      }
    }
  }

  int summarize(std::size_t points, std::uint32_t entries) {
    out_ << fmt::format(
        "{} crash states at {} of {} crash points (a log of {} entries)    held {}   "
        "violated {}, at {} crash points{}\n",
        states_,
        points_,
        points,
        entries,
        states_ - failed_states_,
        failed_states_,
        failures_,
        failures_ > told_max ? fmt::format(" (told {})", told_max) : "");
    out_ << fmt::format(
        "not explored   more than {} crash states of a point; cuts inside a request; "
        "cuts of the check's own writes{}{}\n",
        run_.states_per_point,
        failures_ > 0 ? "; the other states of a point that failed" : "",
        points_ < points ? fmt::format("; {} crash points", points - points_) : "");
    bool all_fired = true;
    for (const auto& fault : fault_states_) {
      out_ << fmt::format("fault  {}: met {}, fired {}{}\n",
                          fault.expression,
                          fault.matches,
                          fault.firings,
                          fault.firings == 0 ? "; it was not tried" : "");
      all_fired = all_fired && fault.firings > 0;
    }
    out_ << fmt::format("seed {}\n", run_.seed);
    return failures_ > 0 ? violated : all_fired ? held : undecided;
  }

  static constexpr std::uint32_t told_max = 3;
  const TreeRun& run_;
  std::ostream& out_;
  fs::path directory_;
  fs::path scratch_;
  tree::TreeState base_;
  tree::Tree tree_;
  std::unique_ptr<faultfs::mount::Mount> mount_;
  std::optional<tree::Recording> recording_;
  std::vector<faultfs::FaultState> fault_states_;  ///< of all runs of the program
  std::uint64_t states_ = 0;
  std::size_t points_ = 0;
  std::uint64_t failed_states_ = 0;
  std::uint32_t failures_ = 0;  ///< crash points with a state that failed
};

int complain(std::ostream& error, const std::string& why) {
  error << "powercut: undecided, because " << why << "\n";
  return undecided;
}

int explore_in(const TreeRun& run, const Sandbox& sandbox, std::ostream& out, std::ostream& error) {
  std::optional<tree::Recording> recording;
  tree::TreeState base;
  if (!run.recording.empty()) {
    auto loaded = tree::load_recording(run.recording);
    if (!loaded) {
      return complain(error, loaded.error().message);
    }
    recording = std::move(*loaded);
    base = recording->base;
  } else if (!run.import.empty()) {
    auto imported = tree::import_tree(run.import);
    if (!imported) {
      return complain(error, imported.error().message);
    }
    base = std::move(*imported);
  }
  Exploration exploration(run, sandbox, out, std::move(base));
  if (const Status mounted = exploration.mount(); !mounted) {
    return complain(error, mounted.error().message);
  }
  if (recording) {
    exploration.take(std::move(*recording));
  } else if (const Status recorded = exploration.record(); !recorded) {
    return complain(error, recorded.error().message);
  }
  if (run.plan.empty()) {
    return exploration.explore();
  }
  auto plan = faultfs::parse_plan(text_of(run.plan));
  return plan ? exploration.replay(*plan)
              : complain(error, fmt::format("{}: {}", run.plan.string(), plan.error().message));
}

}  // namespace

int explore_tree(const TreeRun& run, std::ostream& out, std::ostream& error) {
  out.flush();
  auto worker = start_worker({}, [&](const faultfs::Result<Sandbox>& sandbox, int) {
    const int code =
        sandbox ? explore_in(run, *sandbox, out, error) : complain(error, sandbox.error().message);
    out.flush();
    return code;
  });
  if (!worker) {
    return complain(error, worker.error().message);
  }
  const WorkerEnd end = worker->wait();
  return end.signal == 0 ? end.code
                         : complain(error, fmt::format("the worker died of signal {}", end.signal));
}

}  // namespace runner
