#include "reports/trace_view.h"

#include <algorithm>

#include <fmt/format.h>

namespace reports {

TraceView::TraceView(const runner::FailureCase& failure) : failure_(failure) {
  const scenarios::Recording& recording = failure.recording;
  if (recording.base.empty()) {
    return;
  }
  if (const auto fits = faultfs::check_log(recording.base, recording.log); !fits) {
    trouble_ = fits.error().message;
    return;
  }
  model_ = std::make_unique<faultfs::CrashModel>(recording.base, recording.log, recording.profile);
  if (const auto legal = model_->check(plan()); !legal) {
    trouble_ = legal.error().message;
    model_.reset();
  }
}

std::uint32_t TraceView::cut_entry() const {
  return std::min(plan().point.entry, log().size());
}

const faultfs::Fate* TraceView::fate_of(std::uint32_t entry) const {
  for (const faultfs::Fate& fate : plan().fates) {
    if (fate.write == entry) {
      return &fate;
    }
  }
  return nullptr;
}

bool TraceView::about_a_get() const {
  const std::string& property = failure_.violation.property;
  return property != "slots_conserved" && property != "recovery_ends" &&
         property != "process_survives";
}

std::string fate_text(const faultfs::Fate& fate) {
  faultfs::CrashPlan plan;
  plan.fates = {fate};
  const std::string text = faultfs::to_text(plan);
  const std::size_t line = text.find(faultfs::entry_name(fate.write) + " ");
  if (line == std::string::npos) {
    return {};
  }
  const std::size_t word = text.find_first_not_of(' ', text.find(' ', line));
  return text.substr(word, text.find('\n', word) - word);
}

std::string operation_text(const scenarios::Operation& operation) {
  switch (operation.kind) {
    case scenarios::OperationKind::put:
      return fmt::format("put#{}", operation.number);
    case scenarios::OperationKind::purge:
      return fmt::format("purge#{}", operation.number);
    case scenarios::OperationKind::purge_all:
      return fmt::format("purge_all#{}", operation.number);
    case scenarios::OperationKind::update:
      return fmt::format("update#{}", operation.number);
    case scenarios::OperationKind::sync:
      return fmt::format("sync#{}", operation.number);
    case scenarios::OperationKind::clear:
      return fmt::format("clear#{}", operation.number);
  }
  return {};
}

}  // namespace reports
