#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "runner/keep_task.h"
#include "runner/post_mortem.h"
#include "scenarios/formats/write_notes.h"

namespace runner {
namespace {

/// What a recovery wrote up to its cut, and what became of it.
std::vector<std::string> lines_of(const Recovery& recovery, const faultfs::CrashPlan& cut) {
  std::vector<std::string> lines;
  for (std::uint32_t number = 1; number <= cut.point.entry; ++number) {
    const faultfs::LogEntry& entry = recovery.log->entry(number);
    if (entry.kind == faultfs::EntryKind::mark || entry.kind == faultfs::EntryKind::flush) {
      const bool mark = entry.kind == faultfs::EntryKind::mark;
      lines.push_back(fmt::format(
          "{}  {}", faultfs::entry_name(number), mark ? recovery.log->mark_text(number) : "flush"));
      continue;
    }
    const auto fate = std::ranges::find(cut.fates, number, &faultfs::Fate::write);
    lines.push_back(fmt::format(
        "{}  {} {} bytes at 0x{:x}{}{}",
        faultfs::entry_name(number),
        entry.kind == faultfs::EntryKind::discard ? "discard" : "write",
        entry.size_bytes,
        entry.offset_bytes,
        entry.fua ? ", durable" : "",
        fate == cut.fates.end() ? std::string() : ": " + faultfs::to_text(*fate).substr(10)));
  }
  lines.push_back(faultfs::to_text(cut.point));
  return lines;
}

}  // namespace

faultfs::Result<bool> observe(Experiment& experiment,
                              const CaseFile& file,
                              FailureCase& failure,
                              bool with_stack) {
  failure.recording = experiment.recording();
  failure.recoveries.clear();
  for (std::size_t at = 1; at <= file.plan.again.size(); ++at) {
    auto recovery = experiment.recovery(file.plan.first_cuts(at));
    if (!recovery) {
      return faultfs::fail(recovery.error().message);
    }
    failure.recoveries.push_back(lines_of(**recovery, file.plan.alone(at)));
  }
  auto state = experiment.run(file.plan);
  if (!state) {
    return faultfs::fail(state.error().message);
  }
  failure.seen = *state->seen;
  failure.target_log = experiment.target_log();
  if (with_stack && failure.seen.death && experiment.recording().config.target != "engine") {
    auto found = post_mortem(*failure.seen.death);
    failure.stack = std::move(found.stack);
    failure.no_stack = std::move(found.undecided);
  }
  const auto& recording = experiment.recording();
  failure.write_notes.clear();
  for (auto& note :
       scenarios::formats::note_writes(recording.config, recording.base, recording.log)) {
    failure.write_notes.push_back(std::move(note.text));
  }
  auto violations = state->judgement.violations;
  std::ranges::move(experiment.judge_run().violations, std::back_inserter(violations));
  if (violations.empty()) {
    return false;
  }
  auto first =
      std::ranges::find(violations, file.expect_property, &properties::Violation::property);
  const bool expected = first != violations.end();
  if (!expected) {
    first = violations.begin();
  }
  failure.violation = *first;
  violations.erase(first);
  failure.others = std::move(violations);
  return expected || !file.expect_violated;
}

}  // namespace runner
