// From 10.0 on Traffic Server reads records.yaml: the dots of a name are levels. A few settings
// that we use have become levels of their own, or changed a word. From 10.2 on spans are in
// storage.yaml.
//
// None of this has been run here: Debian has 9.2, and no binary of 10 was at hand. What is tested
// is the text, and that the version is recognized.
#include "scenarios/targets/trafficserver_yaml.h"

#include <array>
#include <regex>
#include <sstream>
#include <vector>

#include <fmt/format.h>

#include "scenarios/targets/loop_disk.h"

namespace scenarios {
namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 2> renamed = {{
    {"exec_thread.autoconfig", "exec_thread.autoconfig.enabled"},
    {"http.connect_attempts_max_retries_dead_server",
     "http.connect_attempts_max_retries_down_server"},
}};

/// A setting, or a level with more below it, in the order in which they came.
struct Node {
  std::string name, value;
  std::vector<Node> below;
};

void place(Node& root, const std::string& name, const std::string& value) {
  std::istringstream parts(name);
  Node* at = &root;
  for (std::string part; std::getline(parts, part, '.');) {
    auto found = at->below.begin();
    while (found != at->below.end() && found->name != part) {
      ++found;
    }
    if (found == at->below.end()) {
      at->below.push_back({part, {}, {}});
      found = at->below.end() - 1;
    }
    at = &*found;
  }
  at->value = value;
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as a name has dots.
void print(const Node& node, int level, std::string& text) {
  for (const Node& each : node.below) {
    text += fmt::format(
        "{:{}}{}:{}{}\n", "", 2 * level, each.name, each.value.empty() ? "" : " ", each.value);
    print(each, level + 1, text);
  }
}

}  // namespace

std::optional<TrafficServerVersion> version_in(std::string_view text) {
  std::match_results<std::string_view::const_iterator> match;
  const std::regex form("Traffic Server(?: - traffic_server -)? (\\d{1,3})\\.(\\d{1,3})");
  if (!std::regex_search(text.begin(), text.end(), match, form)) {
    return std::nullopt;
  }
  return TrafficServerVersion{std::stoi(match[1].str()), std::stoi(match[2].str())};
}

faultfs::Result<TrafficServerVersion> ask_version(const std::filesystem::path& program) {
  const auto said = run_program(program, {"--version"});
  const auto version = said ? version_in(*said) : std::nullopt;
  if (!version) {
    return faultfs::fail(
        fmt::format("{} --version does not say which Traffic Server it is: {}",
                    program.string(),
                    said ? said->substr(0, said->find('\n')) : said.error().message));
  }
  return *version;
}

std::string records_yaml(std::string_view records_config) {
  Node root;
  const std::regex form("^CONFIG proxy\\.config\\.(\\S+) (INT|FLOAT|STRING) (.*)$");
  std::istringstream lines{std::string(records_config)};
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (!std::regex_match(line, match, form)) {
      continue;
    }
    std::string name = match[1];
    for (const auto& [before, now] : renamed) {
      name = name == before ? std::string(now) : name;
    }
    const bool text = match[2] == "STRING" && match[3] != "NULL";
    place(root, name, text ? fmt::format("\"{}\"", match[3].str()) : match[3].str());
  }
  std::string yaml = "records:\n";
  print(root, 1, yaml);
  return yaml;
}

std::string storage_yaml(const std::filesystem::path& span) {
  return fmt::format("cache:\n  spans:\n    - name: disk\n      path: {}\n", span.string());
}

}  // namespace scenarios
