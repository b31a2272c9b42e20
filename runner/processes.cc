#include "runner/processes.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string_view>

#include <fmt/format.h>

namespace runner {
namespace {

std::string text_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::filesystem::path directory_of(pid_t process) {
  return std::filesystem::path("/proc") / std::to_string(process);
}

/// /proc/PID/stat: the name in parentheses may hold anything, so count from the last one.
struct Stat {
  std::string name;
  char state = 'X';
  pid_t parent = -1;
  std::string start;
};

Stat stat_of(pid_t process) {
  constexpr int start_field = 22;
  Stat stat;
  const std::string text = text_of(directory_of(process) / "stat");
  const auto open = text.find('(');
  const auto close = text.rfind(')');
  if (open == std::string::npos || close == std::string::npos) {
    return stat;
  }
  stat.name = text.substr(open + 1, close - open - 1);
  std::istringstream rest(text.substr(close + 1));
  rest >> stat.state >> stat.parent;
  for (int field = 5; field <= start_field; ++field) {
    rest >> stat.start;
  }
  return stat;
}

std::string owner_of(pid_t process) {
  const std::string environment = text_of(directory_of(process) / "environ");
  const std::string key = std::string(owner_variable) + "=";
  for (std::size_t at = 0; at < environment.size();) {
    const std::string_view entry = environment.c_str() + at;
    if (entry.starts_with(key)) {
      return std::string(entry.substr(key.size()));
    }
    at += entry.size() + 1;
  }
  return {};
}

}  // namespace

std::string identity_of(pid_t process) {
  const Stat stat = stat_of(process);
  return stat.start.empty() ? "" : fmt::format("{}:{}", process, stat.start);
}

bool lives(const std::string& identity) {
  pid_t process = -1;
  if (!(std::istringstream(identity) >> process) || identity != identity_of(process)) {
    return false;
  }
  return stat_of(process).state != 'Z';
}

std::vector<Process> all_processes() {
  std::vector<Process> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string number = entry.path().filename().string();
    if (number.find_first_not_of("0123456789") != std::string::npos) {
      continue;
    }
    Process process;
    process.pid = std::stoi(number);
    const Stat stat = stat_of(process.pid);
    process.parent = stat.parent;
    process.name = stat.name;
    process.zombie = stat.state == 'Z' || stat.state == 'X';
    process.program = std::filesystem::read_symlink(entry.path() / "exe", error).string();
    process.owner = owner_of(process.pid);
    found.push_back(std::move(process));
  }
  std::sort(
      found.begin(), found.end(), [](const Process& a, const Process& b) { return a.pid < b.pid; });
  return found;
}

}  // namespace runner
