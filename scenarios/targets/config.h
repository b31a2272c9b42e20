#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "faultfs/base/result.h"
#include "faultfs/device.h"
#include "scenarios/body.h"

namespace scenarios {

/// Which cache, built and set up how. Plain data: part of every plan file, one `name value` per
/// line.
struct TargetConfig {
  std::string target = "engine";           ///< engine, squid, trafficserver, command
  std::string store = "rock";              ///< engine: rock
  std::string preset = "hardened";         ///< engine: hardened, squid, trafficserver; target
                                           ///< trafficserver: checksum (of documents)
  std::vector<std::string> without_gates;  ///< engine: gates switched off
  std::string allocator;                   ///< lowest_first, lifo, random; empty: the preset's
  std::string policy;                      ///< whole_entry, newest_complete; empty: the preset's
  bool shared_memory = false;    ///< cyclone: the directory is kept there from life to life
  std::uint32_t stripes = 1;     ///< cyclone: of each volume
  std::uint32_t volumes = 1;     ///< cyclone: equal ones; keys live where their first digit says
  std::uint32_t alternates = 1;  ///< cyclone: keys in a row that are alternates of one object
  std::uint32_t pinned = 0;  ///< cyclone: so many keys stay while the log comes round: k0, k1 …
  std::uint32_t hot_percent = 0;  ///< cyclone: what a get hits this near to the cursor stays, too
  /// Several: a store of volumes over disks that are alike; each carries the tag of a volume, and
  /// stripes are those of each disk.
  std::uint32_t disks = 1;
  std::string ram_cache;  ///< "32K", "32K,s3fifo": a RAM cache before the store; empty: none
  std::uint32_t slot_bytes = 16384;
  std::uint64_t disk_bytes = 1 << 20;  ///< of each disk
  std::string program;  ///< path of the program; empty: found beside powercut or in PATH

  [[nodiscard]] bool operator==(const TargetConfig&) const = default;
};

/// Lines `target engine`, `store rock`, `preset …`, `without-gate …`, `allocator …`, `policy …`,
/// `shared-memory on`, `stripes …`, `volumes …`, `alternates …`, `pinned …`, `hot …`, `disks …`,
/// `ram-cache …`, `slot …`, `disk …`, `program …`; only those that differ from the default,
/// `target` always.
[[nodiscard]] std::string to_text(const TargetConfig& config);
/// True when the first word of `line` is one of those.
[[nodiscard]] bool is_config_line(std::string_view line);
[[nodiscard]] faultfs::Status parse_config_line(std::string_view line, TargetConfig& config);
/// What the cache calls the harness's key k7: k7, or, where keys are alternates of an object, three
/// for example, k2|a1. The first of an object is the one without a name: k6 is k2.
[[nodiscard]] std::string stored_name(const TargetConfig& config, Key key);
/// The object's part of that.
[[nodiscard]] std::string object_name(Key key, std::uint32_t alternates);
/// How many keys stay: `pinned`, and the other alternates of the last one's object.
[[nodiscard]] std::uint32_t pinned_keys(const TargetConfig& config);
/// How the target lays its storage out.
struct Geometry {
  std::uint32_t units = 0;          ///< allocation units (slots) of all disks; 0: unknown
  std::uint32_t unit_bytes = 0;     ///< of one of them
  std::uint32_t unit_overhead = 0;  ///< bytes at the start of each that hold no payload
};
/// With units of `unit_bytes` (0: as configured).
[[nodiscard]] Geometry geometry(const TargetConfig& config, std::uint32_t unit_bytes = 0);
/// The file name of disk 0 for this target ("disk", squid: "rock").
[[nodiscard]] std::string disk_name(const TargetConfig& config);
/// All disks of this target: the first as `disk_name` says, then "disk-2", "disk-3" …
[[nodiscard]] std::vector<faultfs::DiskSpec> disk_specs(const TargetConfig& config);
/// The volume whose tag disk number `disk` carries, where there are several.
[[nodiscard]] inline std::uint32_t volume_of_disk(const TargetConfig& config, std::uint32_t disk) {
  return 1 + disk % config.volumes;
}

/// The storage a target is given when nobody says: small, so that a crash state is cheap.
[[nodiscard]] std::uint64_t default_disk_bytes(std::string_view target);
/// Its unit when nobody says. Where the target has no slots this is only the measure by which
/// histories choose sizes: one to thirteen of it for a body.
[[nodiscard]] std::uint32_t default_slot_bytes(std::string_view target);

/// Ok where every word is one this build knows (target, store, preset, gates …) and sizes fit.
[[nodiscard]] faultfs::Status check(const TargetConfig& config);

}  // namespace scenarios
