#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "faultfs/base/result.h"
#include "scenarios/process/child.h"
#include "scenarios/targets/config.h"

namespace scenarios {

/// Everything one life of Traffic Server is configured by.
struct TrafficServerSetup {
  std::filesystem::path disk;      ///< the span: a file
  std::filesystem::path work_dir;  ///< configuration, logs and run files go below it
  std::uint16_t port = 0;          ///< it listens on
  std::uint16_t origin_port = 0;   ///< it fetches from
  bool checksums = false;          ///< documents are written with a checksum, and read against it
  bool yaml = false;               ///< configured as 10.0 and later are
  std::string shared_prefix = {};  ///< its objects in shared memory; empty: it is to have none
  bool beside = false;             ///< an earlier life still runs: its lock and its logs stay
};

/// The text of records.config (why each line: at the head of trafficserver_setup.cc).
[[nodiscard]] std::string records_config(const TrafficServerSetup& setup);

/// Its program: `config.program`, or where Debian and others put it. Error: says what to install.
[[nodiscard]] faultfs::Result<std::filesystem::path> find_traffic_server(
    const TargetConfig& config);

/// Writes the configuration below `work_dir`, and empties what an earlier life left there. Error:
/// names the file.
[[nodiscard]] faultfs::Status write_configuration(const TrafficServerSetup& setup);

/// Program, arguments and environment of a Traffic Server that serves `setup`.
[[nodiscard]] ChildOptions traffic_server_command(const std::filesystem::path& program,
                                                  const TrafficServerSetup& setup);

}  // namespace scenarios
