#include "runner/tree_trace.h"

#include <algorithm>
#include <sstream>

#include <fmt/format.h>

namespace runner {
namespace {

using faultfs::CrashPlan;
using faultfs::EntryKind;
using faultfs::Fate;
using faultfs::FateKind;
using faultfs::tree::TreeModel;

constexpr std::size_t lines_max = 40;
constexpr std::size_t said_max = 6;
constexpr std::size_t output_lines_max = 8;
constexpr std::size_t fate_column = 58;

std::string shortened(const std::string& text, std::size_t size) {
  return text.size() <= size ? text : text.substr(0, size - 3) + "...";
}

/// What became of an entry, in the words of a plan.
std::string fate_of(const CrashPlan& plan, std::uint32_t entry, bool open) {
  for (const Fate& fate : plan.fates) {
    if (fate.write == entry) {
      const std::string text = to_text(fate);
      return text.substr(text.find_first_not_of(' ', text.find(' '))) +
             (fate.kind == FateKind::kept ? "" : "  *");
    }
  }
  return open ? "kept" : "";
}

/// The requests from the first open one on, each with its fate.
std::vector<std::string> request_lines(const TreeModel& model, const CrashPlan& plan) {
  const auto open = model.open_requests(plan.point);
  const std::uint32_t first = open.empty() ? plan.point.entry : open.front().entry;
  std::vector<std::string> lines;
  for (std::uint32_t number = first; number <= plan.point.entry && number > 0; ++number) {
    if (model.text(number).empty()) {
      continue;
    }
    const bool is_open = std::any_of(
        open.begin(), open.end(), [&](const auto& request) { return request.entry == number; });
    const std::string fate = fate_of(plan, number, is_open);
    const std::string line =
        fmt::format("{:<7}{}", faultfs::entry_name(number), model.text(number));
    lines.push_back(
        fate.empty() ? shortened(line, 90)
                     : fmt::format("{:<{}} {}", shortened(line, fate_column), fate_column, fate));
  }
  return lines;
}

/// The last so many lines, and how many came before.
std::string block(std::vector<std::string> lines, std::size_t most) {
  std::string text;
  if (lines.size() > most) {
    text += fmt::format("    ... {} lines before\n", lines.size() - most);
    lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(most));
  }
  for (const std::string& line : lines) {
    text += fmt::format("    {}\n", line);
  }
  return text;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) {
    lines.push_back(shortened(line, 90));
  }
  return lines;
}

std::vector<std::string> left_behind(TreeModel& model, const CrashPlan& plan) {
  const faultfs::tree::TreeState tree = model.build(plan);
  std::vector<std::string> lines;
  for (const auto& [path, number] : tree.paths()) {
    const auto& object = *tree.find(number);
    const bool file = object.kind == faultfs::tree::ObjectKind::file;
    lines.push_back(shortened(
        fmt::format("{:<40} {}",
                    path,
                    file ? fmt::format("{} bytes", object.length_bytes)
                         : (object.kind == faultfs::tree::ObjectKind::directory ? "directory"
                                                                                : object.target)),
        90));
  }
  return lines;
}

}  // namespace

std::vector<std::string> said_before(const faultfs::WriteLog& log, std::uint32_t entry) {
  std::vector<std::string> said;
  for (std::uint32_t number = 1; number <= entry; ++number) {
    const std::string_view text = log.mark_text(number);
    if (log.entry(number).kind == EntryKind::mark &&
        !text.starts_with(faultfs::tree::change_prefix)) {
      said.emplace_back(text);
    }
  }
  return said;
}

std::string tree_trace(TreeModel& model, const CrashPlan& plan, const TreeFailure& failure) {
  std::string text = fmt::format("FAIL  check    {} · {}    case {}\n\n",
                                 to_text(plan.point),
                                 failure.profile,
                                 failure.number);
  std::string check = failure.check;
  std::replace(check.begin(), check.end(), '\n', ' ');
  text += fmt::format("  claim      `{}` ends with 0\n", shortened(check, 70));
  text += fmt::format("  observed   {}\n", failure.observed);
  text += block(lines_of(failure.output), output_lines_max);
  text += "\n  program, until the cut\n";
  std::vector<std::string> said = said_before(model.log(), plan.point.entry);
  text += block(said.empty() ? std::vector<std::string>{"said nothing"} : said, said_max);
  text += fmt::format("    ------ {} ({} of {} open requests not whole) ------\n",
                      to_text(plan.point),
                      plan.fates.size(),
                      model.open_requests(plan.point).size());
  text += fmt::format("\n  tree, from the first open request {:>{}}\n", "fate", fate_column - 27);
  text += block(request_lines(model, plan), lines_max);
  text += "\n  left\n";
  const std::vector<std::string> left = left_behind(model, plan);
  text += block(left.empty() ? std::vector<std::string>{"nothing"} : left, lines_max);
  text += fmt::format("\n  shrunk     {} fates -> {}{}\n",
                      failure.fates_before,
                      plan.fates.size(),
                      plan.fates.empty() ? "; it fails with everything kept"
                                         : "; no plan with one of them less fails");
  text += fmt::format("  replay     {}\n", failure.replay);
  text += fmt::format("  kept       {}: trace.txt plan.txt recording/ crash/\n", failure.kept_in);
  return text;
}

}  // namespace runner
