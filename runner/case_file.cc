#include "runner/case_file.h"

#include <cerrno>
#include <fstream>
#include <iterator>
#include <set>
#include <system_error>

#include <fmt/format.h>

#include "faultfs/base/bytes.h"
#include "faultfs/profile.h"
#include "scenarios/generate.h"

namespace runner {
namespace {

using faultfs::fail;
using faultfs::Status;

constexpr std::string_view first_line = "crash-plan 1";
constexpr std::string_view allowed_words =
    "scenario, device, fault, seed, do, cut, kill, again, wNNNN, log, base, history, expect, or a "
    "target "
    "setting";

std::string rest_of(std::string_view line, std::string_view word) {
  const std::size_t begin = line.find(word) + word.size();
  const std::size_t text = line.find_first_not_of(" \t", begin);
  if (text == std::string_view::npos) {
    return "";
  }
  return std::string(line.substr(text, line.find_last_not_of(" \t\r") + 1 - text));
}

Status parse_expect(const std::vector<std::string_view>& words, CaseFile& file) {
  if (words.size() == 2 && words[1] == "held") {
    file.expect_violated = false;
    return {};
  }
  if (words.size() == 3 && words[1] == "violated") {
    file.expect_violated = true;
    file.expect_property = words[2];
    return {};
  }
  return fail("expect wants \"held\" or \"violated PROPERTY\"");
}

/// Lines whose value is one word.
Status parse_setting(const std::vector<std::string_view>& words, CaseFile& file) {
  if (words.size() != 2) {
    return fail(fmt::format("{} wants one word after it", words[0]));
  }
  const std::string value(words[1]);
  if (words[0] == "scenario") {
    file.scenario = value;
  } else if (words[0] == "device") {
    auto profile = faultfs::find_profile(value);
    if (!profile) {
      return fail(profile.error().message);
    }
    file.profile = value;
  } else if (words[0] == "seed") {
    auto seed = faultfs::parse_number(value);
    if (!seed) {
      return fail(seed.error().message);
    }
    file.seed = *seed;
  } else if (words[0] == "log") {
    file.log_file = value;
  } else if (words[0] == "base") {
    file.base_file = value;
  } else {
    file.history_file = value;
  }
  return {};
}

bool is_setting(std::string_view word) {
  static const std::set<std::string_view> settings = {
      "scenario", "device", "seed", "log", "base", "history"};
  return settings.contains(word);
}

Status parse_line(std::string_view line,
                  const std::vector<std::string_view>& words,
                  CaseFile& file) {
  if (words[0] == "expect") {
    return parse_expect(words, file);
  }
  if (words[0] == "do") {
    auto command = scenarios::parse_command(rest_of(line, "do"));
    if (!command) {
      return fail(command.error().message);
    }
    file.commands.push_back(*command);
    return {};
  }
  if (words[0] == "fault") {
    auto fault = faultfs::faults::parse_expression(rest_of(line, "fault"));
    if (!fault) {
      return fail(fault.error().message);
    }
    file.faults.push_back(*fault);
    return {};
  }
  if (is_setting(words[0])) {
    return parse_setting(words, file);
  }
  if (faultfs::is_plan_line(line)) {
    return faultfs::parse_plan_line(line, file.plan);
  }
  if (scenarios::is_config_line(line)) {
    return scenarios::parse_config_line(line, file.config);
  }
  return fail(fmt::format("\"{}\" is no word of a plan; allowed: {}", words[0], allowed_words));
}

/// What must be there once, and what must fit together.
Status check_whole(const std::multiset<std::string>& seen, const CaseFile& file) {
  for (const char* word : {"target", "device", "seed", "expect"}) {
    if (seen.count(word) != 1) {
      return fail(fmt::format("the line \"{}\" must be there exactly once, and is there {} times{}",
                              word,
                              seen.count(word),
                              std::string_view(word) == "expect" && seen.count(word) == 0
                                  ? ": the plan is cut short"
                                  : ""));
    }
  }
  if (seen.count("cut") + seen.count("kill") != 1) {
    return fail("exactly one \"cut …\" or \"kill …\" line must say where the run ended");
  }
  if (auto status = scenarios::check(file.config); !status) {
    return status;
  }
  const auto profile = faultfs::find_profile(file.profile);
  const auto disks = scenarios::disk_specs(file.config);
  if (auto status = scenarios::check_faults(file.faults, *profile, disks);
      !status && !file.faults.empty()) {
    return status;
  }
  if (file.commands.empty()) {
    for (const auto& scenario : scenarios::named_scenarios()) {
      if (scenario.name == file.scenario) {
        return {};
      }
    }
    return fail(
        fmt::format("there are no \"do\" lines, and \"{}\" is no named scenario", file.scenario));
  }
  return {};
}

/// A line as a message may hold it, whatever is in the file.
std::string shown(std::string_view line) {
  constexpr std::size_t characters_max = 40;
  std::string text;
  for (const char character : line.substr(0, characters_max)) {
    text += character >= ' ' && character <= '~' ? character : '?';
  }
  return line.size() > characters_max ? text + "…" : text;
}

}  // namespace

std::string to_text(const CaseFile& file) {
  std::string text = fmt::format("{}\nscenario  {}\n", first_line, file.scenario);
  text += scenarios::to_text(file.config);
  text += fmt::format("device    {}\n", file.profile);
  for (const auto& fault : file.faults) {
    text += fmt::format("fault     {}\n", faultfs::faults::to_text(fault));
  }
  text += fmt::format("seed      {:#x}\n", file.seed);
  const auto add_file = [&](const char* word, const std::optional<std::string>& name) {
    if (name) {
      text += fmt::format("{:<9} {}\n", word, *name);
    }
  };
  add_file("log", file.log_file);
  add_file("base", file.base_file);
  add_file("history", file.history_file);
  for (const auto& command : file.commands) {
    text += fmt::format("do        {}\n", scenarios::to_text(command));
  }
  text += faultfs::to_text(file.plan);
  text += file.expect_violated ? fmt::format("expect    violated {}\n", file.expect_property)
                               : std::string("expect    held\n");
  return text;
}

faultfs::Result<CaseFile> parse_case(std::string_view text) {
  CaseFile file;
  std::multiset<std::string> seen;
  bool versioned = false;
  std::size_t number = 0;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    ++number;
    const auto words = faultfs::words(line);
    if (words.empty()) {
      continue;
    }
    if (!versioned) {
      if (words.size() != 2 || words[0] != "crash-plan" || words[1] != "1") {
        return fail(fmt::format("line {}: \"{}\" is not \"{}\", with which every plan begins",
                                number,
                                shown(line),
                                first_line));
      }
      versioned = true;
      continue;
    }
    seen.emplace(words[0]);
    if (auto status = parse_line(line, words, file); !status) {
      return fail(fmt::format("line {}: {}", number, status.error().message));
    }
  }
  if (!versioned) {
    return fail(fmt::format("it is empty; every plan begins with \"{}\"", first_line));
  }
  if (auto status = check_whole(seen, file); !status) {
    return fail(status.error().message);
  }
  return file;
}

faultfs::Result<CaseFile> load_case(const std::filesystem::path& file) {
  std::error_code ignored;
  errno = EISDIR;  // a stream opens a directory, and throws when it is read
  std::ifstream stream;
  if (!std::filesystem::is_directory(file, ignored)) {
    stream.open(file, std::ios::binary);
  }
  if (!stream.is_open()) {
    return fail(fmt::format(
        "{} cannot be read: {}", file.string(), std::generic_category().message(errno)));
  }
  const std::string text((std::istreambuf_iterator<char>(stream)),
                         std::istreambuf_iterator<char>());
  auto parsed = parse_case(text);
  if (!parsed) {
    return fail(fmt::format("{}: {}", file.string(), parsed.error().message));
  }
  return parsed;
}

}  // namespace runner
