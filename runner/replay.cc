#include "runner/replay.h"

#include <fstream>
#include <iostream>
#include <iterator>
#include <system_error>

#include <fmt/format.h>

#include "faultfs/base/check.h"
#include "runner/recording_file.h"
#include "runner/sandbox.h"

namespace runner {
namespace {

namespace fs = std::filesystem;
enum ExitCode : int { held = 0, violated = 1, usage = 2, undecided = 3 };

struct Loaded {
  CaseFile file;
  fs::path directory;
};

faultfs::Result<Loaded> load(const ReplayOptions& options) {
  fs::path path = options.file;
  if (fs::is_directory(path)) {
    path /= "plan.txt";
  }
  auto file = load_case(path);
  if (!file) {
    return faultfs::fail(file.error().message);
  }
  if (!options.program.empty()) {
    file->config.program = options.program;
  }
  return Loaded{std::move(*file), path.parent_path()};
}

/// One case, replayed inside a worker.
class Replayer {
 public:
  Replayer(const ReplayOptions& options, Loaded loaded, const StageOptions& stage)
      : options_(options),
        file_(std::move(loaded.file)),
        directory_(std::move(loaded.directory)),
        stage_options_(stage) {}

  int run() {
    auto made = prepare();
    if (!made) {
      std::cerr << "powercut: undecided, because " << made.error().message << "\n";
      return undecided;
    }
    if (auto legal = experiment_->check(file_.plan); !legal) {
      std::cerr << "powercut: " << options_.file.string() << ": " << legal.error().message << "\n";
      return usage;
    }
    for (std::uint32_t time = 0; time < options_.times; ++time) {
      // gdb takes longer than all the rest: asked once.
      auto broken = once(time + 1 == options_.times);
      if (!broken) {
        std::cerr << "powercut: undecided, because " << broken.error().message << "\n";
        return undecided;
      }
    }
    return conclude();
  }

 private:
  faultfs::Status prepare() {
    auto profile = faultfs::find_profile(file_.profile);
    POWERCUT_CHECK(profile.has_value(), "profile {}", file_.profile);
    if (auto status =
            scenarios::available(file_.config, stage_options_.device == DeviceKind::memory);
        !status) {
      return status;
    }
    auto stage = Stage::create(file_.config, *profile, stage_options_);
    if (!stage) {
      return faultfs::fail(stage.error().message);
    }
    stage_ = std::move(*stage);
    if (file_.log_file) {
      auto recording = load_recording(file_, directory_);
      if (!recording) {
        return faultfs::fail(recording.error().message);
      }
      experiment_ = Experiment::resume(*stage_, std::move(*recording));
      return {};
    }
    auto made = Experiment::record(
        *stage_, file_.config, *profile, file_.seed, commands_of(file_), file_.faults);
    if (!made) {
      return faultfs::fail(made.error().message);
    }
    experiment_ = std::move(*made);
    return {};
  }

  faultfs::Result<bool> once(bool with_stack) {
    FailureCase failure;
    failure.file = file_;
    failure.directory = directory_;
    failure.commit = options_.commit;
    failure.device_used = to_text(stage_options_.device);
    failure.commands_before = commands_of(file_).size();
    failure.fates_before = file_.plan.fates.size();
    auto broken = observe(*experiment_, file_, failure, with_stack);
    if (!broken) {
      return broken;
    }
    if (!failure.violation.property.empty()) {
      ++reproduced_;
      last_ = std::move(failure);
    }
    return broken;
  }

  int conclude() {
    if (reproduced_ == 0) {
      fmt::print("held on {}: {} of {} runs; expected {}\n",
                 to_text(stage_options_.device),
                 options_.times,
                 options_.times,
                 file_.expect_violated ? "violated " + file_.expect_property : "held");
      return held;
    }
    last_->reproduced = reproduced_;
    last_->replays = options_.times;
    fmt::print("{}\n", options_.render(*last_, options_.color));
    fmt::print("reproduced {} of {} on {}; expected {}\n",
               reproduced_,
               options_.times,
               to_text(stage_options_.device),
               file_.expect_violated ? "violated " + file_.expect_property : "held");
    return violated;
  }

  const ReplayOptions& options_;
  CaseFile file_;
  fs::path directory_;
  StageOptions stage_options_;
  std::unique_ptr<Stage> stage_;
  std::unique_ptr<Experiment> experiment_;
  std::uint32_t reproduced_ = 0;
  std::optional<FailureCase> last_;
};

}  // namespace

DeviceKind device_for(const ReplayOptions& options, const CaseFile& file) {
  if (options.device) {
    return *options.device;
  }
  return file.config.target == "engine" ? DeviceKind::memory : DeviceKind::fuse;
}

int work_on_stage(DeviceKind device,
                  const std::function<int(const StageOptions&)>& work,
                  const std::function<int(int signal)>& died,
                  std::ostream& error) {
  auto worker = start_worker({}, [&](const faultfs::Result<Sandbox>& sandbox, int) {
    StageOptions stage;
    stage.device = device;
    if (device == DeviceKind::fuse && !sandbox) {
      fmt::print(stderr, "powercut: undecided, because {}\n", sandbox.error().message);
      return static_cast<int>(undecided);
    }
    stage.scratch = sandbox ? sandbox->scratch : fs::path();
    const int code = work(stage);
    std::fflush(stdout);
    return code;
  });
  if (!worker) {
    error << "powercut: undecided, because " << worker.error().message << "\n";
    return undecided;
  }
  const WorkerEnd end = worker->wait();
  return end.signal != 0 ? died(end.signal) : end.code;
}

int replay(const ReplayOptions& options, std::ostream& out, std::ostream& error) {
  auto loaded = load(options);
  if (!loaded) {
    error << "powercut: " << loaded.error().message << "\n";
    return usage;
  }
  const DeviceKind device = device_for(options, loaded->file);
  out.flush();
  return work_on_stage(
      device,
      [&](const StageOptions& stage) { return Replayer(options, std::move(*loaded), stage).run(); },
      [&out](int signal) {
        out << fmt::format(
            "the cache died of signal {} in this state (it ran inside the worker); violated "
            "process_survives\n",
            signal);
        return static_cast<int>(violated);
      },
      error);
}

int show(const ReplayOptions& options, std::ostream& out, std::ostream& error) {
  auto loaded = load(options);
  if (!loaded) {
    error << "powercut: " << loaded.error().message << "\n";
    return usage;
  }
  std::error_code ignored;
  const fs::path kept = loaded->directory / "trace.txt";
  std::ifstream trace(kept, std::ios::binary);
  const bool traced = trace.is_open() && fs::is_regular_file(kept, ignored);
  if (traced) {
    out << std::string(std::istreambuf_iterator<char>(trace), std::istreambuf_iterator<char>())
        << "\n";
  }
  out << to_text(loaded->file);
  if (traced) {
    return held;
  }
  out << "\n";
  return replay(options, out, error);
}

}  // namespace runner
