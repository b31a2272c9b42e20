// The control language of a mounted tree:
//
//   cut now                  from now on every request fails with EIO
//   cut at-request N         the N-th write, sync or change from now, and all later, fail
//   cut at-mark TEXT         the cut falls just after the next mark that contains TEXT
//   disarm                   an armed cut is not to happen
//   mark TEXT                puts a named point into the log; so does a line written to
//                            .powercut-marks in the root of the mount
//   power-on                 new power-on, with what a program saw last: as after a kill
//   power-on STATE           … with a crash state: kept, lost, bytes-lost, only-names, names-lost
//   or
//                            random SEED (tree_choice.h), or `plan FILE` (lines as in plan.txt)
//   fault …                  as with disks (fault_commands.cc)
//   snapshot DIR             writes the tree, as a program sees it, to DIR (new, or empty)
//   snapshot truth DIR       … as if no fault had changed it
//   log save DIR             writes the recording since the last power-on to DIR (tree_files.h)
//   counters, status         what was asked; on or cut, generation, log entries, profile
//
// Answers as in commands.cc. A power-on that is refused leaves the tree cut.

#include "faultfs/control/tree_commands.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <fmt/format.h>

#include "faultfs/control/fault_commands.h"
#include "faultfs/tree/tree_choice.h"
#include "faultfs/tree/tree_files.h"
#include "faultfs/tree/tree_model.h"

namespace faultfs::control {
namespace {

std::pair<std::string_view, std::string_view> split(std::string_view text) {
  const auto trim = [](std::string_view it) {
    const auto begin = it.find_first_not_of(" \t\r");
    const auto end = it.find_last_not_of(" \t\r");
    return begin == std::string_view::npos ? std::string_view() : it.substr(begin, end - begin + 1);
  };
  text = trim(text);
  const auto end = std::min(text.find_first_of(" \t"), text.size());
  return {text.substr(0, end), trim(text.substr(end))};
}

Result<CrashPlan> plan_from(std::string_view file_name) {
  const std::filesystem::path file(file_name);
  std::ifstream in(file);
  if (!file.is_absolute() || !in) {
    return fail(fmt::format("'{}' cannot be read; allowed: power-on plan /a/file", file_name));
  }
  Result<CrashPlan> plan = parse_plan(std::string{std::istreambuf_iterator<char>(in), {}});
  return plan ? plan : fail(fmt::format("{}: {}", file_name, plan.error().message));
}

}  // namespace

std::string TreeCommands::answer(std::string_view line) {
  const std::scoped_lock lock(mutex_);
  const auto [verb, rest] = split(line);
  const Result<std::string> done = carry_out(verb, rest);
  std::string text =
      done ? (done->empty() ? "ok" : "ok " + *done) : "error " + done.error().message;
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

Result<std::string> TreeCommands::carry_out(std::string_view verb, std::string_view rest) {
  const auto [second, file] = split(rest);
  const auto done = [](const Status& status) {
    return status ? Result<std::string>("") : Result<std::string>(fail(status.error().message));
  };
  if (verb == "cut") {
    return cut(rest);
  }
  if (verb == "power-on") {
    return power_on(rest);
  }
  if (verb == "fault") {
    return fault_command(tree_, rest);
  }
  if (verb == "mark" && !rest.empty()) {
    tree_.mark(rest);
    return std::string{};
  }
  if (verb == "snapshot" && std::filesystem::path(rest).is_absolute()) {
    return done(tree::export_tree(tree_.snapshot(), rest));
  }
  if (verb == "snapshot" && second == "truth" && std::filesystem::path(file).is_absolute()) {
    return done(tree::export_tree(tree_.truth(), file));
  }
  if (verb == "log" && second == "save" && std::filesystem::path(file).is_absolute()) {
    return done(tree::save_recording(tree_.recording(), file));
  }
  if (rest.empty() && verb == "disarm") {
    tree_.disarm();
    return std::string{};
  }
  if (rest.empty() && verb == "status") {
    return status();
  }
  if (rest.empty() && verb == "counters") {
    const tree::TreeCounters counters = tree_.counters();
    return fmt::format(
        "writes {}, syncs {}, changes {}, written {} bytes, refused after the cut {}, through "
        "handles from before {}",
        counters.writes,
        counters.flushes,
        counters.changes,
        counters.written_bytes,
        counters.refused_after_cut,
        counters.refused_stale);
  }
  return fail(fmt::format(
      "'{} {}' is no command to a tree; allowed: cut now, cut at-request N, cut "
      "at-mark TEXT, disarm, mark TEXT, power-on, power-on STATE, fault …, snapshot "
      "/a/directory, snapshot truth /a/directory, log save /a/directory, counters, status",
      verb,
      rest));
}

Result<std::string> TreeCommands::cut(std::string_view rest) {
  const auto [when, what] = split(rest);
  if (when == "now" && what.empty()) {
    tree_.cut_now();
    return std::string{};
  }
  if (when == "at-mark" && !what.empty()) {
    tree_.cut_at_mark(std::string(what));
    return std::string{};
  }
  const Result<std::uint64_t> number = when == "at-request" ? parse_number(what) : 0;
  if (number && *number > 0) {
    tree_.cut_at_request(*number);
    return std::string{};
  }
  return fail(fmt::format(
      "'cut {}' is not known; allowed: cut now, cut at-request N (from 1 on), cut at-mark TEXT",
      rest));
}

Result<std::string> TreeCommands::power_on(std::string_view rest) {
  tree_.cut_now();  // nothing may slip in between the choice of the state and the power-on
  if (rest.empty()) {
    tree_.power_on(tree_.snapshot());
    return fmt::format("generation {}", tree_.generation());
  }
  const tree::Recording recording = tree_.recording();
  tree::TreeModel model(recording);
  const CrashPoint end{CutKind::power_cut, recording.log.size(), false};
  const auto [kind, file] = split(rest);
  const Result<CrashPlan> plan = kind == "plan" ? plan_from(file) : tree::choose(model, end, rest);
  if (!plan) {
    return fail(plan.error().message);
  }
  if (Status legal = model.check(*plan); !legal) {
    return fail(legal.error().message);
  }
  const std::size_t open = model.open_requests(plan->point).size();
  tree_.power_on(model.build(*plan));
  return fmt::format("generation {}, {} of {} open requests not whole",
                     tree_.generation(),
                     plan->fates.size(),
                     open);
}

std::string TreeCommands::status() const {
  const tree::TreeProfile& profile = tree_.profile();
  return fmt::format("{} generation {}, log {} entries, tree, {}, names {}{}",
                     tree_.is_cut() ? "cut" : "on",
                     tree_.generation(),
                     tree_.log_size(),
                     profile.data.name,
                     profile.changes_in_order ? "in order" : "in any order",
                     profile.file_sync_covers_names ? ", kept by fsync of their file" : "");
}

}  // namespace faultfs::control
