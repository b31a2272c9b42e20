// How a failure reads: what is claimed, what was seen, what was allowed, what the client did, what
// became of each write, a picture, what to type next. Always in this order, at most 96 columns.
#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "reports/reports.h"
#include "reports/trace_view.h"

namespace reports {
namespace {

using runner::FailureCase;

std::string target_text(const scenarios::TargetConfig& config) {
  std::string text = config.target;
  if (config.preset != "hardened" && config.target == "engine") {
    text += " as " + config.preset;
  }
  for (const std::string& gate : config.without_gates) {
    text += " without " + gate;
  }
  return text;
}

/// The names of scenario and target give way where the line is too long; the device never does.
void write_headline(const FailureCase& failure, Page& page) {
  const std::string name = fmt::format("  {}  ", padded(failure.violation.property, 15));
  const std::string device = fmt::format(" · {}", failure.file.profile);
  // A replay of a file belongs to no run, in which it would have a number.
  const std::string number =
      failure.number == 0 ? std::string() : fmt::format("    case {}", failure.number);
  const std::string what =
      fmt::format("{} · {}", failure.file.scenario, target_text(failure.file.config));
  const std::size_t taken = 4 + columns_of(name) + columns_of(device) + columns_of(number);
  page.line({{"FAIL", Style::bad},
             {name, Style::strong},
             {cut_to(what, page_columns - taken) + device, Style::plain},
             {number, Style::plain}});
}

std::string shrunk_text(const FailureCase& failure) {
  const std::size_t commands = failure.file.commands.size();
  const std::size_t fates = failure.file.plan.fates.size();
  std::string text;
  const auto step = [&text](std::size_t before, std::size_t after, std::string_view what) {
    if (before != after && before != 0) {
      text += fmt::format("{}{} {} -> {}", text.empty() ? "" : ", ", before, what, after);
    }
  };
  step(failure.commands_before, commands, "commands");
  step(failure.faults_before, failure.file.faults.size(), "faults");
  step(failure.fates_before, fates, "fates");
  if (!failure.not_shrunk.empty()) {
    return fmt::format("{}{}", text.empty() ? "not at all: " : text + "; ", failure.not_shrunk);
  }
  text = text.empty() ? "nothing could be left out" : text;
  if (failure.each_fate_needed && fates > 0) {
    text += fates == 1   ? "; undoing it makes the claim hold"
            : fates == 2 ? "; undoing either one makes the claim hold"
                         : "; undoing any one makes the claim hold";
  }
  return text;
}

std::string replayed_text(const FailureCase& failure) {
  return failure.reproduced == failure.replays
             ? fmt::format("{} of {}: deterministic", failure.reproduced, failure.replays)
             : fmt::format("flaky {}/{}", failure.reproduced, failure.replays);
}

/// The other properties that were violated, each once.
std::string others_text(const FailureCase& failure) {
  std::string text;
  std::vector<std::string> said = {failure.violation.property};
  for (const properties::Violation& other : failure.others) {
    if (std::find(said.begin(), said.end(), other.property) == said.end()) {
      said.push_back(other.property);
      text += (text.empty() ? "" : ", ") + other.property;
    }
  }
  return text;
}

std::string kept_text(const FailureCase& failure) {
  std::string text = failure.directory.string() + "/:";
  for (const std::string& file : failure.files) {
    text += " " + file;
  }
  return text;
}

/// How often the fault fired, of those that were on the device.
std::uint64_t firings(const std::vector<faultfs::FaultState>& states, const std::string& fault) {
  const auto state = std::find_if(
      states.begin(), states.end(), [&fault](const auto& it) { return it.expression == fault; });
  return state == states.end() ? 0 : state->firings;
}

void write_faults(const FailureCase& failure, Page& page) {
  if (failure.file.faults.empty()) {
    return;
  }
  page.blank();
  page.line("  faults of the device", Style::strong);
  for (const auto& fault : failure.file.faults) {
    const std::string text = faultfs::faults::to_text(fault);
    page.line(fmt::format("    {}   fired {} in the history, {} after the cut",
                          padded(text, 32),
                          firings(failure.recording.fault_states, text),
                          firings(failure.seen.fault_states, text)));
  }
}

/// Where the process died.
void write_process(const FailureCase& failure, Page& page) {
  constexpr std::size_t frames_max = 8;
  if (failure.stack.empty() && failure.no_stack.empty()) {
    return;
  }
  page.blank();
  const int signal = failure.seen.death ? failure.seen.death->signal : 0;
  page.line("  process", Style::strong);
  page.line(signal == 0 ? std::string("    it exited")
                        : fmt::format("    signal {} ({})", signal, sigabbrev_np(signal)));
  if (!failure.no_stack.empty()) {
    page.line("    stack undecided, because " + failure.no_stack);
  }
  for (std::size_t at = 0; at < std::min(failure.stack.size(), frames_max); ++at) {
    page.line(cut_to(fmt::format("    #{:<2} {}", at, failure.stack[at]), page_columns));
  }
}

/// The cuts inside recoveries, each with the log of its recovery up to it.
void write_recoveries(const FailureCase& failure, Page& page) {
  for (std::size_t at = 0; at < failure.recoveries.size(); ++at) {
    page.blank();
    std::string label = at == 0 ? "recovery" : "its own";
    for (const std::string& line : failure.recoveries[at]) {
      page.entry(label, line);
      label.clear();
    }
  }
}

void write_next(const TraceView& view, Page& page) {
  const FailureCase& failure = view.failure();
  page.entry("shrunk", shrunk_text(failure));
  if (failure.order_states > 0) {
    page.entry("order",
               fmt::format("{} must be durable before {}; so ordered, {} held",
                           write_text(view, failure.order_first),
                           write_text(view, failure.order_later),
                           counted(failure.order_states, "crash state", "crash states")));
  }
  if (failure.replays > 0) {
    page.entry("replayed", replayed_text(failure));
  }
  if (!failure.device_used.empty()) {
    page.entry(
        "device",
        failure.device_used + (failure.confirmed_on.empty() ? "" : "; " + failure.confirmed_on));
  }
  if (const std::string others = others_text(failure); !others.empty()) {
    page.entry("also", others);
  }
  page.entry("replay",
             fmt::format("powercut replay {}/plan.txt", failure.directory.string()),
             Style::strong);
  page.entry("kept", kept_text(failure));
  page.entry("seed",
             fmt::format("0x{:x}    commit {}",
                         failure.file.seed,
                         failure.commit.empty() ? "unknown" : failure.commit));
}

}  // namespace

std::string failure_trace(const FailureCase& failure, bool color) {
  const bool transported = failure.recording.base.empty() && failure.recording.log.size() == 0;
  if (transported && !failure.trace.empty()) {
    return color && !failure.colored_trace.empty() ? failure.colored_trace : failure.trace;
  }
  Page page;
  write_headline(failure, page);
  page.blank();
  page.entry("claim", failure.violation.claim);
  page.entry("observed", failure.violation.observed, Style::bad);
  page.entry("allowed", failure.violation.allowed, Style::good);
  page.blank();
  const TraceView view(failure);
  if (!view.trouble().empty()) {
    page.entry("doubtful", "the plan does not fit the log: " + view.trouble(), Style::doubtful);
    page.blank();
  }
  write_client(view, page);
  write_process(failure, page);
  write_faults(failure, page);
  write_device(view, page);
  write_recoveries(failure, page);
  write_image(view, page);
  page.blank();
  write_next(view, page);
  return page.text(color);
}

}  // namespace reports
