#include "runner/words.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <cstdlib>
#include <iostream>

#include <fmt/format.h>

#include "faultfs/base/bytes.h"

namespace runner {

int complain(const std::string& message, int code) {
  std::cerr << "powercut: " << message << "\n";
  return code;
}

bool on_terminal() {
  return isatty(STDOUT_FILENO) == 1;
}

bool wants_color(const std::string& word) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): asked before there is a second thread.
  const bool unwanted = std::getenv("NO_COLOR") != nullptr;
  return word == "always" || (word == "auto" && on_terminal() && !unwanted);
}

void add_color_option(CLI::App& app, std::string& word) {
  app.add_option("--color", word, "auto, always, never")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->capture_default_str();
}

std::function<std::string(const std::string&)> whole_number(std::uint64_t min) {
  return [min](const std::string& text) -> std::string {
    const auto number = faultfs::parse_number(text);
    return number && *number >= min
               ? ""
               : fmt::format("'{}' is not allowed; allowed: a whole number from {} on", text, min);
  };
}

void check_numbers(CLI::App& app) {
  for (CLI::App* command : app.get_subcommands(nullptr)) {
    for (CLI::Option* option : command->get_options()) {
      if (option->get_type_name() == "UINT") {  // another where a range of its own is checked
        option->check(whole_number(0));
      }
    }
    check_numbers(*command);
  }
}

faultfs::Result<double> parse_seconds(const std::string& text) {
  const std::string allowed = "allowed: a number with s, m or h, such as 60s";
  if (text.empty()) {
    return faultfs::fail(allowed);
  }
  const char unit = text.back();
  const double factor = unit == 's' ? 1 : unit == 'm' ? 60 : unit == 'h' ? 3600 : 0;
  const auto number = faultfs::parse_number(text.substr(0, text.size() - 1));
  if (factor == 0 || !number || *number == 0) {
    return faultfs::fail(fmt::format("--time {} is no duration; {}", text, allowed));
  }
  return static_cast<double>(*number) * factor;
}

faultfs::Result<DeviceKind> device_of(const std::string& word, const std::string& target) {
  if (word == "memory") {
    return DeviceKind::memory;
  }
  if (word == "fuse") {
    return DeviceKind::fuse;
  }
  if (word == "auto") {
    return target == "engine" ? DeviceKind::memory : DeviceKind::fuse;
  }
  return faultfs::fail(fmt::format("--device {} is unknown; allowed: memory, fuse", word));
}

}  // namespace runner
