// A run as JSON lines, for programs: each line is an object whose "event" says what it is. Numbers
// that may exceed 2^53 (seeds) are strings. Names are those of the command line and of plan.txt.
#include <fstream>
#include <nlohmann/json.hpp>
#include <ostream>

#include <fmt/format.h>

#include "reports/observers.h"

namespace reports {
namespace {

using nlohmann::ordered_json;

/// Bytes that are not UTF-8 (a target's last words) are replaced, never refused.
std::string line_of(const ordered_json& json) {
  return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

std::string seed_text(std::uint64_t seed) {
  return fmt::format("0x{:x}", seed);
}

ordered_json violation_json(const properties::Violation& violation) {
  return {{"property", violation.property},
          {"phase", violation.phase},
          {"claim", violation.claim},
          {"observed", violation.observed},
          {"allowed", violation.allowed}};
}

ordered_json count_json(const runner::PropertyCount& count) {
  return {{"holds", count.holds}, {"violated", count.violated}, {"undecided", count.undecided}};
}

ordered_json target_json(const scenarios::TargetConfig& config) {
  return {{"target", config.target},
          {"store", config.store},
          {"preset", config.preset},
          {"without_gates", config.without_gates},
          {"allocator", config.allocator},
          {"policy", config.policy},
          {"disks", config.disks},
          {"ram_cache", config.ram_cache},
          {"slot_bytes", config.slot_bytes},
          {"disk_bytes", config.disk_bytes}};
}

class JsonLines : public runner::Observer {
 public:
  JsonLines(std::ostream& terminal, const std::filesystem::path& file)
      : terminal_(terminal), file_(file), out_(file, std::ios::trunc) {
    complain();
  }
  void run_started(const runner::RunInfo& info) override { write(json_of(info)); }
  void progressed(const runner::Progress& progress) override {
    constexpr double pause_seconds = 1;
    if (progress.seconds >= told_at_ + pause_seconds) {
      told_at_ = progress.seconds;
      write(json_of(progress));
    }
  }
  void case_kept(const runner::FailureCase& failure) override { write(json_of(failure)); }
  void run_ended(const runner::RunSummary& summary) override {
    write(json_of(summary));
    out_.flush();
    complain();
  }

 private:
  void write(const std::string& line) { out_ << line << '\n' << std::flush; }

  void complain() {
    if (!out_ && !complained_) {
      complained_ = true;
      terminal_ << fmt::format("the JSON report {} cannot be written\n", file_.string());
    }
  }

  std::ostream& terminal_;
  std::filesystem::path file_;
  std::ofstream out_;
  double told_at_ = 0;
  bool complained_ = false;
};

}  // namespace

std::string json_of(const runner::RunInfo& info) {
  return line_of({{"event", "run_started"},
                  {"title", info.title},
                  {"seed", seed_text(info.seed)},
                  {"commit", info.commit},
                  {"command_line", info.command_line},
                  {"states_max", info.states_max},
                  {"seconds_max", info.seconds_max},
                  {"jobs", info.jobs}});
}

std::string json_of(const runner::Progress& progress) {
  return line_of({{"event", "progressed"},
                  {"seconds", progress.seconds},
                  {"states", progress.states},
                  {"histories", progress.histories},
                  {"violated", progress.violated},
                  {"undecided", progress.undecided},
                  {"shrinking", progress.shrinking}});
}

std::string json_of(const runner::FailureCase& failure) {
  ordered_json others = ordered_json::array();
  for (const properties::Violation& other : failure.others) {
    others.push_back(violation_json(other));
  }
  return line_of({{"event", "case_kept"},
                  {"number", failure.number},
                  {"scenario", failure.file.scenario},
                  {"config", target_json(failure.file.config)},
                  {"profile", failure.file.profile},
                  {"seed", seed_text(failure.file.seed)},
                  {"violation", violation_json(failure.violation)},
                  {"others", others},
                  {"commands_before", failure.commands_before},
                  {"commands", failure.file.commands.size()},
                  {"fates_before", failure.fates_before},
                  {"fates", failure.file.plan.fates.size()},
                  {"each_fate_needed", failure.each_fate_needed},
                  {"order", {failure.order_first, failure.order_later}},
                  {"not_shrunk", failure.not_shrunk},
                  {"reproduced", failure.reproduced},
                  {"replays", failure.replays},
                  {"seconds_to_find", failure.seconds_to_find},
                  {"device", failure.device_used},
                  {"confirmed_on", failure.confirmed_on},
                  {"directory", failure.directory.string()},
                  {"files", failure.files},
                  {"plan", runner::to_text(failure.file)}});
}

std::string json_of(const runner::RunSummary& summary) {
  ordered_json counts = ordered_json::object();
  for (const auto& [name, count] : summary.properties) {
    counts[name] = count_json(count);
  }
  ordered_json profiles = ordered_json::object();
  for (const auto& [profile, properties] : summary.properties_by_profile) {
    for (const auto& [name, count] : properties) {
      profiles[profile][name] = count_json(count);
    }
  }
  return line_of({{"event", "run_ended"},
                  {"seconds", summary.seconds},
                  {"states", summary.states},
                  {"histories", summary.histories},
                  {"held", summary.held},
                  {"violated_states", summary.violated_states},
                  {"undecided_states", summary.undecided_states},
                  {"causes", summary.causes},
                  {"properties", counts},
                  {"properties_by_profile", profiles},
                  {"undecided_why", summary.undecided_why},
                  {"gate_refusals", summary.gate_refusals},
                  {"states_by_profile", summary.states_by_profile},
                  {"not_explored", summary.not_explored},
                  {"notes", summary.notes},
                  {"seed", seed_text(summary.info.seed)},
                  {"commit", summary.info.commit},
                  {"exit_code", summary.exit_code}});
}

std::unique_ptr<runner::Observer> make_json_lines(std::ostream& terminal,
                                                  const std::filesystem::path& file) {
  return std::make_unique<JsonLines>(terminal, file);
}

}  // namespace reports
