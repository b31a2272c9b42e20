#include "runner/keep_task.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <system_error>

#include <fmt/format.h>

#include "faultfs/base/check.h"
#include "runner/ordering.h"
#include "runner/recording_file.h"
#include "scenarios/formats/write_notes.h"

namespace runner {
namespace {

using faultfs::fail;

/// What a crash state costs decides how many of them shrinking may spend.
struct Cost {
  std::uint64_t states_max, states_per_search;
};

Cost cost_of(bool deterministic, DeviceKind device, bool isolate) {
  if (!deterministic) {
    return {700, 10};
  }
  if (device == DeviceKind::fuse) {
    return {2000, 40};
  }
  return isolate ? Cost{4000, 100} : Cost{20000, 600};
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
    case_.faults_before = failure.file.faults.size();
    case_.fates_before = failure.file.plan.fates.size();
    deterministic_ = failure.file.config.target == "engine";
    deadline_ = std::chrono::steady_clock::now() +
                std::chrono::duration_cast<std::chrono::steady_clock::duration>(
                    std::chrono::duration<double>(keep.shrink_seconds));
  }

  faultfs::Result<FailureCase> run() {
    auto profile = faultfs::find_profile(raw_.file.profile);
    POWERCUT_CHECK(profile.has_value(), "profile {}", raw_.file.profile);
    profile_ = *profile;
    commands_ = commands_of(raw_.file);
    plan_ = raw_.file.plan;
    if (auto status = replay(); !status) {
      return fail(status.error().message);
    }
    if (case_.reproduced == 0) {
      if (keep_.known) {
        case_.violation.property = raw_.file.expect_property;
        return std::move(case_);
      }
      case_.not_shrunk = "no replay showed it again";
    } else if (!keep_.shrink) {
      case_.not_shrunk = keep_.known ? "this is how an earlier run kept it" : "as it was found";
    } else if (auto status = shrink_and_replay(); !status) {
      return fail(status.error().message);
    } else if (auto explained = explain_order(); !explained) {
      return fail(explained.error().message);
    }
    if (auto status = write_case(); !status) {
      return fail(status.error().message);
    }
    return std::move(case_);
  }

 private:
  /// The prober of the device the case was found on. Made when first asked for.
  faultfs::Result<Prober*> prober() {
    if (!prober_) {
      std::optional<scenarios::Recording> recording;
      if (!raw_.recording_directory.empty()) {
        auto loaded = load_recording(raw_.file, raw_.recording_directory);
        if (!loaded) {
          return fail(loaded.error().message);
        }
        recording = std::move(*loaded);
      }
      prober_ = make_prober(stage_options_.device, raw_.isolate, std::move(recording));
    }
    return prober_.get();
  }

  [[nodiscard]] std::unique_ptr<Prober> make_prober(
      DeviceKind device,
      bool isolate,
      std::optional<scenarios::Recording> recording = std::nullopt) const {
    ProberOptions options;
    options.stage = stage_options_;
    options.stage.device = device;
    options.isolate = isolate;
    options.states_per_search = cost_of(deterministic_, device, isolate).states_per_search;
    options.deadline = deadline_;
    auto prober = std::make_unique<Prober>(options,
                                           raw_.file.config,
                                           profile_,
                                           raw_.file.seed,
                                           raw_.file.expect_property,
                                           std::move(recording));
    prober->put_faults(case_.file.faults);
    return prober;
  }

  faultfs::Status shrink_and_replay() {
    auto in_memory = shrink_in_memory();
    if (!in_memory) {
      return fail(in_memory.error().message);
    }
    if (!*in_memory) {
      auto prober = this->prober();
      if (!prober) {
        return fail(prober.error().message);
      }
      const Cost cost = cost_of(deterministic_, stage_options_.device, raw_.isolate);
      if (auto status = shrink_with(**prober, cost); !status) {
        return status;
      }
    }
    return replay();
  }

  /// A case found on a mounted device that shows in memory too is shrunk there, where a crash state
  /// costs a hundredth, each in a child of its own. False where that did not lead to a smaller case
  /// that fails on the mounted device as well.
  faultfs::Result<bool> shrink_in_memory() {
    if (!deterministic_ || stage_options_.device == DeviceKind::memory) {
      return false;
    }
    prober_.reset();  // a mounted device has threads, and children are forked from one only
    auto memory = make_prober(DeviceKind::memory, true);
    auto broken = memory->breaks(commands_, plan_);
    if (!broken || !*broken) {
      return broken;
    }
    const auto commands = commands_;
    const auto plan = plan_;
    const auto faults = case_.file.faults;
    if (auto status = shrink_with(*memory, cost_of(true, DeviceKind::memory, true)); !status) {
      return fail(status.error().message);
    }
    memory.reset();
    auto prober = this->prober();
    if (!prober) {
      return fail(prober.error().message);
    }
    auto confirmed = (*prober)->breaks(commands_, plan_);
    if (!confirmed || !*confirmed) {
      commands_ = commands;
      plan_ = plan;
      case_.file.faults = faults;
      (*prober)->put_faults(faults);
    }
    return confirmed;
  }

  faultfs::Status shrink_with(Prober& prober, const Cost& cost) {
    const std::chrono::duration<double> left = deadline_ - std::chrono::steady_clock::now();
    const ShrinkOptions options{cost.states_max, left.count()};
    auto shrunk = shrink(prober, commands_, {plan_, raw_.log_size}, options);
    if (!shrunk) {
      return fail(shrunk.error().message);
    }
    commands_ = shrunk->commands;
    plan_ = shrunk->plan;
    case_.file.faults = prober.faults();
    case_.each_fate_needed = shrunk->each_fate_needed;
    case_.not_shrunk =
        shrunk->finished ? "" : fmt::format("stopped after {} crash states", shrunk->states);
    return {};
  }

  faultfs::Status replay() {
    auto prober = this->prober();
    if (!prober) {
      return fail(prober.error().message);
    }
    case_.file.plan = plan_;
    if (commands_ != commands_of(raw_.file)) {
      case_.file.commands = commands_;
    }
    case_.reproduced = 0;
    for (case_.replays = 0; case_.replays < keep_.replays; ++case_.replays) {
      auto broken = (*prober)->breaks(commands_, plan_);
      if (!broken) {
        return fail(broken.error().message);
      }
      case_.reproduced += *broken ? 1 : 0;
    }
    return {};
  }

  /// Which write should have been durable before which; on a device where states are cheap.
  faultfs::Status explain_order() {
    if (!deterministic_ || case_.reproduced != case_.replays || !case_.not_shrunk.empty() ||
        !plan_.again.empty()) {
      return {};
    }
    auto prober = this->prober();
    if (!prober) {
      return fail(prober.error().message);
    }
    const Cost cost = cost_of(true, stage_options_.device, raw_.isolate);
    auto order = explain(**prober, commands_, plan_, cost.states_per_search);
    if (!order) {
      return fail(order.error().message);
    }
    if (*order) {
      case_.order_first = (*order)->first;
      case_.order_later = (*order)->later;
      case_.order_states = (*order)->states;
    }
    return {};
  }

  faultfs::Status write_case() {
    auto prober = this->prober();
    if (!prober) {
      return fail(prober.error().message);
    }
    auto experiment = (*prober)->experiment(commands_);
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
    keep_core();
    if (options_.render) {
      case_.trace = options_.render(case_, false);
      case_.colored_trace = options_.render(case_, true);
    }
    return write_files(**experiment);
  }

  /// The recording: raw where anybody can make it again, small where it is the only evidence.
  faultfs::Status save() {
    auto& files = case_.files;
    files = {"trace.txt", "plan.txt", log_file_name};
    auto status = deterministic_ ? save_recording(case_.recording, keep_.directory)
                                 : pack_recording(case_.recording, keep_.directory, case_.file);
    for (std::size_t disk = 0; deterministic_ && disk < case_.recording.base.size(); ++disk) {
      files.push_back(image_name("before", disk));
    }
    if (!deterministic_ && case_.file.base_file) {
      files.push_back(*case_.file.base_file);
    }
    for (std::size_t disk = 0; disk < case_.recording.base.size(); ++disk) {
      files.push_back(image_name("crash", disk));
    }
    files.insert(files.end(), {history_file_name, "target.log"});
    return status;
  }

  faultfs::Status look(Experiment& experiment) {
    if (raw_.file.expect_property == "process_survives" &&
        stage_options_.device == DeviceKind::memory) {
      // Looking would kill this process: say what the parent saw.
      case_.recording = experiment.recording();
      case_.seen.point = plan_.point;
      case_.seen.started = scenarios::Outcome::lost;
      describe(experiment,
               "the process died while it recovered or served this state",
               "answers, or a refusal");
      return {};
    }
    // A target that is not deterministic may need more than one try to fail again.
    const int tries = case_.reproduced == 0 ? 1 : 5;
    for (int attempt = 0; attempt < tries; ++attempt) {
      auto broken = observe(experiment, case_.file, case_);
      if (!broken) {
        return fail(broken.error().message);
      }
      if (*broken) {
        return {};
      }
    }
    describe(experiment,
             fmt::format("seen while exploring, and again in {} of {} replays; the run shown here "
                         "held",
                         case_.reproduced,
                         case_.replays),
             "a violation that shows each time, or none");
    return {};
  }

  /// A violation nobody can show again, by what is known of its property.
  void describe(const Experiment& experiment,
                const std::string& observed,
                const std::string& allowed) {
    case_.violation = {};
    case_.violation.property = raw_.file.expect_property;
    case_.violation.observed = observed;
    case_.violation.allowed = allowed;
    for (const auto* property : experiment.claimed()) {
      if (property->name() == raw_.file.expect_property) {
        case_.violation.claim = property->claim();
      }
    }
  }

  std::string confirm() {
    if (stage_options_.device == DeviceKind::fuse) {
      return "";
    }
    if (!keep_.confirm_on_fuse) {
      return "not run on a mounted device: FUSE is not to be had here";
    }
    const auto at_store = [](const scenarios::Command& command) {
      return scenarios::store_number(command.word) > 0;
    };
    if (std::ranges::any_of(commands_, at_store)) {
      return "not run on a mounted device: there nobody sees the engine's stores";
    }
    StageOptions on_fuse = stage_options_;
    on_fuse.device = DeviceKind::fuse;
    auto profile = faultfs::find_profile(raw_.file.profile);
    Prober prober(
        {on_fuse, false, 0}, raw_.file.config, *profile, raw_.file.seed, raw_.file.expect_property);
    prober.put_faults(case_.file.faults);
    auto broken = prober.breaks(commands_, plan_);
    if (!broken) {
      return "not confirmed on fuse: " + broken.error().message;
    }
    return *broken ? "confirmed on fuse" : "holds on fuse: the two devices disagree";
  }

  /// The core of the run that was looked at, where it left one.
  void keep_core() {
    if (!case_.seen.death || case_.seen.death->core.empty()) {
      return;
    }
    std::error_code error;
    std::filesystem::copy_file(case_.seen.death->core,
                               keep_.directory / "core",
                               std::filesystem::copy_options::overwrite_existing,
                               error);
    if (!error) {
      case_.files.emplace_back("core");
    }
  }

  faultfs::Status write_files(Experiment& experiment) {
    auto disks = experiment.disks(plan_);
    if (!disks) {
      return fail(disks.error().message);
    }
    for (std::size_t number = 0; number < disks->size(); ++number) {
      const std::string name = image_name("crash", number);
      if (auto status = disks->at(number).save(keep_.directory / name); !status) {
        return status;
      }
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
  std::chrono::steady_clock::time_point deadline_;
  faultfs::DeviceProfile profile_;
  std::unique_ptr<Prober> prober_;
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
          {"faults_before", failure.faults_before},
          {"each_fate_needed", failure.each_fate_needed},
          {"not_shrunk", failure.not_shrunk},
          {"order", {failure.order_first, failure.order_later}},
          {"order_states", failure.order_states},
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
  failure.faults_before = json.at("faults_before");
  failure.each_fate_needed = json.at("each_fate_needed");
  failure.not_shrunk = json.at("not_shrunk");
  failure.order_first = json.at("order").at(0);
  failure.order_later = json.at("order").at(1);
  failure.order_states = json.at("order_states");
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
