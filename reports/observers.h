#pragma once

#include <filesystem>
#include <iosfwd>
#include <memory>

#include "reports/reports.h"

namespace reports {

/// What a run is about to do, its progress (one line redrawn, or a plain line now and then), every
/// failure trace, the summary.
[[nodiscard]] std::unique_ptr<runner::Observer> make_terminal(std::ostream& terminal,
                                                              const ReportOptions& options);

/// One JSON object per line: run_started, progressed, case_kept, run_ended. Trouble with the file
/// is said on `terminal`, once.
[[nodiscard]] std::unique_ptr<runner::Observer> make_json_lines(std::ostream& terminal,
                                                                const std::filesystem::path& file);

/// JUnit XML, written when the run ends: a suite per device profile, a test case per property.
[[nodiscard]] std::unique_ptr<runner::Observer> make_junit(std::ostream& terminal,
                                                           const std::filesystem::path& file);

/// The JSON value of one event, and the whole JUnit file, as text.
[[nodiscard]] std::string json_of(const runner::RunInfo& info);
[[nodiscard]] std::string json_of(const runner::Progress& progress);
[[nodiscard]] std::string json_of(const runner::FailureCase& failure);
[[nodiscard]] std::string json_of(const runner::RunSummary& summary);

/// A failure as JUnit tells it.
struct JunitFailure {
  std::string profile;
  std::string property;
  std::string message;  ///< "observed …; allowed …"
  std::string trace;
};
[[nodiscard]] std::string junit_of(const runner::RunSummary& summary,
                                   const std::vector<JunitFailure>& failures);

}  // namespace reports
