#include <fmt/format.h>

#include "faultfs/base/check.h"
#include "scenarios/generate.h"
#include "scenarios/named/named_texts.h"

namespace scenarios {

namespace {

void add_line(std::string_view line, NamedScenario& scenario) {
  if (line.starts_with('#')) {
    line.remove_prefix(std::min(line.find_first_not_of("# "), line.size()));
    scenario.story += fmt::format("{}{}", scenario.story.empty() ? "" : " ", line);
  } else if (!line.empty()) {
    const auto command = parse_command(line);
    POWERCUT_CHECK(command.has_value(), "{}.scenario: {}", scenario.name, command.error().message);
    scenario.commands.push_back(*command);
  }
}

NamedScenario parsed(const NamedText& named) {
  NamedScenario scenario;
  scenario.name = named.name;
  std::string_view rest = named.text;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    add_line(rest.substr(0, end), scenario);
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return scenario;
}

}  // namespace

const std::vector<NamedScenario>& named_scenarios() {
  static const std::vector<NamedScenario> scenarios = [] {
    std::vector<NamedScenario> all;
    for (const NamedText& text : named_texts()) {
      all.push_back(parsed(text));
    }
    return all;
  }();
  return scenarios;
}

}  // namespace scenarios
