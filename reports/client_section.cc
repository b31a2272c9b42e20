// What the client did, in order, up to the cut, and what it got afterwards, up to the answer that
// breaks the claim. Only operations that had begun; the last 30 lines, with the count of those
// skipped.
#include <algorithm>
#include <tuple>

#include <fmt/format.h>

#include "reports/trace_view.h"

namespace reports {
namespace {

using faultfs::CutKind;
using faultfs::size_text;
using scenarios::GetReply;
using scenarios::Operation;
using scenarios::OperationKind;

constexpr std::size_t lines_max = 30;
constexpr std::size_t marker_column = 66;
constexpr std::string_view marker = "<-- breaks the claim";

/// One thing that happened, with its place in the history.
struct Event {
  std::uint32_t segment = 0;
  std::uint32_t position = 0;
  std::uint32_t order = 0;
  std::string text;
};

bool begun(const Operation& operation, const TraceView& view) {
  const faultfs::CrashPoint& point = view.plan().point;
  const std::uint32_t over = point.inside && point.entry > 0 ? point.entry - 1 : point.entry;
  return operation.segment + 1 < view.recording().history.segments || operation.began <= over;
}

/// "durable since w0109", "volatile".
std::string durability(const Operation& operation, const TraceView& view) {
  if (operation.segment + 1 < view.recording().history.segments) {
    return operation.durable_at_cut ? "durable before that cut" : "volatile at that cut";
  }
  if (view.plan().point.kind == CutKind::kill || view.model() == nullptr) {
    return "";
  }
  for (std::uint32_t entry = operation.ended; view.model() != nullptr && entry <= view.cut_entry();
       ++entry) {
    if (view.model()->durable_up_to(operation.ended, {CutKind::power_cut, entry, false})) {
      return entry == operation.ended ? "durable at once"
                                      : "durable since " + faultfs::entry_name(entry);
    }
  }
  return "volatile";
}

std::string state_text(const Operation& operation, const TraceView& view) {
  const faultfs::CrashPoint& point = view.plan().point;
  const bool past = operation.segment + 1 < view.recording().history.segments;
  const std::uint32_t over = point.inside && point.entry > 0 ? point.entry - 1 : point.entry;
  const bool ended = operation.ended != UINT32_MAX && (past || operation.ended <= over);
  if (!ended) {
    return operation.ended == UINT32_MAX && past ? "never ended" : "in flight";
  }
  if (!operation.acknowledged) {
    return operation.aborted ? "given up by the client" : "refused";
  }
  const std::string durable =
      operation.kind == OperationKind::sync ? std::string() : durability(operation, view);
  return durable.empty() ? "acknowledged" : fmt::format("acknowledged; {}", durable);
}

std::string what_of(const Operation& operation) {
  std::string size;
  if (operation.kind == OperationKind::put || operation.kind == OperationKind::clear) {
    size = size_text(operation.body_bytes);
  } else if (operation.kind == OperationKind::update && operation.header_bytes > 0) {
    size = size_text(operation.header_bytes);
  }
  return fmt::format("    {:<9} {:<5}{:>6}    ",
                     operation_text(operation),
                     scenarios::has_key(operation.kind) ? scenarios::key_name(operation.key) : "",
                     size);
}

std::string cut_name(const faultfs::CrashPoint& point) {
  return fmt::format("{} {} {}",
                     point.kind == CutKind::kill ? "kill" : "power cut",
                     point.inside ? "inside" : "after",
                     faultfs::entry_name(point.entry));
}

std::string ruled(const std::string& text) {
  return fmt::format("    ------ {} ------", text);
}

std::vector<Event> events(const TraceView& view) {
  const scenarios::History& history = view.recording().history;
  std::vector<Event> events;
  for (const Operation& operation : history.operations) {
    if (begun(operation, view)) {
      events.push_back({operation.segment,
                        operation.began,
                        operation.number,
                        what_of(operation) + state_text(operation, view)});
    }
  }
  for (std::uint32_t i = 0; i < history.past.size(); ++i) {
    const faultfs::CrashPoint& point = history.past[i].cut.point;
    events.push_back({i, UINT32_MAX, 0, ruled(cut_name(point) + ", inside the history")});
  }
  for (std::uint32_t entry = 1; entry <= view.cut_entry(); ++entry) {
    const std::string_view mark = view.log().mark_text(entry);
    if (mark.starts_with("killed ")) {
      events.push_back({history.segments - 1, entry - 1, UINT32_MAX, ruled(std::string(mark))});
    }
    if (mark == "kill" || mark == "stop") {
      const std::string text = mark == "kill" ? "kill and restart" : "clean stop and restart";
      events.push_back({history.segments - 1, entry - 1, UINT32_MAX, ruled(text)});
    }
  }
  std::sort(events.begin(), events.end(), [](const Event& a, const Event& b) {
    return std::tuple(a.segment, a.position, a.order) < std::tuple(b.segment, b.position, b.order);
  });
  return events;
}

std::string cut_line(const TraceView& view) {
  const faultfs::CrashPoint& point = view.plan().point;
  std::string text = cut_name(point);
  if (view.model() == nullptr) {
    return ruled(text);
  }
  const std::size_t open = view.model()->volatile_writes(point).size();
  if (point.kind == CutKind::kill) {
    return ruled(text + (open == 0 ? "" : ", one write in flight"));
  }
  std::uint32_t epoch = 1;
  for (std::uint32_t entry = 1; entry <= view.cut_entry(); ++entry) {
    epoch += view.log().entry(entry).kind == faultfs::EntryKind::flush ? 1 : 0;
  }
  text += fmt::format(" (epoch {}: {}", epoch, counted(open, "volatile write", "volatile writes"));
  const std::size_t fates = view.plan().fates.size();
  if (fates > 0) {
    const bool all = view.failure().each_fate_needed;
    text += fmt::format(", {} {}",
                        counted(fates, "fate", "fates"),
                        all ? (fates == 1 ? "matters" : "matter") : "not as written");
  }
  return ruled(text + ")");
}

std::string answer_text(const scenarios::Reading& reading) {
  switch (reading.kind) {
    case GetReply::Kind::miss:
      return "miss";
    case GetReply::Kind::failed:
      return "failed";
    case GetReply::Kind::hit:
      break;
  }
  return reading.served_bytes == reading.claimed_bytes
             ? "hit " + size_text(reading.served_bytes)
             : fmt::format("hit {} of {} announced",
                           size_text(reading.served_bytes),
                           size_text(reading.claimed_bytes));
}

/// Writes what was seen after the cut, phase by phase, and ends at the one that broke the claim.
class Aftermath {
 public:
  Aftermath(const TraceView& view, Page& page)
      : view_(view), seen_(view.failure().seen), page_(page) {}

  void write() {
    const std::string& phase = view_.failure().violation.phase;
    restart("ready");
    if (!came_up() || asked(seen_.after_recovery, phase == "after recovery")) {
      return;
    }
    if (!seen_.after_reopen.empty()) {
      row("restart", "after a kill");
      if (asked(seen_.after_reopen, phase == "after reopen")) {
        return;
      }
    }
    traffic();
    if (asked(seen_.after_traffic, phase == "after traffic")) {
      return;
    }
    row("restart", "after a kill");
    asked(seen_.after_last_restart, true);
  }

 private:
  void row(std::string_view what, const std::string& text, bool breaks = false) {
    std::string line = fmt::format("    {:<18}{}", what, text);
    line = breaks ? padded(cut_to(line, marker_column - 2), marker_column) : line;
    page_.line({{line, breaks ? Style::strong : Style::plain},
                {breaks ? std::string(marker) : "", Style::bad}});
  }

  [[nodiscard]] bool came_up() const {
    return seen_.started == scenarios::Outcome::done && seen_.recovery_ended && !seen_.death;
  }

  void restart(const std::string& ready) {
    const auto hits = std::count_if(
        seen_.after_recovery.begin(), seen_.after_recovery.end(), [](const auto& reading) {
          return reading.kind == GetReply::Kind::hit;
        });
    if (came_up()) {
      row("restart",
          fmt::format("{}; {} of {} recovered",
                      ready,
                      hits,
                      counted(seen_.after_recovery.size(), "key", "keys")));
      return;
    }
    const std::string how = seen_.death ? "died" : "does not come up";
    row("restart", how, !view_.about_a_get());
  }

  /// True when the claim was broken here.
  bool asked(const std::vector<scenarios::Reading>& readings, bool here) {
    if (!view_.about_a_get()) {
      if (here) {
        row("structure", "a slot is not used exactly once", true);
      }
      return here;
    }
    for (const scenarios::Reading& reading : readings) {
      if (reading.key == view_.failure().violation.key) {
        row("get       " + scenarios::key_name(reading.key), answer_text(reading), here);
      }
    }
    return here;
  }

  void traffic() {
    for (const Operation& operation : seen_.traffic) {
      page_.line(what_of(operation) + (operation.acknowledged ? "acknowledged, after recovery"
                                                              : "refused, after recovery"));
    }
  }

  const TraceView& view_;
  const scenarios::Examination& seen_;
  Page& page_;
};

}  // namespace

void write_client(const TraceView& view, Page& page) {
  page.line("  client", Style::strong);
  const std::vector<Event> all = events(view);
  const std::size_t skipped = all.size() > lines_max ? all.size() - lines_max : 0;
  if (skipped > 0) {
    page.line(fmt::format("    … {} before these", counted(skipped, "line", "lines")),
              Style::faint);
  }
  for (std::size_t i = skipped; i < all.size(); ++i) {
    page.line(all[i].text);
  }
  const runner::FailureCase& failure = view.failure();
  if (failure.violation.phase == "during the run") {
    const std::string what = "    during the run    " + failure.violation.observed;
    page.line({{padded(cut_to(what, marker_column - 2), marker_column), Style::strong},
               {std::string(marker), Style::bad}});
    return;
  }
  page.line(cut_line(view), Style::strong);
  Aftermath(view, page).write();
}

}  // namespace reports
