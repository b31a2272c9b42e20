#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "faultfs/base/result.h"

namespace scenarios {

/// "9.2", "10.2"
struct TrafficServerVersion {
  int major = 0, minor = 0;
  /// Is configured by records.yaml (from 10.0 on).
  [[nodiscard]] bool reads_yaml() const { return major >= 10; }
  /// Can keep its directory in shared memory from life to life (from 10.2 on).
  [[nodiscard]] bool shares_memory() const { return major > 10 || (major == 10 && minor >= 2); }
};

/// The version in what `traffic_server --version` prints; none where there is none.
[[nodiscard]] std::optional<TrafficServerVersion> version_in(std::string_view text);

/// Asks the program. Error: what it said instead of a version.
[[nodiscard]] faultfs::Result<TrafficServerVersion> ask_version(
    const std::filesystem::path& program);

/// The settings of a records.config ("CONFIG proxy.config.a.b INT 1") as the records.yaml of 10.0
/// and later; those that have another name there, by that.
[[nodiscard]] std::string records_yaml(std::string_view records_config);

/// The storage.yaml of 10.2 and later: one span.
[[nodiscard]] std::string storage_yaml(const std::filesystem::path& span);

}  // namespace scenarios
