#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "runner/options.h"

namespace runner {

/// A case of an earlier run.
struct KnownCase {
  CaseFile file;
  std::filesystem::path path;
  std::string recording_directory;  ///< where its recording is; empty: it can be made again
};

/// The failing cases that earlier runs kept below `options.out` for the same target, store, preset
/// and gates (target command: and program); newest run first, each once, at most 16. Files that do
/// not parse are passed over.
[[nodiscard]] std::vector<KnownCase> failing_cases(const CampaignOptions& options);

/// Where, below the directory of its run, a worker keeps what it recorded until the case is made:
/// "pending-000012-4711:98123", with the identity of the harness that removes it.
[[nodiscard]] std::string pending_name(std::uint64_t index);

/// Removes what is pending below `out` from runs whose harness was killed.
void remove_abandoned(const std::filesystem::path& out);

/// The directory of this run: the next free number below `out`, "run/0007". Not created.
[[nodiscard]] std::filesystem::path numbered_run(const std::filesystem::path& out);

}  // namespace runner
