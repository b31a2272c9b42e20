#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "engine/cyclone/division.h"
#include "engine/store.h"
#include "engine/volumes/homes.h"
#include "scenarios/targets/shared_memory.h"
#include "scenarios/targets/target.h"

namespace scenarios {

/// Where a life of the engine's store takes place: in this process or in one of its own.
class EngineHome {
 public:
  virtual ~EngineHome() = default;
  /// Begins a life: opens the store on the disk as it is and waits until it answers. A store that
  /// does not open is an engine error (`Trouble::lost`: the process died or is silent). Error:
  /// trouble of the world.
  [[nodiscard]] virtual faultfs::Result<engine::Result<std::unique_ptr<engine::Store>>> open(
      std::uint64_t seed, std::uint32_t slot_bytes) = 0;
  /// Waits for the end of a life whose store was closed. False when it does not end in time.
  [[nodiscard]] virtual bool wait_for_end() = 0;
  /// Ends the life as SIGKILL does. The store has been destroyed without `close`.
  virtual void kill() = 0;
  /// As `kill`, and nothing of it is used again.
  virtual void renew() { kill(); }
  [[nodiscard]] virtual std::optional<Death> death() = 0;
  [[nodiscard]] virtual std::string log_text() = 0;
  /// Where the lives keep their directory; null: nowhere.
  [[nodiscard]] virtual SharedGround* shared() = 0;

 protected:
  EngineHome() = default;
  EngineHome(const EngineHome&) = delete;
  EngineHome(EngineHome&&) = delete;
  EngineHome& operator=(const EngineHome&) = delete;
  EngineHome& operator=(EngineHome&&) = delete;
};

/// The store runs in this process, straight on the rig's device.
[[nodiscard]] std::unique_ptr<EngineHome> make_memory_home(const TargetConfig& config,
                                                           const Rig& rig);
/// The store runs in a `cache-engine` process, on the file that shows the rig's disk.
[[nodiscard]] std::unique_ptr<EngineHome> make_process_home(const TargetConfig& config,
                                                            const Rig& rig,
                                                            std::filesystem::path program);

/// A slot is the measure by which histories choose sizes; to a cyclone an object is half of one.
[[nodiscard]] inline engine::cyclone::Layout cyclone_layout(std::uint32_t slot_bytes) {
  engine::cyclone::Layout layout;
  layout.average_object_bytes = slot_bytes / 2;
  return layout;
}

/// The names of the objects that stay.
[[nodiscard]] inline std::vector<std::string> cyclone_pins(const TargetConfig& config) {
  std::vector<std::string> pins;
  for (Key key = 0; key < config.pinned; key += std::max(config.alternates, 1U)) {
    pins.push_back(object_name(key, config.alternates));
  }
  return pins;
}

/// Volumes of equal size; keys live where their first digit says.
[[nodiscard]] inline engine::cyclone::Division cyclone_division(const TargetConfig& config) {
  engine::cyclone::Division division;
  division.stripes = config.stripes;
  if (config.volumes == 1) {
    return division;
  }
  division.volumes.clear();
  for (std::uint32_t n = 0; n < config.volumes; ++n) {
    division.volumes.push_back({static_cast<engine::volumes::VolumeTag>(n + 1), 1});
  }
  std::string rules = "hostname=* volume=1\n";
  constexpr std::uint32_t digits = 10;
  for (std::uint32_t digit = 1; digit < digits; ++digit) {
    rules += fmt::format("prefix=k{} volume={}\n", digit, 1 + digit % config.volumes);
  }
  division.hosting = engine::volumes::Hosting::parse(rules).value_or(division.hosting);
  return division;
}

/// Of each of several disks: what is behind its label. Their volumes are not the span's.
[[nodiscard]] inline engine::cyclone::Division division_of_disk(const TargetConfig& config) {
  if (config.disks == 1) {
    return cyclone_division(config);
  }
  engine::cyclone::Division division;
  division.stripes = config.stripes;
  return division;
}

/// Which disk a key lives on, where there are several.
[[nodiscard]] inline engine::volumes::Homes disk_homes(const TargetConfig& config) {
  std::vector<engine::volumes::DiskFacts> disks;
  for (const faultfs::DiskSpec& disk : disk_specs(config)) {
    const auto number = static_cast<std::uint32_t>(disks.size());
    disks.push_back({disk.name,
                     static_cast<engine::volumes::VolumeTag>(volume_of_disk(config, number)),
                     disk.size_bytes});
  }
  return {disks, cyclone_division(config).hosting};
}

/// Slots per slice of a rebuild: few, so that a rebuild in slices has many places to be at.
constexpr std::uint32_t rebuild_slice_slots = 8;

}  // namespace scenarios
