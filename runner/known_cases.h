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
/// and gates; newest run first, at most 16. Files that do not parse are passed over.
[[nodiscard]] std::vector<KnownCase> failing_cases(const CampaignOptions& options);

/// The directory of this run: the next free number below `out`, "run/0007". Not created.
[[nodiscard]] std::filesystem::path numbered_run(const std::filesystem::path& out);

}  // namespace runner
