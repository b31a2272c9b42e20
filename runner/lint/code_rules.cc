#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "runner/lint/rules.h"

namespace runner::lint {
namespace {

enum class Where { everywhere, tests, sources };

/// A word code may not use: where, except under which path, and what to write instead. A word that
/// ends in '(' is a call.
struct Banned {
  std::string_view word;
  Where where = Where::everywhere;
  std::string_view below;   ///< only under this path; empty: everywhere
  std::string_view except;  ///< allowed under this path; empty: nowhere
  std::string_view instead;
};

constexpr std::string_view seeded = "draw from faultfs/base/random.h with a seed that is printed";
constexpr std::string_view from_seed =
    "the campaign's seed comes from --seed; draw parts of it by mix()";
constexpr std::string_view bounded =
    "wait for the condition itself, with a bound; where that needs a pause, say why on the line "
    "before: \"// pause: …\"";
constexpr std::string_view no_clock =
    "a verdict may not depend on time: count requests or ticks instead";

constexpr std::array<Banned, 28> banned = {{
    {"rand(", Where::everywhere, "", "", seeded},
    {"srand(", Where::everywhere, "", "", seeded},
    {"mt19937", Where::everywhere, "", "", seeded},
    {"mt19937_64", Where::everywhere, "", "", seeded},
    {"default_random_engine", Where::everywhere, "", "", seeded},
    {"uniform_int_distribution", Where::everywhere, "", "", seeded},
    {"random_shuffle", Where::everywhere, "", "", seeded},
    {"random_device", Where::everywhere, "", "runner/command_line.cc", from_seed},
    {"time(nullptr)", Where::everywhere, "", "", from_seed},
    {"time(NULL)", Where::everywhere, "", "", from_seed},
    {"chrono", Where::sources, "properties/", "", no_clock},
    {"chrono", Where::sources, "engine/rock/", "", no_clock},
    {"clock_gettime(", Where::sources, "properties/", "", no_clock},
    {"clock_gettime(", Where::sources, "engine/rock/", "", no_clock},
    {"system(", Where::everywhere, "", "", "start programs with scenarios/process/child.h"},
    {"popen(", Where::everywhere, "", "", "start programs with scenarios/process/child.h"},
    {"sleep(", Where::tests, "", "", bounded},
    {"usleep(", Where::tests, "", "", bounded},
    {"nanosleep(", Where::tests, "", "", bounded},
    {"sleep_for(", Where::tests, "", "", bounded},
    {"sleep_until(", Where::tests, "", "", bounded},
    {"sprintf(", Where::everywhere, "", "", "use fmt::format"},
    {"strcpy(", Where::everywhere, "", "", "use std::string"},
    {"strcat(", Where::everywhere, "", "", "use std::string"},
    {"atoi(", Where::everywhere, "", "", "use faultfs::parse_number or std::from_chars"},
    {"tmpnam(", Where::everywhere, "", "", "use mkdtemp"},
    {"assert(", Where::everywhere, "", "engine/", "use POWERCUT_CHECK, which stays in every build"},
    {"GTEST_SKIP();", Where::everywhere, "", "", "say why: GTEST_SKIP() << \"reason\""},
}};

bool concerns(const Banned& rule, std::string_view path) {
  const bool kind =
      rule.where == Where::everywhere || is_test(path) == (rule.where == Where::tests);
  const bool excepted = !rule.except.empty() && path.starts_with(rule.except);
  return kind && path.starts_with(rule.below) && !excepted;
}

/// The one excuse there is: a pause whose reason stands on the line before.
bool excused(const SourceFile& file, const Banned& rule, std::size_t position) {
  if (rule.instead != bounded) {
    return false;
  }
  const std::string_view before = std::string_view(file.text).substr(0, position);
  const std::size_t line = before.rfind('\n');
  const std::size_t previous = line == std::string_view::npos ? line : before.rfind('\n', line - 1);
  return line != std::string_view::npos &&
         before.substr(previous + 1, line - previous).find("// pause: ") != std::string_view::npos;
}

void uses_of(const Banned& rule, const SourceFile& file, std::vector<Finding>& findings) {
  for (std::size_t at = find_word(file.code, rule.word, 0); at != std::string::npos;
       at = find_word(file.code, rule.word, at + 1)) {
    if (!excused(file, rule, at)) {
      findings.push_back({file.path,
                          line_at(file.code, at),
                          fmt::format("uses `{}`: {}", rule.word, rule.instead)});
    }
  }
}

bool begins_class(std::string_view line) {
  return line.starts_with("class ") && !line.ends_with(';');
}

/// Appends a finding for each class of a header without a comment above it.
void undocumented_classes(const SourceFile& file, std::vector<Finding>& findings) {
  const std::string_view text = file.text;
  std::string_view previous;
  std::size_t number = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    ++number;
    if (begins_class(line) && !previous.starts_with("///") && !previous.starts_with("template")) {
      findings.push_back({file.path, number, "a class without a `///` line above it"});
    }
    previous = line;
    at = end + 1;
  }
}

/// True where `other` is a CMake file that names `source`.
bool builds(const SourceFile& other, const SourceFile& source) {
  const std::string name = source.path.substr(source.path.rfind('/') + 1);
  return (other.path.ends_with("CMakeLists.txt") || other.path.ends_with(".cmake")) &&
         find_word(other.text, name, 0) != std::string::npos;
}

}  // namespace

void banned_words(const SourceFile& file, std::vector<Finding>& findings) {
  for (const Banned& rule : banned) {
    if (concerns(rule, file.path)) {
      uses_of(rule, file, findings);
    }
  }
}

void headers(const SourceFile& file, std::vector<Finding>& findings) {
  if (!file.path.ends_with(".h")) {
    return;
  }
  if (file.code.find("#pragma once") == std::string::npos) {
    findings.push_back({file.path, 1, "a header without `#pragma once`"});
  }
  if (file.text.find("///") == std::string::npos && !is_test(file.path)) {
    findings.push_back({file.path, 1, "a header without a single `///` line"});
  }
  undocumented_classes(file, findings);
}

void built_sources(const SourceTree& tree, std::vector<Finding>& findings) {
  for (const SourceFile& file : tree) {
    const auto names_it = [&](const SourceFile& other) {
      return room_of(other.path) == room_of(file.path) && builds(other, file);
    };
    if (file.path.ends_with(".cc") && std::none_of(tree.begin(), tree.end(), names_it)) {
      findings.push_back(
          {file.path, 1, "no CMake file of its room names it, so nobody builds or runs it"});
    }
  }
}

}  // namespace runner::lint
