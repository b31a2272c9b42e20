#include <fmt/format.h>

#include "scenarios/targets/command_target.h"
#include "scenarios/targets/engine_target.h"
#include "scenarios/targets/nginx.h"
#include "scenarios/targets/squid.h"
#include "scenarios/targets/target.h"
#include "scenarios/targets/trafficserver.h"

namespace scenarios {

faultfs::Status available(const TargetConfig& config, bool on_memory_device) {
  if (faultfs::Status known = check(config); !known) {
    return known;
  }
  if (config.target != "engine" && on_memory_device) {
    return faultfs::fail(fmt::format(
        "{} is a process and needs disks that are files: use --device fuse", config.target));
  }
  if (config.target == "squid") {
    return squid_available(config);
  }
  if (config.target == "trafficserver") {
    return traffic_server_available(config);
  }
  if (config.target == "nginx") {
    return nginx_available(config);
  }
  if (config.target == "command") {
    return command_available(config);
  }
  if (on_memory_device) {
    return {};
  }
  const auto program = find_engine_program(config);
  return program ? faultfs::Status{} : tl::unexpected(program.error());
}

faultfs::Result<std::unique_ptr<Target>> make_target(const TargetConfig& config, const Rig& rig) {
  if (const faultfs::Status usable = available(config, rig.disk_dir.empty()); !usable) {
    return tl::unexpected(usable.error());
  }
  if (config.target == "squid") {
    return make_squid(config, rig);
  }
  if (config.target == "trafficserver") {
    return make_traffic_server(config, rig);
  }
  if (config.target == "nginx") {
    return make_nginx(config, rig);
  }
  return config.target == "command" ? make_command(config, rig) : make_engine(config, rig);
}

}  // namespace scenarios
