// The end of a run, always printed, on success too: what was looked at, what was found, and what
// was not looked at.
#include <algorithm>
#include <iterator>
#include <utility>

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

/// "12,480"; from a million million on "3.2e+15".
std::string rounded_count(double count) {
  constexpr double plain_max = 1e12;
  return count < plain_max ? grouped(static_cast<std::uint64_t>(count))
                           : fmt::format("{:.1e}", count);
}

void write_counts(const RunSummary& summary, Page& page) {
  page.line({{counted(summary.states, "crash state", "crash states"), Style::strong},
             {" of " + counted(summary.histories, "history", "histories"), Style::plain},
             {" in " + duration_text(summary.seconds), Style::plain}});
  if (summary.covered > static_cast<double>(summary.states)) {
    page.line({{fmt::format("standing for {} crash states: what the cache did not read made no "
                            "difference",
                            rounded_count(summary.covered)),
                Style::plain}});
  }
  if (summary.executed > 0 && summary.executed < summary.states) {
    page.line({{fmt::format("executed {}; the others leave in all that is read what one of these "
                            "left",
                            grouped(summary.executed)),
                Style::plain}});
  }
  if (summary.nested > 0) {
    page.line({{fmt::format("{} with a cut inside the recovery",
                            counted(summary.nested, "crash state", "crash states")),
                Style::plain}});
  }
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

/// Sentences that differ only in their numbers, as one: "400 of 105 crash points" and "400 of 2
/// crash points" are "400 of 2 to 105 crash points".
struct Sentence {
  std::string shape;                                             ///< '#' for each number
  std::vector<std::pair<std::uint64_t, std::uint64_t>> numbers;  // least, most
  std::uint64_t times = 1;
};

bool is_digit(char character) {
  return character >= '0' && character <= '9';
}

/// A number stands alone: not the 4 in "ssd_4k_volatile".
Sentence sentence_of(std::string_view text) {
  Sentence sentence;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const bool begins = at == 0 || text[at - 1] == ' ' || text[at - 1] == '(';
    const std::size_t end = std::min(text.find_first_not_of("0123456789", at), text.size());
    const bool alone = end == text.size() || text[end] == ' ' || text[end] == ')';
    if (!is_digit(text[at]) || !begins || !alone || end - at > 18) {
      sentence.shape += text[at];
      continue;
    }
    std::uint64_t number = 0;
    for (; at < end; ++at) {
      number = number * 10 + static_cast<std::uint64_t>(text[at] - '0');
    }
    --at;
    sentence.shape += '#';
    sentence.numbers.emplace_back(number, number);
  }
  return sentence;
}

std::string text_of(const Sentence& sentence) {
  std::string text;
  std::size_t number = 0;
  for (const char character : sentence.shape) {
    if (character != '#' || number == sentence.numbers.size()) {
      text += character;
      continue;
    }
    const auto [least, most] = sentence.numbers[number++];
    text += least == most ? grouped(least) : fmt::format("{} to {}", grouped(least), grouped(most));
  }
  return sentence.times == 1 ? text : fmt::format("{} ({} times)", text, grouped(sentence.times));
}

std::vector<std::string> merged(const std::vector<std::string>& texts) {
  std::vector<Sentence> sentences;
  for (const std::string& text : texts) {
    Sentence next = sentence_of(text);
    const auto same = std::find_if(sentences.begin(), sentences.end(), [&next](const Sentence& s) {
      return s.shape == next.shape && s.numbers.size() == next.numbers.size();
    });
    if (same == sentences.end()) {
      sentences.push_back(std::move(next));
      continue;
    }
    ++same->times;
    for (std::size_t i = 0; i < next.numbers.size(); ++i) {
      same->numbers[i].first = std::min(same->numbers[i].first, next.numbers[i].first);
      same->numbers[i].second = std::max(same->numbers[i].second, next.numbers[i].second);
    }
  }
  std::vector<std::string> lines;
  std::transform(sentences.begin(), sentences.end(), std::back_inserter(lines), text_of);
  return lines;
}

}  // namespace

std::string run_summary(const RunSummary& summary, bool color) {
  Page page;
  write_counts(summary, page);
  write_broken_properties(summary, page);
  write_undecided(summary, page);
  for (const std::string& what : merged(summary.not_explored)) {
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
