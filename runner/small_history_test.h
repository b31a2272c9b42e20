#pragma once

#include <memory>
#include <string>
#include <vector>

#include "runner/experiment.h"
#include "scenarios/command.h"

namespace runner {

/// Everything a client could tell a run by.
inline std::string observation(const faultfs::CrashPlan& plan, const StateResult& state) {
  std::string text = faultfs::to_text(plan.point);
  for (const auto* readings : {&state.seen->after_recovery,
                               &state.seen->after_reopen,
                               &state.seen->after_traffic,
                               &state.seen->after_last_restart}) {
    for (const auto& reading : *readings) {
      text += "\n" + scenarios::to_text(reading);
    }
    text += "\n--";
  }
  for (const auto& [gate, refusals] : state.seen->gate_refusals) {
    text += "\n" + gate + " " + std::to_string(refusals);
  }
  return text;
}

/// A cache on the memory device, and a history it was given.
struct Recorded {
  std::unique_ptr<Stage> stage;
  std::unique_ptr<Experiment> experiment;
};

struct SmallStore {
  std::string store = "rock", preset = "hardened";
  std::uint32_t slot_bytes = 8192;
  std::uint64_t disk_bytes = std::uint64_t{128} << 10U;
  std::vector<std::string> without_gates = {};
};

inline Recorded record_small(const SmallStore& store,
                             const std::string& profile_name,
                             const std::vector<std::string>& lines) {
  scenarios::TargetConfig config;
  config.target = "engine";
  config.store = store.store;
  config.preset = store.preset;
  config.slot_bytes = store.slot_bytes;
  config.disk_bytes = store.disk_bytes;
  config.without_gates = store.without_gates;
  const auto profile = *faultfs::find_profile(profile_name);
  Recorded made;
  made.stage = std::move(*Stage::create(config, profile, {}));
  std::vector<scenarios::Command> commands;
  for (const std::string& line : lines) {
    commands.push_back(*scenarios::parse_command(line));
  }
  made.experiment = std::move(*Experiment::record(*made.stage, config, profile, 7, commands));
  return made;
}

inline Recorded record_small(const std::string& preset,
                             const std::string& profile_name,
                             const std::vector<std::string>& lines) {
  SmallStore store;
  store.preset = preset;
  return record_small(store, profile_name, lines);
}

}  // namespace runner
