// Crash states of a log that was recorded under any program, each checked by any program.
//
// For each state the disks are written as files into a directory of their own; the check is run by
// the shell, with {} replaced by the directory (where there is one disk, by its file). It may
// change these files: recover, replay a journal, mount them. What it prints is kept with a failure.

#include "runner/explore_log.h"

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <ostream>
#include <set>
#include <system_error>

#include <fmt/format.h>

#include "faultfs/disk_recording.h"
#include "runner/explorer.h"
#include "runner/known_cases.h"
#include "runner/recording_file.h"
#include "scenarios/process/child.h"

namespace runner {
namespace {

namespace fs = std::filesystem;
using faultfs::CrashPlan;
using faultfs::fail;
enum ExitCode : int { held = 0, violated = 1, usage = 2, undecided = 3 };

/// What the check said of one crash state.
struct Said {
  enum class Verdict { holds, violated, undecided } verdict = Verdict::holds;
  std::string how;     ///< "exit code 1", "killed by signal 11"
  std::string output;  ///< its last lines
};

std::string tail_of(const fs::path& file) {
  constexpr std::size_t characters_max = 2000;
  std::ifstream stream(file, std::ios::binary);
  std::string text((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
  if (text.size() > characters_max) {
    text = "…" + text.substr(text.size() - characters_max);
  }
  return text;
}

class Explorations {
 public:
  Explorations(const ExploreLogOptions& options, faultfs::DiskRecording recording)
      : options_(options),
        recording_(std::move(recording)),
        model_(recording_.base, recording_.log, recording_.profile) {}
  Explorations(const Explorations&) = delete;
  Explorations& operator=(const Explorations&) = delete;
  ~Explorations() {
    std::error_code ignored;
    fs::remove_all(scratch_, ignored);
  }

  int run(std::ostream& out, std::ostream& error) {
    const int code = explore(out, error);
    if (code == usage) {
      return code;
    }
    out << fmt::format(
        "{} crash states of {} log entries on {}\nheld {}    violated {}    "
        "undecided {}\n",
        states_,
        recording_.log.size(),
        recording_.profile.name,
        held_,
        violated_,
        undecided_);
    for (const auto& what : unexplored_) {
      out << "not explored   " << what << "\n";
    }
    return violated_ > 0 ? violated : undecided_ > 0 || states_ == 0 ? undecided : held;
  }

 private:
  int explore(std::ostream& out, std::ostream& error) {
    std::string name = (fs::temp_directory_path() / "powercut-explore-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) {
      error << "powercut: no directory can be made in " << fs::temp_directory_path().string()
            << "\n";
      return usage;
    }
    scratch_ = name;
    if (!options_.plan.empty()) {
      return explore_one(out, error);
    }
    ExplorerOptions explorer_options;
    explorer_options.name = options_.explorer;
    explorer_options.seed = options_.seed;
    explorer_options.deviations_max = options_.deviations_max;
    explorer_options.states_max = static_cast<std::uint32_t>(options_.states_max);
    auto explorer = make_explorer(model_, explorer_options);
    if (!explorer) {
      error << "powercut: " << explorer.error().message << "\n";
      return usage;
    }
    while (states_ < options_.states_max && cases_ < options_.cases_max) {
      const auto plan = (*explorer)->next();
      if (!plan) {
        break;
      }
      if (auto status = look(*plan, out); !status) {
        error << "powercut: " << status.error().message << "\n";
        return usage;
      }
    }
    for (const auto& left : (*explorer)->unexplored()) {
      unexplored_.insert(left.what);
    }
    if (cases_ == options_.cases_max) {
      unexplored_.insert(fmt::format("what comes after {} kept violations", cases_));
    }
    return held;
  }

  int explore_one(std::ostream& out, std::ostream& error) {
    std::ifstream stream(options_.plan);
    const std::string text((std::istreambuf_iterator<char>(stream)),
                           std::istreambuf_iterator<char>());
    auto plan = stream ? faultfs::parse_plan(text) : fail("it cannot be read");
    auto status = plan ? model_.check(*plan) : fail(plan.error().message);
    status = status ? look(*plan, out) : status;
    if (!status) {
      error << fmt::format("powercut: {}: {}\n", options_.plan.string(), status.error().message);
      return usage;
    }
    return held;
  }

  faultfs::Status look(const CrashPlan& plan, std::ostream& out) {
    auto said = check(plan);
    if (!said) {
      return fail(said.error().message);
    }
    ++states_;
    if (said->verdict == Said::Verdict::violated) {
      auto again = check(plan);
      if (!again) {
        return fail(again.error().message);
      }
      if (again->verdict != Said::Verdict::violated) {
        said->verdict = Said::Verdict::undecided;
        said->how += ", and not when tried again";
      }
    }
    switch (said->verdict) {
      case Said::Verdict::holds:
        ++held_;
        return {};
      case Said::Verdict::undecided:
        ++undecided_;
        unexplored_.insert("states of which the check said: " + said->how);
        return {};
      case Said::Verdict::violated:
        ++violated_;
        return keep(plan, out);
    }
    return {};
  }

  /// Makes the disks of `plan` and asks the check about them.
  faultfs::Result<Said> check(const CrashPlan& plan) {
    std::error_code trouble;
    const fs::path disks = scratch_ / "disks";
    fs::remove_all(disks, trouble);
    fs::create_directory(disks, trouble);
    const auto images = model_.build(plan);
    for (std::size_t number = 0; number < images.size(); ++number) {
      if (auto saved = images[number].save(disks / recording_.disks[number].name); !saved) {
        return fail(saved.error().message);
      }
    }
    const fs::path where = images.size() == 1 ? disks / recording_.disks[0].name : disks;
    const fs::path output = scratch_ / "output";
    fs::remove(output, trouble);
    auto child = scenarios::Child::start(
        {.program = "/bin/sh", .arguments = {"-c", command(where)}, .output = output});
    if (!child) {
      return fail(child.error().message);
    }
    const auto end = (*child)->wait(options_.check_seconds);
    (*child)->kill();
    return judge(end, tail_of(output));
  }

  [[nodiscard]] std::string command(const fs::path& where) const {
    std::string text = options_.check;
    for (std::size_t at = text.find("{}"); at != std::string::npos; at = text.find("{}", at)) {
      text.replace(at, 2, where.string());
      at += where.string().size();
    }
    return text;
  }

  [[nodiscard]] faultfs::Result<Said> judge(const std::optional<scenarios::Exit>& end,
                                            std::string output) const {
    constexpr int cannot_say = 125, cannot_run = 126;
    if (!end) {
      return Said{Said::Verdict::violated,
                  fmt::format("no end within {} s", options_.check_seconds),
                  std::move(output)};
    }
    if (end->signal != 0) {
      return Said{Said::Verdict::violated,
                  fmt::format("killed by signal {}", end->signal),
                  std::move(output)};
    }
    if (end->code == cannot_run || end->code == cannot_run + 1) {
      return fail(fmt::format("--check cannot be run: {}", output));
    }
    const auto verdict = end->code == 0            ? Said::Verdict::holds
                         : end->code == cannot_say ? Said::Verdict::undecided
                                                   : Said::Verdict::violated;
    return Said{verdict, fmt::format("exit code {}", end->code), std::move(output)};
  }

  /// Fates that the violation does not need are taken away, last first.
  faultfs::Result<CrashPlan> shrunk(CrashPlan plan) {
    for (std::size_t at = plan.fates.size(); at-- > 0;) {
      CrashPlan fewer = plan;
      fewer.fates.erase(fewer.fates.begin() + static_cast<std::ptrdiff_t>(at));
      if (!model_.check(fewer)) {
        continue;
      }
      auto said = check(fewer);
      if (!said) {
        return fail(said.error().message);
      }
      if (said->verdict == Said::Verdict::violated) {
        plan = std::move(fewer);
      }
    }
    return plan;
  }

  faultfs::Status keep(const CrashPlan& found, std::ostream& out) {
    auto plan = shrunk(found);
    if (!plan) {
      return fail(plan.error().message);
    }
    const std::string text = faultfs::to_text(*plan);
    if (!kept_.insert(text).second) {
      return {};  // the same, once shrunk
    }
    auto said = check(*plan);
    if (!said) {
      return fail(said.error().message);
    }
    if (directory_.empty()) {
      directory_ = numbered_run(options_.out);
    }
    const fs::path directory = directory_ / fmt::format("case-{:04}", ++cases_);
    std::error_code trouble;
    fs::create_directories(directory, trouble);
    const std::string trace = trace_of(found, *plan, *said, directory);
    for (const auto& [name, content] : {std::pair{"plan.txt", text}, {"trace.txt", trace}}) {
      if (auto status = write_text(directory / name, content); !status) {
        return status;
      }
    }
    const auto images = model_.build(*plan);
    for (std::size_t number = 0; number < images.size(); ++number) {
      const fs::path file = directory / (recording_.disks[number].name + ".img");
      if (auto status = images[number].save(file); !status) {
        return status;
      }
    }
    out << trace << "\n";
    return {};
  }

  [[nodiscard]] std::string trace_of(const CrashPlan& found,
                                     const CrashPlan& plan,
                                     const Said& said,
                                     const fs::path& directory) {
    std::string text = fmt::format(
        "FAIL  {}    case {}\n\n  observed   {}\n", recording_.profile.name, cases_, said.how);
    if (!said.output.empty()) {
      text += "  the check's last words\n";
      std::string line;
      for (const char character : said.output + "\n") {
        if (character != '\n') {
          line += character;
        } else if (!line.empty()) {
          text += "    " + std::exchange(line, {}) + "\n";
        }
      }
    }
    text += device_of(plan);
    text += fmt::format("\n  shrunk     {} fates -> {}\n", found.fates.size(), plan.fates.size());
    text +=
        fmt::format("  again      powercut explore {} --plan {} --check '{}'\n  kept       {}\n",
                    options_.recording.string(),
                    (directory / "plan.txt").string(),
                    options_.check,
                    directory.string());
    return text;
  }

  /// What was asked last before the power went, and what became of it.
  [[nodiscard]] std::string device_of(const CrashPlan& plan) const {
    constexpr std::uint32_t entries_shown = 24;
    std::string text = "\n  device, up to the cut\n";
    const std::uint32_t end = plan.point.entry;
    for (std::uint32_t number = end > entries_shown ? end - entries_shown + 1 : 1; number <= end;
         ++number) {
      text += "    " + line_of(number);
      for (const auto& fate : plan.fates) {
        if (fate.write == number) {
          text += "   " + faultfs::to_text(fate);
        }
      }
      text += "\n";
    }
    return text + fmt::format("    ------ {} ------\n", faultfs::to_text(plan.point));
  }

  [[nodiscard]] std::string line_of(std::uint32_t number) const {
    const auto& entry = recording_.log.entry(number);
    const std::string name = faultfs::entry_name(number);
    switch (entry.kind) {
      case faultfs::EntryKind::mark:
        return fmt::format("{}  mark {}", name, recording_.log.mark_text(number));
      case faultfs::EntryKind::flush:
        return fmt::format("{}  FLUSH {}", name, recording_.disks[entry.disk].name);
      default:
        return fmt::format("{}  {} {} 0x{:08x} {}{}",
                           name,
                           entry.kind == faultfs::EntryKind::write ? "write" : "discard",
                           recording_.disks[entry.disk].name,
                           entry.offset_bytes,
                           faultfs::size_text(entry.size_bytes),
                           entry.fua ? " FUA" : "");
    }
  }

  const ExploreLogOptions& options_;
  faultfs::DiskRecording recording_;
  faultfs::CrashModel model_;
  fs::path scratch_, directory_;
  std::uint64_t states_ = 0, held_ = 0, violated_ = 0, undecided_ = 0;
  std::uint32_t cases_ = 0;
  std::set<std::string> unexplored_, kept_;
};

}  // namespace

int explore_log(const ExploreLogOptions& options, std::ostream& out, std::ostream& error) {
  if (options.explorer == "lazy") {
    error << "powercut: explorer lazy wants to know what is read, and a check reads plain files; "
             "allowed: kills, prefix, bounded, exhaustive, random, mixed\n";
    return usage;
  }
  if (options.check.find("{}") == std::string::npos) {
    error << "powercut: --check must hold {}, which stands for the disks of a crash state\n";
    return usage;
  }
  auto recording = faultfs::load_recording(options.recording);
  if (!recording) {
    error << "powercut: " << recording.error().message << "\n";
    return usage;
  }
  return Explorations(options, std::move(*recording)).run(out, error);
}

}  // namespace runner
