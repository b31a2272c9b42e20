#include "runner/shrink_command.h"

#include <cstdio>
#include <ostream>
#include <system_error>

#include <fmt/format.h>

#include "faultfs/base/check.h"
#include "runner/paths.h"
#include "runner/recording_file.h"
#include "runner/shrink.h"

namespace runner {
namespace {

namespace fs = std::filesystem;
enum ExitCode : int { held = 0, violated = 1, usage = 2, undecided = 3 };

/// The new text is there whole, or the old one is.
faultfs::Status replace_text(const fs::path& file, const std::string& text) {
  const fs::path fresh = file.string() + ".new";
  if (auto status = write_text(fresh, text); !status) {
    return status;
  }
  std::error_code error;
  fs::rename(fresh, file, error);
  if (error) {
    return faultfs::fail(fmt::format("{} cannot be replaced: {}", file.string(), error.message()));
  }
  return {};
}

/// One case, shrunk inside a worker.
class ShrinkRun {
 public:
  ShrinkRun(const ShrinkCommandOptions& options,
            fs::path path,
            CaseFile file,
            const StageOptions& stage)
      : options_(options),
        path_(std::move(path)),
        file_(std::move(file)),
        stage_(stage),
        commands_(commands_of(file_)) {}

  int run() {
    auto done = shrink_it();
    if (!done) {
      fmt::print(stderr, "powercut: undecided, because {}\n", done.error().message);
      return undecided;
    }
    return *done;
  }

 private:
  faultfs::Result<int> shrink_it() {
    auto profile = faultfs::find_profile(file_.profile);
    POWERCUT_CHECK(profile.has_value(), "profile {}", file_.profile);
    std::optional<scenarios::Recording> recording;
    if (file_.log_file) {
      auto loaded = load_recording(file_, path_.parent_path());
      if (!loaded) {
        return faultfs::fail(loaded.error().message);
      }
      recording = std::move(*loaded);
    }
    const bool only_plan = recording.has_value();
    ProberOptions asked;
    asked.stage = stage_;
    asked.isolate = in_children();
    Prober prober(
        asked, file_.config, *profile, file_.seed, file_.expect_property, std::move(recording));
    if (!only_plan) {
      prober.put_faults(file_.faults);
    }
    auto broken = prober.breaks(commands_, file_.plan);
    if (!broken) {
      return faultfs::fail(broken.error().message);
    }
    if (!*broken) {
      fmt::print("{} holds on {}: there is nothing to shrink, and it was left as it is\n",
                 path_.string(),
                 to_text(stage_.device));
      return held;
    }
    auto experiment = prober.experiment(commands_);
    if (!experiment) {
      return faultfs::fail(experiment.error().message);
    }
    if (auto status = keep_found(); !status) {
      return faultfs::fail(status.error().message);
    }
    ShrinkOptions bounds;
    bounds.states_max = options_.states_max;
    bounds.seconds_max = options_.seconds_max;
    bounds.smaller = [this, &prober](const std::vector<scenarios::Command>& commands,
                                     const faultfs::CrashPlan& plan) {
      file_.faults = prober.faults();
      return save(commands, plan);
    };
    const std::uint32_t log_size = (*experiment)->recording().log.size();
    const std::size_t fates = file_.plan.fates.size();
    auto shrunk = shrink(prober, commands_, {file_.plan, log_size}, bounds, only_plan);
    if (!shrunk) {
      return faultfs::fail(shrunk.error().message);
    }
    fmt::print(
        "{} commands -> {}, {} fates -> {}, {} cuts inside recoveries; {} crash states{}\n",
        commands_.size(),
        shrunk->commands.size(),
        fates,
        shrunk->plan.fates.size(),
        shrunk->plan.again.size(),
        shrunk->states,
        shrunk->finished ? "" : "; stopped by its bound: `powercut shrink` goes on from here");
    return tell(prober, *shrunk);
  }

  /// The trace of the smaller case. Never one that holds.
  faultfs::Result<int> tell(Prober& prober, const Shrunk& shrunk) {
    if (auto status = save(shrunk.commands, shrunk.plan); !status) {
      return faultfs::fail(status.error().message);
    }
    if (in_children()) {
      fmt::print("written to {}\n", path_.string());  // looking would kill this process too
      return violated;
    }
    FailureCase failure;
    failure.file = file_;
    failure.directory = path_.parent_path();
    failure.commit = options_.replay.commit;
    failure.device_used = to_text(stage_.device);
    failure.commands_before = commands_.size();
    failure.each_fate_needed = shrunk.each_fate_needed;
    failure.not_shrunk =
        shrunk.finished ? "" : fmt::format("stopped after {} crash states", shrunk.states);
    constexpr std::uint32_t replays = 3;
    for (failure.replays = 0; failure.replays < replays; ++failure.replays) {
      auto broken = prober.breaks(shrunk.commands, shrunk.plan);
      if (!broken) {
        return faultfs::fail(broken.error().message);
      }
      failure.reproduced += *broken ? 1 : 0;
    }
    auto experiment = prober.experiment(shrunk.commands);
    if (!experiment) {
      return faultfs::fail(experiment.error().message);
    }
    auto seen = observe(**experiment, file_, failure);
    if (!seen) {
      return faultfs::fail(seen.error().message);
    }
    if (options_.replay.render) {
      fmt::print("{}\n", options_.replay.render(failure, options_.replay.color));
    }
    fmt::print("written to {}\n", path_.string());
    return violated;
  }

  /// A cache in this process that dies takes it along.
  [[nodiscard]] bool in_children() const {
    return file_.expect_property == "process_survives" && stage_.device == DeviceKind::memory;
  }

  /// The case as it was before anybody made it smaller.
  faultfs::Status keep_found() {
    const fs::path found = path_.string() + ".found";
    std::error_code ignored;
    return fs::exists(found, ignored) ? faultfs::Status{} : write_text(found, to_text(file_));
  }

  faultfs::Status save(const std::vector<scenarios::Command>& commands,
                       const faultfs::CrashPlan& plan) {
    if (commands != commands_of(file_)) {
      file_.commands = commands;
    }
    file_.plan = plan;
    return replace_text(path_, to_text(file_));
  }

  const ShrinkCommandOptions& options_;
  fs::path path_;
  CaseFile file_;
  StageOptions stage_;
  std::vector<scenarios::Command> commands_;
};

}  // namespace

int shrink_command(const ShrinkCommandOptions& options, std::ostream& out, std::ostream& error) {
  fs::path path = options.replay.file;
  if (fs::is_directory(path)) {
    path /= "plan.txt";
  }
  if (const auto seen = workers_see(path); !seen) {
    error << "powercut: " << seen.error().message << "\n";
    return usage;
  }
  auto file = load_case(path);
  if (!file) {
    error << "powercut: " << file.error().message << "\n";
    return usage;
  }
  if (!file->expect_violated) {
    error << "powercut: " << path.string()
          << ": it expects to hold; allowed: a plan that ends with \"expect violated PROPERTY\"\n";
    return usage;
  }
  if (!options.replay.program.empty()) {
    file->config.program = options.replay.program;
  }
  const DeviceKind device = device_for(options.replay, *file);
  if (auto status = scenarios::available(file->config, device == DeviceKind::memory); !status) {
    error << "powercut: undecided, because " << status.error().message << "\n";
    return undecided;
  }
  out.flush();
  return work_on_stage(
      device,
      [&](const StageOptions& stage) {
        return ShrinkRun(options, path, std::move(*file), stage).run();
      },
      [&](int signal) {
        error << fmt::format(
            "powercut: undecided, because the cache died of signal {} in the process that shrinks; "
            "{} is as small as it was by then\n",
            signal,
            path.string());
        return static_cast<int>(undecided);
      },
      error);
}

}  // namespace runner
