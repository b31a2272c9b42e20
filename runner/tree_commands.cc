#include "runner/tree_commands.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>

#include <fmt/format.h>

#include "faultfs/tree/tree_faults.h"
#include "runner/paths.h"
#include "runner/tree_explorer.h"
#include "runner/words.h"

namespace runner {
namespace {

enum ExitCode : int { usage = 2, undecided = 3 };

struct TreeWords {
  CLI::App* app = nullptr;
  TreeRun run;
  std::string profile = "ssd_4k_volatile", names = "ordered", out = "run-tree";
  std::vector<std::string> faults;
};

constexpr const char* examples = R"(
The program's directory is the tree; a line it writes to its standard output before the cut is what
it had promised, and the check reads those lines on its standard input. Both are shell commands.
Examples
  powercut tree --run './save.sh' --check './verify.sh'
  powercut tree --import site --run 'git commit -qam x' --check 'git fsck --full'
  powercut tree --run 'echo new >t; mv t a; echo saved' \
                --check 'read saved || exit 0; grep -q new a'
  powercut tree --fault "lying-flush sync-directory" --run './save.sh' --check './verify.sh'
  powercut tree --recording run-tree/case-0001/recording --plan run-tree/case-0001/plan.txt \
                --check './verify.sh'
--names says what a file system promises: ordered (a cut loses the last changes of names; fsync of
the directory keeps them), journal (fsync of a file keeps its names, too: ext4, xfs), loose (any of
them is lost).
Exit codes: 0 the check held on every crash state, 1 it failed, 2 usage, 3 undecided.)";

int explore(TreeWords& words, std::ostream& out, std::ostream& error) {
  const auto complain = [&](const std::string& message) {
    error << "powercut: " << message << "\n";
    return int{usage};
  };
  TreeRun& run = words.run;
  if (run.run.empty() == run.recording.empty()) {
    return complain("allowed: either --run COMMAND or --recording DIRECTORY");
  }
  if (!run.plan.empty() && run.recording.empty()) {
    return complain(
        "--plan is for --recording DIRECTORY: it says which crash state of it to check");
  }
  if (run.live && !run.recording.empty()) {
    return complain("--live is for --run: a recording cannot be cut once more");
  }
  if (!words.faults.empty() && run.run.empty()) {
    return complain("--fault is for --run: a recording holds what was done");
  }
  for (const auto& text : words.faults) {
    auto fault = faultfs::tree::TreeFaults::parse(text);
    if (!fault) {
      return complain(fmt::format("--fault \"{}\": {}", text, fault.error().message));
    }
    run.faults.push_back(std::move(*fault));
  }
  auto profile = faultfs::tree::find_tree_profile(words.profile, words.names);
  if (!profile) {
    return complain(profile.error().message);
  }
  run.profile = *profile;
  run.profile_words = fmt::format("{} · names {}", words.profile, words.names);
  for (std::filesystem::path* path : {&run.import, &run.recording, &run.plan}) {
    std::error_code missing;
    if (!path->empty() && !std::filesystem::exists(*path, missing)) {
      return complain(path->string() + ": there is no such file or directory");
    }
    if (const auto seen = workers_see(*path); !seen) {
      return complain(seen.error().message);
    }
    *path = path->empty() ? *path : std::filesystem::absolute(*path);
  }
  if (auto status = can_fill(words.out); !status) {
    return complain("--out " + status.error().message);
  }
  run.out = std::filesystem::absolute(words.out);
  return explore_tree(run, out, error);
}

}  // namespace

std::function<int(std::ostream&, std::ostream&)> add_tree_command(CLI::App& app) {
  auto words = std::make_shared<TreeWords>();
  TreeRun& run = words->run;
  words->app = app.add_subcommand(
      "tree", "any program on a directory tree: cut at every request, and check what is left");
  CLI::App& it = *words->app;
  it.add_option("--run", run.run, "the program, a shell command");
  it.add_option("--check", run.check, "ends with 0 where the tree is as it may be")->required();
  it.add_option(
      "--import", run.import, "the directory the program begins on (default: an empty one)");
  it.add_option(
      "--recording", run.recording, "instead of --run: what `ctl log save` or a case kept");
  it.add_option("--plan", run.plan, "check only this crash state of the recording");
  it.add_option("--profile", words->profile, "device profile")->capture_default_str();
  it.add_option("--names", words->names, "ordered, journal, loose")->capture_default_str();
  it.add_option("--fault",
                words->faults,
                "while the program runs, such as \"eio rename nth=2\" (repeatable)")
      ->allow_extra_args(false);
  it.add_flag("--live", run.live, "run the program anew for each cut, and let it see the cut");
  it.add_option("--states", run.states_per_point, "crash states of one crash point")
      ->check(whole_number(1))
      ->capture_default_str();
  it.add_option("--points", run.points_max, "at most so many crash points (default: all)");
  it.add_option("--seed", run.seed, "of the drawn states")->capture_default_str();
  it.add_option("--check-seconds", run.check_seconds, "a check that takes longer has failed")
      ->capture_default_str();
  it.add_option("--run-seconds", run.run_seconds, "a program that takes longer is ended")
      ->capture_default_str();
  it.add_flag("--stop-at-first", run.stop_at_first, "end when the first case is kept");
  it.add_option("--out", words->out, "where cases are kept")->capture_default_str();
  it.footer(examples);
  return [words](std::ostream& out, std::ostream& error) { return explore(*words, out, error); };
}

}  // namespace runner
