#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "runner/lint/rules.h"

namespace runner::lint {
namespace {

constexpr std::size_t lines_max = 500;
constexpr std::size_t columns_max = 100;

constexpr std::array<std::string_view, 6> rooms = {
    "engine", "faultfs", "scenarios", "properties", "runner", "reports"};
constexpr std::array<std::string_view, 3> top_files = {"CMakeLists.txt", "README.md", "LICENSE"};
constexpr std::array<std::string_view, 3> headings = {
    "What it is", "What it may include", "Decisions"};

// Spelled with a gap, so that this file does not hold what it forbids; see `closed`.
constexpr std::array<std::string_view, 8> unfinished = {"T^ODO",
                                                        "F^IXME",
                                                        "X^XX",
                                                        "H^ACK",
                                                        "[y^yyy]",
                                                        "[name of ^copyright owner]",
                                                        "A brief ^file description",
                                                        "lorem ^ipsum"};
constexpr std::array<std::string_view, 6> places = {
    "/w^ork/", "/f^arm/", "/h^ome/", "/r^oot/", "/U^sers/", "C:^\\"};

std::string closed(std::string_view spelled) {
  std::string word(spelled);
  word.erase(std::remove(word.begin(), word.end(), '^'), word.end());
  return word;
}

/// Columns of a line of UTF-8.
std::size_t columns(std::string_view line) {
  return static_cast<std::size_t>(std::count_if(line.begin(), line.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

/// Recorded data (logs, images, golden files) is not prose of ours.
bool is_data(std::string_view path) {
  return path.find("/testdata/") != std::string_view::npos || path.ends_with("/writes.log") ||
         path.ends_with("/before.log") || path.ends_with(".img");
}

/// Calls `visit(number, line)` for each line of `text`.
template <typename Visit>
void each_line(std::string_view text, const Visit& visit) {
  std::size_t number = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    visit(++number, text.substr(at, end - at));
    at = end + 1;
  }
}

/// The headings of a Markdown text, without their marks, in order.
std::vector<std::string_view> headings_of(std::string_view text) {
  std::vector<std::string_view> found;
  each_line(text, [&](std::size_t, std::string_view line) {
    const std::size_t marks = line.find_first_not_of('#');
    if (line.starts_with('#') && marks != std::string_view::npos && line[marks] == ' ') {
      found.push_back(line.substr(marks + 1));
    }
  });
  return found;
}

bool has_headings(std::string_view text) {
  auto wanted = headings.begin();
  for (const std::string_view heading : headings_of(text)) {
    if (wanted != headings.end() && heading == *wanted) {
      ++wanted;
    }
  }
  return wanted == headings.end();
}

}  // namespace

void budgets(const SourceFile& file, std::vector<Finding>& findings) {
  if (!is_cpp(file.path)) {
    return;
  }
  std::size_t lines = 0;
  each_line(file.text, [&](std::size_t number, std::string_view line) {
    lines = number;
    const std::size_t width = columns(line);
    if (width > columns_max) {
      const std::string message =
          fmt::format("{} columns; at most {} are allowed", width, columns_max);
      findings.push_back({file.path, number, message});
    }
  });
  if (lines > lines_max) {
    findings.push_back(
        {file.path, lines, fmt::format("{} lines; split it at {}", lines, lines_max)});
  }
}

void unfinished_words(const SourceFile& file, std::vector<Finding>& findings) {
  if (is_data(file.path) || file.path == "LICENSE") {
    return;
  }
  for (const std::string_view spelled : unfinished) {
    const std::string word = closed(spelled);
    const std::size_t at = find_word(file.text, word, 0);
    if (at != std::string::npos) {
      const std::string message = fmt::format("says `{}`: finish it, or open an issue", word);
      findings.push_back({file.path, line_at(file.text, at), message});
    }
  }
}

void machine_paths(const SourceFile& file, std::vector<Finding>& findings) {
  for (const std::string_view spelled : places) {
    const std::string place = closed(spelled);
    const std::size_t at = file.text.find(place);
    if (at != std::string::npos) {
      const std::string message = fmt::format("names `{}`, a place on one machine", place);
      findings.push_back({file.path, line_at(file.text, at), message});
    }
  }
}

void top_level(const SourceFile& file, std::vector<Finding>& findings) {
  const std::string_view room = room_of(file.path);
  const std::string_view name = room.empty() ? std::string_view(file.path) : room;
  const bool known = room.empty()
                         ? std::find(top_files.begin(), top_files.end(), name) != top_files.end()
                         : std::find(rooms.begin(), rooms.end(), name) != rooms.end();
  if (!known && !name.starts_with('.')) {
    findings.push_back({file.path, 1, "stands outside the six rooms"});
  }
}

void readme_headings(const SourceTree& tree, std::vector<Finding>& findings) {
  for (const std::string_view room : rooms) {
    const std::string path = fmt::format("{}/README.md", room);
    const auto readme = std::find_if(
        tree.begin(), tree.end(), [&](const SourceFile& file) { return file.path == path; });
    if (readme == tree.end()) {
      findings.push_back({path, 1, "is missing"});
    } else if (!has_headings(readme->text)) {
      findings.push_back({path,
                          1,
                          fmt::format("lacks one of the headings \"{}\", in this order",
                                      fmt::join(headings, "\", \""))});
    }
  }
}

}  // namespace runner::lint
