#include <fmt/format.h>

#include "faultfs/base/check.h"
#include "scenarios/generate.h"
#include "scenarios/named/named_texts.h"

namespace scenarios {

namespace {

constexpr std::string_view fault_word = "fault ";

void add_story(std::string_view line, std::string& story) {
  line.remove_prefix(std::min(line.find_first_not_of("# "), line.size()));
  story += fmt::format("{}{}", story.empty() ? "" : " ", line);
}

void add_fault(std::string_view line, NamedScenario& scenario) {
  const auto fault = faultfs::faults::parse_expression(line);
  POWERCUT_CHECK(fault.has_value(), "{}.scenario: {}", scenario.name, fault.error().message);
  scenario.faults.push_back(*fault);
}

void add_command(std::string_view line, NamedScenario& scenario) {
  const auto command = parse_command(line);
  POWERCUT_CHECK(command.has_value(), "{}.scenario: {}", scenario.name, command.error().message);
  scenario.commands.push_back(*command);
}

NamedScenario parsed(const NamedText& named) {
  NamedScenario scenario;
  scenario.name = named.name;
  std::string_view rest = named.text;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    if (line.starts_with('#')) {
      add_story(line, scenario.story);
    } else if (line.starts_with(fault_word)) {
      add_fault(line.substr(fault_word.size()), scenario);
    } else if (!line.empty()) {
      add_command(line, scenario);
    }
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
