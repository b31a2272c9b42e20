#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "runner/case_file.h"
#include "scenarios/recording.h"

namespace runner {

/// Names of the files that hold a recording beside its plan.txt. The base image is raw, for people
/// to look at, or packed: a log of the writes that make it.
inline constexpr const char* log_file_name = "writes.log";
/// "before.img", "before-2.img" … for disk 0, 1 …; `what`: "before", "crash".
[[nodiscard]] inline std::string image_name(std::string_view what, std::size_t disk) {
  return disk == 0 ? fmt::format("{}.img", what) : fmt::format("{}-{}.img", what, disk + 1);
}
inline constexpr const char* packed_base_name = "before.log";
inline constexpr const char* history_file_name = "history.jsonl";

/// The history as JSON lines: one object for the store's geometry, then one for each operation.
[[nodiscard]] std::string history_text(const scenarios::History& history);
/// Error: the line, and what was wrong with it.
[[nodiscard]] faultfs::Result<scenarios::History> parse_history(std::string_view text);

/// Writes log, base image of disk 0 and history into `directory`.
[[nodiscard]] faultfs::Status save_recording(const scenarios::Recording& recording,
                                             const std::filesystem::path& directory);

/// Writes what a replay of a target that is not deterministic needs, small, into `directory`, and
/// names it in `file`: log, history, and the base image, packed, unless the disk was blank.
[[nodiscard]] faultfs::Status pack_recording(const scenarios::Recording& recording,
                                             const std::filesystem::path& directory,
                                             CaseFile& file);

/// Reads what `file` (a plan in `directory`) names in its log, base and history lines. Without a
/// base line the disk was blank.
[[nodiscard]] faultfs::Result<scenarios::Recording> load_recording(
    const CaseFile& file, const std::filesystem::path& directory);

/// Writes `text` to `file`. Error: names the file and the reason.
[[nodiscard]] faultfs::Status write_text(const std::filesystem::path& file, std::string_view text);

}  // namespace runner
