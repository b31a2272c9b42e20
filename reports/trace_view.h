#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "reports/page.h"
#include "runner/observer.h"

namespace reports {

/// A failure with its crash model, for the sections of a trace. `failure` must outlive it.
class TraceView {
 public:
  explicit TraceView(const runner::FailureCase& failure);

  [[nodiscard]] const runner::FailureCase& failure() const { return failure_; }
  [[nodiscard]] const scenarios::Recording& recording() const { return failure_.recording; }
  [[nodiscard]] const faultfs::CrashPlan& plan() const { return failure_.file.plan; }
  [[nodiscard]] const faultfs::WriteLog& log() const { return failure_.recording.log; }
  /// Null where the recording's log and plan do not belong together, or there is none.
  [[nodiscard]] faultfs::CrashModel* model() const { return model_.get(); }
  /// Why there is no model, where there should be one.
  [[nodiscard]] const std::string& trouble() const { return trouble_; }
  /// The crash point's entry, or the last one of the log.
  [[nodiscard]] std::uint32_t cut_entry() const;

  /// The fate the plan gives to write `entry`; null: none.
  [[nodiscard]] const faultfs::Fate* fate_of(std::uint32_t entry) const;

  /// The violation was seen in a get of a key, not in the structure or the life of the process.
  [[nodiscard]] bool about_a_get() const;

 private:
  const runner::FailureCase& failure_;
  std::unique_ptr<faultfs::CrashModel> model_;
  std::string trouble_;
};

/// "lost", "torn sectors 0-3,6", "misdirected to 0x8000": as in plan.txt.
[[nodiscard]] std::string fate_text(const faultfs::Fate& fate);

/// "put#3", "purge#4".
[[nodiscard]] std::string operation_text(const scenarios::Operation& operation);

/// "w0115 (k7 put#5 [0, 32K))": a write and what it is for.
[[nodiscard]] std::string write_text(const TraceView& view, std::uint32_t entry);

// The sections of a trace, each with its heading.
void write_client(const TraceView& view, Page& page);
void write_device(const TraceView& view, Page& page);
void write_image(const TraceView& view, Page& page);

}  // namespace reports
