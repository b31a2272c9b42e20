#include "engine/restart/config.h"

#include <algorithm>

#include <fmt/format.h>

namespace engine::restart {
namespace {

constexpr std::string_view longest_suffix = "control";

Status read_flag(std::string_view name, std::string_view value, bool& flag) {
  if (value != "0" && value != "1") {
    return fail(Trouble::invalid,
                fmt::format("{} '{}' is not allowed; allowed: 0, 1", name, value));
  }
  flag = value == "1";
  return {};
}

Result<std::string> trim_prefix(std::string_view word) {
  std::string trimmed(word);
  trimmed.erase(std::remove(trimmed.begin(), trimmed.end(), '/'), trimmed.end());
  while (trimmed.ends_with('-')) {
    trimmed.pop_back();
  }
  const bool printable =
      std::all_of(trimmed.begin(), trimmed.end(), [](char c) { return c > ' ' && c <= '~'; });
  if (trimmed.empty() || !printable) {
    return fail(Trouble::invalid,
                fmt::format("the shared memory prefix '{}' is not allowed; allowed: letters, "
                            "digits and signs, at least one",
                            word));
  }
  return trimmed;
}

}  // namespace

Status read_setting(std::string_view name, std::string_view value, Config& config) {
  if (name == "enabled") {
    return read_flag(name, value, config.enabled);
  }
  if (name == "use_hugepages") {
    return read_flag(name, value, config.use_hugepages);
  }
  if (name == "purge_stale_on_start") {
    return read_flag(name, value, config.purge_stale_on_start);
  }
  if (name != "name_prefix") {
    return fail(Trouble::invalid,
                fmt::format("'{}' is not a setting of shared memory; allowed: enabled, "
                            "name_prefix, use_hugepages, purge_stale_on_start",
                            name));
  }
  const auto trimmed = trim_prefix(value);
  if (!trimmed) {
    return tl::unexpected(trimmed.error());
  }
  config.name_prefix = value;
  return {};
}

Result<std::string> frame_prefix(std::string_view word) {
  const auto trimmed = trim_prefix(word);
  if (!trimmed) {
    return trimmed;
  }
  const std::string prefix = fmt::format("/{}-", *trimmed);
  if (prefix.size() + longest_suffix.size() >= name_bytes_max) {
    return fail(Trouble::invalid,
                fmt::format("the shared memory prefix '{}' is too long; allowed: {} letters",
                            word,
                            name_bytes_max - longest_suffix.size() - 3));
  }
  return prefix;
}

}  // namespace engine::restart
