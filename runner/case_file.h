#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "faultfs/plan.h"
#include "scenarios/command.h"
#include "scenarios/device_faults.h"
#include "scenarios/targets/config.h"

namespace runner {

/// A case as data, `plan.txt`: which cache, which device, what it was doing, how the power went,
/// and what is expected. Everything speaks through it: explorer, replayer, shrinker and people.
///
/// ```
/// crash-plan 1
/// scenario  generated
/// target    engine
/// preset    squid
/// device    ssd_4k_volatile
/// fault     rot-on-read chance=1/50 seed=7
/// seed      0x5d1c09e2
/// do        put k7 64K
/// do        put k7 64K
/// cut       after w0118
/// w0112     lost
/// w0115     kept
/// again     cut after w0002      (only where the recovery was cut too)
/// expect    violated no_hodgepodge
/// ```
struct CaseFile {
  std::string scenario = "generated";
  scenarios::TargetConfig config;
  std::string profile;       ///< name of a device profile
  scenarios::Faults faults;  ///< of the device, in the order in which requests meet them
  std::uint64_t seed = 0;
  std::vector<scenarios::Command> commands;  ///< empty: those of the named scenario
  faultfs::CrashPlan plan;
  bool expect_violated = true;
  std::string expect_property;  ///< of `expect violated NAME`; empty with `expect held`
  /// For targets that are not deterministic: the recorded log and base image, files beside
  /// plan.txt.
  std::optional<std::string> log_file, base_file, history_file;
  [[nodiscard]] bool operator==(const CaseFile&) const = default;
};

[[nodiscard]] std::string to_text(const CaseFile& file);
/// Error: line number, the line, what was wrong and what is allowed. A text without its `expect`
/// line is refused as cut short.
[[nodiscard]] faultfs::Result<CaseFile> parse_case(std::string_view text);
[[nodiscard]] faultfs::Result<CaseFile> load_case(const std::filesystem::path& file);

}  // namespace runner
