#pragma once

#include <filesystem>
#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

#include "runner/observer.h"

namespace reports {

struct ReportOptions {
  bool color = false;           ///< colour on the terminal
  bool live = false;            ///< redraw one progress line; otherwise a plain line now and then
  std::filesystem::path json;   ///< JSON lines of the run; empty: none
  std::filesystem::path junit;  ///< JUnit XML; empty: none
};

/// The failure trace (style.md, "How a failure reads"): at most 96 columns, ends with a newline.
/// With `color` only escape sequences are added.
[[nodiscard]] std::string failure_trace(const runner::FailureCase& failure, bool color);

/// The end-of-run lines, on success too.
[[nodiscard]] std::string run_summary(const runner::RunSummary& summary, bool color);

/// Observers for the terminal, and for the JSON and JUnit files asked for. `terminal` must outlive
/// them.
[[nodiscard]] std::vector<std::unique_ptr<runner::Observer>> make_observers(
    std::ostream& terminal, const ReportOptions& options);

}  // namespace reports
