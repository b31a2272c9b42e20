#include <algorithm>
#include <array>
#include <span>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "runner/lint/rules.h"

namespace runner::lint {
namespace {

struct Include {
  std::size_t line = 0;
  bool quoted = false;
  std::string_view path;
};

/// The include directives of `file`; those inside comments and literals are not directives.
std::vector<Include> includes_of(const SourceFile& file) {
  constexpr std::string_view directive = "#include ";
  std::vector<Include> includes;
  for (std::size_t at = file.code.find(directive); at != std::string::npos;
       at = file.code.find(directive, at + 1)) {
    const std::size_t open = at + directive.size();
    const bool quoted = open < file.text.size() && file.text[open] == '"';
    const std::size_t close = file.text.find(quoted ? '"' : '>', open + 1);
    if (close != std::string::npos) {
      const std::string_view text = file.text;
      includes.push_back({line_at(text, at), quoted, text.substr(open + 1, close - open - 1)});
    }
  }
  return includes;
}

/// What the files of a room may include by "…": the words are the beginnings of allowed paths.
struct Direction {
  std::string_view room;
  std::span<const std::string_view> allowed;
};

constexpr std::array<std::string_view, 1> for_engine = {"engine/"};
constexpr std::array<std::string_view, 1> for_faultfs = {"faultfs/"};
constexpr std::array<std::string_view, 3> for_scenarios = {"scenarios/", "engine/", "faultfs/"};
constexpr std::array<std::string_view, 2> for_properties = {"properties/", "scenarios/"};
constexpr std::array<std::string_view, 5> for_runner = {
    "runner/", "properties/", "scenarios/", "engine/", "faultfs/"};
constexpr std::array<std::string_view, 2> for_reports = {"reports/", "runner/"};
constexpr std::array<std::string_view, 6> for_main = {
    "runner/", "properties/", "scenarios/", "engine/", "faultfs/", "reports/"};

constexpr std::array<Direction, 7> directions = {{{"runner/main.cc", for_main},
                                                  {"engine/", for_engine},
                                                  {"faultfs/", for_faultfs},
                                                  {"scenarios/", for_scenarios},
                                                  {"properties/", for_properties},
                                                  {"runner/", for_runner},
                                                  {"reports/", for_reports}}};

bool allows(const Direction& direction, std::string_view path) {
  return std::any_of(direction.allowed.begin(),
                     direction.allowed.end(),
                     [path](std::string_view allowed) { return path.starts_with(allowed); });
}

/// A third-party header (by the beginning of its path) and where it may be included.
struct Containment {
  std::string_view header;
  std::string_view place;
  bool also_in_tests = false;
  std::string_view instead;
};

constexpr std::array<Containment, 8> containments = {{
    {"fuse3/", "faultfs/mount/", false, "use faultfs/mount/mount.h"},
    {"fuse.h", "faultfs/mount/", false, "use faultfs/mount/mount.h"},
    {"boost/process", "scenarios/process/child.cc", false, "use scenarios/process/child.h"},
    {"rapidcheck", "scenarios/generate", true, "use scenarios/generate.h"},
    {"httplib.h", "scenarios/targets/", false, "HTTP belongs to the targets that speak it"},
    {"gtest/", "", true, "GoogleTest belongs to tests"},
    {"gmock/", "", true, "GoogleTest belongs to tests"},
    {"benchmark/", "", true, "Google Benchmark belongs to files named *bench.cc"},
}};

bool may_hold(const Containment& rule, std::string_view path) {
  const bool bench = rule.header == "benchmark/" && path.ends_with("bench.cc");
  return bench || (rule.also_in_tests && is_test(path)) ||
         (!rule.place.empty() && path.starts_with(rule.place));
}

}  // namespace

void include_direction(const SourceFile& file, std::vector<Finding>& findings) {
  const auto direction = std::find_if(directions.begin(), directions.end(), [&](const auto& d) {
    return file.path.starts_with(d.room);
  });
  if (direction == directions.end()) {
    return;
  }
  for (const Include& include : includes_of(file)) {
    if (include.quoted && !allows(*direction, include.path)) {
      findings.push_back({file.path,
                          include.line,
                          fmt::format("includes \"{}\"; files under {} may include only {}",
                                      include.path,
                                      direction->room,
                                      fmt::join(direction->allowed, ", "))});
    }
  }
}

void third_party(const SourceFile& file, std::vector<Finding>& findings) {
  for (const Include& include : includes_of(file)) {
    const auto rule = std::find_if(containments.begin(), containments.end(), [&](const auto& c) {
      return include.path.starts_with(c.header);
    });
    if (rule != containments.end() && !may_hold(*rule, file.path)) {
      findings.push_back(
          {file.path, include.line, fmt::format("includes <{}>; {}", include.path, rule->instead)});
    }
  }
}

}  // namespace runner::lint
