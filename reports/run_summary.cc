// The end of a run, always printed, on success too: what was looked at, what was found, and what
// was not looked at.
#include <fmt/format.h>

#include "reports/page.h"
#include "reports/reports.h"

namespace reports {
namespace {

using runner::RunSummary;

constexpr std::size_t label_columns = 15;
constexpr std::size_t lines_max = 12;

/// "label          text", the text wrapped under itself.
void labelled(std::string_view label, std::string_view text, Style style, Page& page) {
  std::string head = padded(std::string(label), label_columns);
  for (std::string& part : wrapped(text, page_columns - label_columns)) {
    page.line({{head, Style::faint}, {std::move(part), style}});
    head.assign(label_columns, ' ');
  }
}

void write_counts(const RunSummary& summary, Page& page) {
  page.line({{counted(summary.states, "crash state", "crash states"), Style::strong},
             {" of " + counted(summary.histories, "history", "histories"), Style::plain},
             {" in " + duration_text(summary.seconds), Style::plain}});
  const bool broken = summary.violated_states > 0 || summary.causes > 0;
  const bool unsure = summary.undecided_states > 0;
  page.line({{"held " + grouped(summary.held), broken || unsure ? Style::plain : Style::good},
             {"    violated ", Style::plain},
             {broken ? fmt::format("{} ({})",
                                   counted(summary.causes, "cause", "causes"),
                                   counted(summary.violated_states, "state", "states"))
                     : "0",
              broken ? Style::bad : Style::plain},
             {"    undecided ", Style::plain},
             {grouped(summary.undecided_states), unsure ? Style::doubtful : Style::plain}});
}

void write_broken_properties(const RunSummary& summary, Page& page) {
  for (const auto& [name, count] : summary.properties) {
    if (count.violated > 0) {
      labelled("violated",
               fmt::format("{} in {}", name, counted(count.violated, "state", "states")),
               Style::bad,
               page);
    }
  }
}

void write_undecided(const RunSummary& summary, Page& page) {
  std::size_t shown = 0;
  for (const auto& [why, count] : summary.undecided_why) {
    if (++shown > lines_max) {
      break;
    }
    labelled("undecided", fmt::format("{} × {}", grouped(count), why), Style::doubtful, page);
  }
  if (summary.undecided_why.size() > lines_max) {
    labelled(
        "undecided",
        "… " + counted(summary.undecided_why.size() - lines_max, "more reason", "more reasons"),
        Style::doubtful,
        page);
  }
}

}  // namespace

std::string run_summary(const RunSummary& summary, bool color) {
  Page page;
  write_counts(summary, page);
  write_broken_properties(summary, page);
  write_undecided(summary, page);
  for (const std::string& what : summary.not_explored) {
    labelled("not explored", what, Style::plain, page);
  }
  if (summary.not_explored.empty()) {
    labelled(
        "not explored", "nothing was left out of what this run set out to do", Style::plain, page);
  }
  for (const std::string& note : summary.notes) {
    labelled("note", note, Style::plain, page);
  }
  if (summary.causes > 0) {
    labelled("cases", summary.info.out.string(), Style::plain, page);
  }
  labelled("seed",
           fmt::format("0x{:x}    commit {}",
                       summary.info.seed,
                       summary.info.commit.empty() ? "unknown" : summary.info.commit),
           Style::plain,
           page);
  if (!summary.info.command_line.empty()) {
    labelled("again", summary.info.command_line, Style::plain, page);
  }
  return page.text(color);
}

}  // namespace reports
