#include "runner/options.h"

#include <unistd.h>

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "faultfs/base/check.h"
#include "faultfs/base/random.h"
#include "scenarios/generate.h"

namespace runner {
namespace {

constexpr std::array<const char*, 3> allocators = {"lowest_first", "lifo", "random"};
constexpr std::array<std::uint32_t, 2> slot_sizes = {4096, 16384};
constexpr std::uint64_t commands_part = 1, faults_part = 3;
/// A store that writes in a circle overwrites nothing before it is full, and then what is oldest:
/// that must still be wanted, so most keys are put once.
constexpr std::uint32_t circle_commands_max = 48, circle_keys = 32, circle_states = 96;

/// A short life of a directory in shared memory that is killed after its store number `store`,
/// wherever that falls: puts, an overwrite, a purge, syncs, clean stops, and starts that attach.
/// Where there are fewer stores, nothing is killed.
std::vector<scenarios::Command> store_kill_history(std::uint64_t store) {
  std::vector<scenarios::Command> commands;
  const auto add = [&commands](const std::string& text) {
    const auto command = scenarios::parse_command(text);
    POWERCUT_CHECK(command.has_value(), "{}", text);
    commands.push_back(*command);
  };
  for (const char* text : {"put k0 3000", "put k1 500", "put k2 9000", "sync", "stop"}) {
    add(text);
  }
  add(fmt::format("shm store:{}", store));
  for (const char* text : {"put k3 700",
                           "put k0 2000",
                           "purge k1",
                           "sync",
                           "put k4 5000",
                           "stop",
                           "put k2 300",
                           "purge k3",
                           "stop",
                           "put k1 800",
                           "put k5 400",
                           "get k0",
                           "get k1",
                           "get k2",
                           "get k3",
                           "get k4"}) {
    add(text);
  }
  return commands;
}

/// Walks the settings like an odometer, the fastest digit first, so that any run of consecutive
/// histories covers them evenly.
class Odometer {
 public:
  explicit Odometer(std::uint64_t index) : left_(index) {}
  std::size_t digit(std::size_t base) {
    const std::size_t value = left_ % base;
    left_ /= base;
    return value;
  }

 private:
  std::uint64_t left_;
};

/// Faults that draw do so differently in each history, unless the user gave them a seed.
void add_faults(const scenarios::Faults& faults, HistoryPlan& plan) {
  constexpr std::uint64_t seeds = 1'000'000;  // short to read
  for (auto fault : faults) {
    plan.faults_asked.push_back(faultfs::faults::to_text(fault));
    const bool draws = fault.chance != fault.out_of || fault.fault.starts_with("rot-");
    if (draws && fault.seed == 1) {
      fault.seed = 1 + faultfs::mix(plan.seed, faults_part + plan.faults.size()) % seeds;
    }
    plan.faults.push_back(std::move(fault));
  }
}

}  // namespace

std::vector<faultfs::DeviceProfile> profiles_of(const CampaignOptions& options) {
  if (!options.profile.empty()) {
    if (auto profile = faultfs::find_profile(options.profile)) {
      return {*profile};
    }
    return {};
  }
  // The engine claims something on every device; what other caches claim supposes an honest one.
  const bool every = options.config.target == "engine";
  std::vector<faultfs::DeviceProfile> profiles;
  for (const auto& profile : faultfs::all_profiles()) {
    if (every || profile.honest()) {
      profiles.push_back(profile);
    }
  }
  return profiles;
}

HistoryPlan plan_history(const CampaignOptions& options, std::uint64_t index) {
  HistoryPlan plan;
  plan.index = index;
  plan.config = options.config;
  plan.seed = faultfs::mix(options.seed, index);
  Odometer odometer(index);
  const bool engine = options.config.target == "engine";
  const std::size_t allocator = engine ? odometer.digit(allocators.size()) : 0;
  const auto profiles = profiles_of(options);
  plan.profile = profiles[odometer.digit(profiles.size())];
  if (engine) {
    if (options.vary_slot) {
      plan.config.slot_bytes = slot_sizes[odometer.digit(slot_sizes.size())];
    }
    const bool preset_decides =
        options.config.preset != "hardened" || options.config.store != "rock";
    if (options.config.allocator.empty() && !preset_decides) {
      plan.config.allocator = allocators[allocator];
    }
    if (options.config.policy.empty() && !preset_decides) {
      plan.config.policy = odometer.digit(4) == 3 ? "newest_complete" : "whole_entry";
    }
  }
  return plan;
}

void plan_commands(const CampaignOptions& options,
                   const scenarios::Traits& traits,
                   HistoryPlan& plan) {
  const auto& named = scenarios::named_scenarios();
  add_faults(options.faults, plan);
  if (options.scenario == store_kills) {
    plan.scenario = store_kills;
    plan.commands = store_kill_history(plan.index + 1);
    return;
  }
  if (options.scenario != "generated") {
    for (std::size_t at = 0; at < named.size(); ++at) {
      if (options.scenario == named[at].name ||
          (options.scenario == "all" && plan.index % (2 * named.size()) == at)) {
        plan.scenario = named[at].name;
        plan.commands = named[at].commands;
        add_faults(named[at].faults, plan);
        return;
      }
    }
  }
  plan.scenario = "generated";
  scenarios::GenerateOptions generate;
  generate.traits = traits;
  generate.slot_bytes = plan.config.slot_bytes;
  generate.disk_bytes = plan.config.disk_bytes;
  generate.disks = plan.config.disks;
  generate.overwrites = options.overwrites;
  generate.purges_of_all = options.purges_of_all;
  generate.handoffs = options.handoffs;
  generate.turn = plan.index;
  generate.power_cuts = options.explorer != "kills";
  if (traits.circle_bytes > 0) {
    generate.commands_max = circle_commands_max;
    generate.keys = circle_keys;
  }
  plan.commands = scenarios::generate(faultfs::mix(plan.seed, commands_part), generate);
}

scenarios::Faults faults_of(const CampaignOptions& options) {
  scenarios::Faults faults = options.faults;
  for (const auto& scenario : scenarios::named_scenarios()) {
    if (options.scenario == scenario.name) {
      faults.insert(faults.end(), scenario.faults.begin(), scenario.faults.end());
    }
  }
  return faults;
}

faultfs::Status check_scenario(const CampaignOptions& options) {
  const auto& config = options.config;
  const bool can_hand_over = config.target == "engine" && config.store == "cyclone" &&
                             config.disks == 1 && config.ram_cache.empty() &&
                             options.device == DeviceKind::memory;
  if (options.handoffs && !can_hand_over) {
    return faultfs::fail(
        "--handoffs is for --store cyclone on the memory device, on one disk and without a RAM "
        "cache");
  }
  if (options.scenario == "generated" || options.scenario == "all") {
    return {};
  }
  if (options.scenario == store_kills) {
    const bool sees_stores = options.config.store == "cyclone" && options.config.shared_memory &&
                             options.device == DeviceKind::memory &&
                             scenarios::StoreTrap::possible();
    return sees_stores ? faultfs::Status{}
                       : faultfs::fail(
                             "--scenario store_kills is for --store cyclone --shm on the memory "
                             "device, on x86-64 and in a build without sanitizers: there the "
                             "engine's stores are seen");
  }
  std::vector<std::string> known = {"generated", "all", store_kills};
  for (const auto& scenario : scenarios::named_scenarios()) {
    if (scenario.name == options.scenario) {
      return {};
    }
    known.push_back(scenario.name);
  }
  return faultfs::fail(
      fmt::format("\"{}\" is no scenario; allowed: {}", options.scenario, fmt::join(known, ", ")));
}

int default_jobs(const CampaignOptions& options) {
  const int cpus = static_cast<int>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
  if (options.config.target == "engine") {
    return cpus;
  }
  return (options.config.target == "trafficserver" ? 6 : 3) * cpus;
}

std::uint32_t states_per_history(const CampaignOptions& options) {
  if (options.states_per_history != 0) {
    return options.states_per_history;
  }
  const bool to_the_end = options.explorer == "lazy" || options.explorer == "exhaustive";
  if (to_the_end) {
    return options.device == DeviceKind::memory ? 20000 : 500;
  }
  if (options.config.target == "trafficserver") {
    return circle_states;
  }
  if (options.config.target != "engine") {
    return 32;
  }
  return options.device == DeviceKind::memory ? 400 : 100;
}

}  // namespace runner
