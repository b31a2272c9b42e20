#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "properties/property.h"
#include "runner/case_file.h"
#include "scenarios/cost_clock.h"

namespace runner {

/// What a run set out to do.
struct RunInfo {
  std::string title;  ///< "engine rock hardened on 11 device profiles"
  std::uint64_t seed = 0;
  std::string commit;            ///< "3f2a91c (clean)", "unknown"
  std::filesystem::path out;     ///< where cases are kept
  std::string command_line;      ///< to run it again
  std::uint64_t states_max = 0;  ///< 0: no limit
  double seconds_max = 0;        ///< 0: no limit
  int jobs = 1;
};

struct Progress {
  double seconds = 0;
  std::uint64_t states = 0, histories = 0, violated = 0, undecided = 0;
  std::uint32_t shrinking = 0;  ///< cases being shrunk now
};

/// A violation, shrunk, replayed and kept: all a failure trace says.
struct FailureCase {
  std::uint32_t number = 0;
  CaseFile file;                    ///< shrunk
  scenarios::Recording recording;   ///< of the shrunk case
  scenarios::Examination seen;      ///< of the shrunk case
  properties::Violation violation;  ///< the first
  std::vector<properties::Violation> others;
  std::size_t commands_before = 0, fates_before = 0, faults_before = 0;  ///< before shrinking
  bool each_fate_needed = false;  ///< undoing any one makes the claim hold (checked)
  std::string
      not_shrunk;  ///< why shrinking did not run, or stopped early; empty: it came to its end
  /// "w0112 must be durable before w0115": the pair of writes that explains the failure, and how
  /// many crash states that keep this order were seen to hold. 0: no one pair does.
  std::uint32_t order_first = 0, order_later = 0;
  std::uint64_t order_states = 0;
  std::uint32_t reproduced = 0, replays = 0;
  double seconds_to_find = 0;
  std::string device_used;          ///< "memory", "fuse"
  std::string confirmed_on;         ///< "confirmed on fuse", "not confirmed: /dev/fuse …"
  std::filesystem::path directory;  ///< run/0007/case-0041
  std::vector<std::string> files;   ///< kept there
  /// Of each recovery that was cut too: its requests up to there, and what became of them.
  std::vector<std::vector<std::string>> recoveries;
  std::string target_log;
  /// Where the process died: its innermost functions, or why they are not known.
  std::vector<std::string> stack;
  std::string no_stack;
  /// What each entry of the recording's log is in the target's own format, entry 1 first ("slot 17,
  /// inode of k3 version 2"); empty where it is not known.
  std::vector<std::string> write_notes;
  /// The failure trace, without and with colour, rendered where the case was found. After transport
  /// to the observing process `recording` and `seen` are empty and these stand for them.
  std::string trace, colored_trace;
  std::string commit;
};

/// Counts of one row of the end-of-run table.
struct PropertyCount {
  std::uint64_t holds = 0, violated = 0, undecided = 0;
};

/// What a fault of the device came to, in histories and after cuts.
struct FaultCount {
  std::uint64_t matches = 0, firings = 0;
};

/// What crash states cost.
struct Cost {
  double cpu_seconds = 0;              ///< of the workers and of what they started
  std::uint64_t memory_bytes_max = 0;  ///< resident at once, of the largest worker
  std::array<double, scenarios::cost_part_names.size()> part_seconds{};  ///< as the clock went
};

struct RunSummary {
  RunInfo info;
  Cost cost;  ///< of the states counted below
  double seconds = 0;
  double covered = 0;  ///< crash states that the executed ones stand for
  std::uint64_t states = 0, histories = 0, held = 0, violated_states = 0, undecided_states = 0;
  std::uint64_t executed = 0;  ///< of `states`; for the others the same run had been seen before
  std::uint64_t first_violated = 0;  ///< how many states were run up to the first violation
  std::uint64_t nested = 0;          ///< of `states`: with cuts inside recoveries
  std::uint32_t causes = 0;          ///< distinct cases kept
  std::map<std::string, PropertyCount> properties;
  /// Device profile → property → counts.
  std::map<std::string, std::map<std::string, PropertyCount>> properties_by_profile;
  std::map<std::string, std::uint64_t> undecided_why;  ///< reason → count
  std::map<std::string, std::uint64_t> gate_refusals;
  std::map<std::string, FaultCount> faults;  ///< as asked for
  std::map<std::string, std::uint64_t> states_by_profile;
  std::vector<std::string> not_explored;
  std::vector<std::string> notes;  ///< "memory device only: /dev/fuse …"
  int exit_code = 0;
};

/// Told of a run as it goes, in order, on one thread. `reports/` implements it.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void run_started(const RunInfo&) {}
  virtual void progressed(const Progress&) {}
  virtual void case_kept(const FailureCase&) {}
  virtual void run_ended(const RunSummary&) {}

 protected:
  Observer() = default;
  Observer(const Observer&) = delete;
  Observer& operator=(const Observer&) = delete;
};

}  // namespace runner
