#include "runner/keep_task.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <system_error>

#include <fmt/format.h>

#include "faultfs/base/check.h"
#include "runner/recording_file.h"

namespace runner {
namespace {

using faultfs::fail;

/// Bounds of shrinking: where a state costs a tenth of a second, fewer are spent.
ShrinkOptions shrink_options(bool deterministic) {
  return deterministic ? ShrinkOptions{60000, 60} : ShrinkOptions{700, 150};
}

class Keeper {
 public:
  Keeper(const CampaignOptions& options,
         const StageOptions& stage_options,
         const RawFailure& failure,
         const KeepOptions& keep)
      : options_(options), stage_options_(stage_options), raw_(failure), keep_(keep) {
    case_.number = keep.number;
    case_.file = failure.file;
    case_.directory = keep.directory;
    case_.commit = options.commit;
    case_.device_used = to_text(stage_options.device);
    case_.commands_before = commands_of(failure.file).size();
    case_.fates_before = failure.file.plan.fates.size();
    deterministic_ = failure.file.config.target == "engine";
  }

  faultfs::Result<FailureCase> run() {
    auto profile = faultfs::find_profile(raw_.file.profile);
    POWERCUT_CHECK(profile.has_value(), "profile {}", raw_.file.profile);
    std::optional<scenarios::Recording> recording;
    if (!raw_.recording_directory.empty()) {
      auto loaded = load_recording(raw_.file, raw_.recording_directory);
      if (!loaded) {
        return fail(loaded.error().message);
      }
      recording = std::move(*loaded);
    }
    ProberOptions prober_options;
    prober_options.stage = stage_options_;
    prober_options.isolate = raw_.isolate;
    prober_options.states_per_search = deterministic_ ? 600 : 10;
    Prober prober(prober_options,
                  raw_.file.config,
                  *profile,
                  raw_.file.seed,
                  raw_.file.expect_property,
                  std::move(recording));
    if (auto status = shrink_case(prober); !status) {
      return fail(status.error().message);
    }
    if (auto status = replay(prober); !status) {
      return fail(status.error().message);
    }
    if (auto status = write_case(prober); !status) {
      return fail(status.error().message);
    }
    return std::move(case_);
  }

 private:
  faultfs::Status shrink_case(Prober& prober) {
    commands_ = commands_of(raw_.file);
    plan_ = raw_.file.plan;
    if (!keep_.shrink) {
      return {};
    }
    auto shrunk = shrink(prober, commands_, {plan_, raw_.log_size}, shrink_options(deterministic_));
    if (!shrunk) {
      return fail(shrunk.error().message);
    }
    commands_ = shrunk->commands;
    plan_ = shrunk->plan;
    case_.each_fate_needed = shrunk->each_fate_needed;
    return {};
  }

  faultfs::Status replay(Prober& prober) {
    case_.file.plan = plan_;
    if (commands_ != commands_of(raw_.file)) {
      case_.file.commands = commands_;
      case_.file.scenario = raw_.file.scenario;
    }
    for (; case_.replays < keep_.replays; ++case_.replays) {
      auto broken = prober.breaks(commands_, plan_);
      if (!broken) {
        return fail(broken.error().message);
      }
      case_.reproduced += *broken ? 1 : 0;
    }
    return {};
  }

  faultfs::Status write_case(Prober& prober) {
    auto experiment = prober.experiment(commands_);
    if (!experiment) {
      return fail(experiment.error().message);
    }
    auto seen = look(**experiment);
    if (!seen) {
      return seen;
    }
    case_.confirmed_on = confirm();
    std::error_code error;
    std::filesystem::create_directories(keep_.directory, error);
    if (error) {
      return fail(fmt::format("{} cannot be made: {}", keep_.directory.string(), error.message()));
    }
    if (auto saved = save(); !saved) {
      return saved;
    }
    if (options_.render) {
      case_.trace = options_.render(case_, false);
      case_.colored_trace = options_.render(case_, true);
    }
    return write_files((*experiment)->model());
  }

  /// The recording: raw where anybody can make it again, small where it is the only evidence.
  faultfs::Status save() {
    auto& files = case_.files;
    files = {"trace.txt", "plan.txt", log_file_name};
    auto status = deterministic_ ? save_recording(case_.recording, keep_.directory)
                                 : pack_recording(case_.recording, keep_.directory, case_.file);
    if (deterministic_) {
      files.emplace_back(base_file_name);
    } else if (case_.file.base_file) {
      files.push_back(*case_.file.base_file);
    }
    files.insert(files.end(), {"crash.img", history_file_name, "target.log"});
    return status;
  }

  faultfs::Status look(Experiment& experiment) {
    if (raw_.isolate) {
      // Looking would kill this process: say what the parent saw.
      case_.recording = experiment.recording();
      case_.seen.point = plan_.point;
      case_.seen.started = scenarios::Outcome::lost;
      case_.violation.property = raw_.file.expect_property;
      case_.violation.claim = "The cache's process goes on, whatever it finds on its disk.";
      case_.violation.observed = "the process died while it recovered or served this state";
      case_.violation.allowed = "a miss for anything it cannot use";
      return {};
    }
    // A target that is not deterministic may need more than one try to fail again.
    for (int attempt = 0; attempt < 5; ++attempt) {
      auto broken = observe(experiment, case_.file, case_);
      if (!broken) {
        return fail(broken.error().message);
      }
      if (*broken) {
        return {};
      }
    }
    case_.violation.property = raw_.file.expect_property;
    case_.violation.observed = "seen once, and not again in 5 tries";
    return {};
  }

  std::string confirm() {
    if (stage_options_.device == DeviceKind::fuse) {
      return "";
    }
    if (!keep_.confirm_on_fuse) {
      return "not run on a mounted device: FUSE is not to be had here";
    }
    StageOptions on_fuse = stage_options_;
    on_fuse.device = DeviceKind::fuse;
    auto profile = faultfs::find_profile(raw_.file.profile);
    Prober prober(
        {on_fuse, false, 0}, raw_.file.config, *profile, raw_.file.seed, raw_.file.expect_property);
    auto broken = prober.breaks(commands_, plan_);
    if (!broken) {
      return "not confirmed on fuse: " + broken.error().message;
    }
    return *broken ? "confirmed on fuse" : "holds on fuse: the two devices disagree";
  }

  faultfs::Status write_files(faultfs::CrashModel& model) {
    if (auto status = model.build(plan_).at(0).save(keep_.directory / "crash.img"); !status) {
      return status;
    }
    for (const auto& [name, text] : {std::pair{"plan.txt", to_text(case_.file)},
                                     std::pair{"trace.txt", case_.trace},
                                     std::pair{"target.log", case_.target_log}}) {
      if (auto status = write_text(keep_.directory / name, text); !status) {
        return status;
      }
    }
    return {};
  }

  const CampaignOptions& options_;
  StageOptions stage_options_;
  RawFailure raw_;
  KeepOptions keep_;
  bool deterministic_ = true;
  FailureCase case_;
  std::vector<scenarios::Command> commands_;
  faultfs::CrashPlan plan_;
};

}  // namespace

faultfs::Result<FailureCase> keep_case(const CampaignOptions& options,
                                       const StageOptions& stage_options,
                                       const RawFailure& failure,
                                       const KeepOptions& keep) {
  return Keeper(options, stage_options, failure, keep).run();
}

faultfs::Result<bool> observe(Experiment& experiment, const CaseFile& file, FailureCase& failure) {
  failure.recording = experiment.recording();
  auto state = experiment.run(file.plan);
  if (!state) {
    return faultfs::fail(state.error().message);
  }
  failure.seen = state->seen;
  failure.target_log = experiment.target_log();
  auto violations = state->judgement.violations;
  std::ranges::move(experiment.judge_run().violations, std::back_inserter(violations));
  if (violations.empty()) {
    return false;
  }
  auto first =
      std::ranges::find(violations, file.expect_property, &properties::Violation::property);
  const bool expected = first != violations.end();
  if (!expected) {
    first = violations.begin();
  }
  failure.violation = *first;
  violations.erase(first);
  failure.others = std::move(violations);
  return expected || !file.expect_violated;
}

void to_json(nlohmann::json& json, const FailureCase& failure) {
  const auto& violation = failure.violation;
  json = {{"number", failure.number},
          {"case", to_text(failure.file)},
          {"violation",
           {violation.property,
            violation.claim,
            violation.observed,
            violation.allowed,
            violation.phase}},
          {"key", violation.key},
          {"commands_before", failure.commands_before},
          {"fates_before", failure.fates_before},
          {"each_fate_needed", failure.each_fate_needed},
          {"reproduced", failure.reproduced},
          {"replays", failure.replays},
          {"device_used", failure.device_used},
          {"confirmed_on", failure.confirmed_on},
          {"directory", failure.directory.string()},
          {"files", failure.files},
          {"trace", failure.trace},
          {"colored_trace", failure.colored_trace},
          {"commit", failure.commit}};
}

void from_json(const nlohmann::json& json, FailureCase& failure) {
  auto file = parse_case(json.at("case").get<std::string>());
  POWERCUT_CHECK(
      file.has_value(), "a case does not parse back: {}", file ? "" : file.error().message);
  failure.file = *file;
  failure.number = json.at("number");
  const auto& words = json.at("violation");
  failure.violation = {
      words.at(0), words.at(1), words.at(2), words.at(3), json.at("key"), words.at(4)};
  failure.commands_before = json.at("commands_before");
  failure.fates_before = json.at("fates_before");
  failure.each_fate_needed = json.at("each_fate_needed");
  failure.reproduced = json.at("reproduced");
  failure.replays = json.at("replays");
  failure.device_used = json.at("device_used");
  failure.confirmed_on = json.at("confirmed_on");
  failure.directory = json.at("directory").get<std::string>();
  failure.files = json.at("files").get<std::vector<std::string>>();
  failure.trace = json.at("trace");
  failure.colored_trace = json.at("colored_trace");
  failure.commit = json.at("commit");
}

}  // namespace runner
