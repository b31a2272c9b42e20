#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "scenarios/command.h"
#include "scenarios/device_faults.h"
#include "scenarios/targets/target.h"

namespace scenarios {

/// What a generated history may contain.
struct GenerateOptions {
  Traits traits;  ///< only what the target can do
  std::uint32_t slot_bytes = 16384;
  std::uint64_t disk_bytes = 1 << 20;  ///< of each disk: an object lives on one
  std::uint32_t disks = 1;
  std::uint32_t keys = 6;
  std::uint32_t commands_max = 24;
  bool overwrites = true;  ///< false: every put has a key of its own (the control)
  /// Purges of everything, where the target can; only where asked for, so that a seed tells the
  /// same history as before there were any.
  bool purges_of_all = false;
  bool handoffs = false;
  bool power_cuts = true;  ///< false: no power cut inside the history
  /// Which history of a campaign this is: accidents to shared memory are taken in turn, so that a
  /// campaign has each of them.
  std::uint64_t turn = 0;
};

/// A history drawn with RapidCheck's generators from `seed` (and `turn`) alone. Swarm: kinds of
/// commands and of sizes (equal, random, 1–13 slots) are switched off per seed. Always legal for
/// the traits, every prefix and every subsequence runs too (a `more` without a `begin` does
/// nothing).
[[nodiscard]] std::vector<Command> generate(std::uint64_t seed, const GenerateOptions& options);

/// A hand-written scenario.
struct NamedScenario {
  std::string name;   ///< overwrite_during_wrap
  std::string story;  ///< one or two sentences
  Faults faults;      ///< `fault` lines: what the device does wrong
  std::vector<Command> commands;
};

/// The scenarios under scenarios/named/, compiled in.
[[nodiscard]] const std::vector<NamedScenario>& named_scenarios();

}  // namespace scenarios
