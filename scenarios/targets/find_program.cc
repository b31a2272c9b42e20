// Of every HTTP cache: where its program is, and what its files say.
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>
#include <system_error>

#include <fmt/format.h>

#include "scenarios/targets/http_cache.h"

namespace scenarios {

using faultfs::fail;

std::string text_of(const std::filesystem::path& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

faultfs::Result<std::filesystem::path> find_program(
    const TargetConfig& config,
    const std::vector<std::filesystem::path>& places,
    std::string_view package) {
  if (!config.program.empty()) {
    std::error_code error;
    const auto program = std::filesystem::absolute(config.program, error);
    if (::access(program.c_str(), X_OK) != 0) {
      return fail(fmt::format("the program {} of target {} cannot be executed: {}",
                              config.program,
                              config.target,
                              std::generic_category().message(errno)));
    }
    return program;
  }
  for (const auto& place : places) {
    if (::access(place.c_str(), X_OK) == 0) {
      return place;
    }
  }
  return fail(
      fmt::format("{} is not installed: apt-get install {} (or name a binary with --program)",
                  package,
                  package));
}

}  // namespace scenarios
