#include "runner/target_list.h"

#include <algorithm>
#include <filesystem>
#include <ostream>

#include <fmt/format.h>

#include "engine/cyclone/config.h"
#include "engine/rock/config.h"
#include "faultfs/base/bytes.h"
#include "faultfs/device.h"
#include "scenarios/targets/target.h"

namespace runner {
namespace {

struct KnownTarget {
  const char* name;
  const char* story;
};

constexpr KnownTarget known_targets[] = {
    {"engine",
     "powercut's own stores (rock, cyclone), in this process or as cache-engine on a mount"},
    {"squid",
     "Squid with a rock cache_dir, unmodified, one process (-N; --preset disker: several), on a "
     "mount"},
    {"trafficserver",
     "Traffic Server with one span, a plain file (--preset loop: a loop device; checksum: of "
     "documents), unmodified, on a mount"},
    {"nginx",
     "nginx's proxy_cache on ext4 (--preset journal: data=journal) on a loop device, unmodified, "
     "on "
     "a mount"},
    {"command", "any program with one file, behind a script of five verbs, on a mount"},
};

/// Gates of a cyclone that no history of one stripe brings to refuse, and where they are seen to.
constexpr std::pair<std::string_view, std::string_view> seen_elsewhere[] = {
    {"row_bounds", "stands behind checksums: engine/fuzz, and runs without those"},
    {"evacuation_order", "takes pinned keys (--pinned 2): engine/cyclone/evacuation_test.cc"},
    {"chain_too_long", "stands behind chain_row_twice: engine/cyclone/shared_test.cc"},
    {"chain_loop", "stands behind chain_row_twice: engine/cyclone/shared_test.cc"},
    {"purge_epoch",
     "takes a purge of everything (--purge-all) and a disk that lies: "
     "engine/cyclone/gates_test.cc"},
    {"row_claimed", "takes two stripes of one name: engine/restart/image_test.cc"},
    {"writers_stopped", "takes a stripe that was not closed: engine/restart/stop_test.cc"},
};

std::string_view why_not_seen(std::string_view gate) {
  for (const auto& [name, where] : seen_elsewhere) {
    if (name == gate) {
      return where;
    }
  }
  return "never seen to refuse in this run";
}

/// What histories for the target may hold besides puts, gets and kills: its traits in words. Asked
/// of the target itself, which is made and never started.
std::string capabilities(const scenarios::TargetConfig& config) {
  auto device =
      faultfs::Device::create(faultfs::all_profiles().front(), scenarios::disk_specs(config));
  if (!device) {
    return {};
  }
  const auto nowhere = std::filesystem::temp_directory_path();
  const bool engine = config.target == "engine";
  const scenarios::Rig rig = {**device, engine ? std::filesystem::path() : nowhere, nowhere, -1};
  const auto target = scenarios::make_target(config, rig);
  if (!target) {
    return {};
  }
  const scenarios::Traits can = (*target)->traits();
  const std::pair<bool, const char*> words[] = {
      {can.slow_put, "slow and aborted puts"},
      {can.header_update, "header updates"},
      {can.purge, "purges"},
      {can.range, "ranges"},
      {can.crowds, "crowds"},
      {can.hands_over, "handoffs"},
      {can.slow_stop, "kills inside stops and lives that overlap"},
      {can.sync, "syncs"},
      {can.reformats, "other slot sizes"},
      {can.sliced_rebuild, "rebuilds in slices"},
      {can.inspects, "inspection"},
      {can.circle_bytes > 0, "laps round its store"},
      {can.deterministic, "the same log for the same seed"},
  };
  std::string text;
  for (const auto& [has, word] : words) {
    text += has ? fmt::format("{}{}", text.empty() ? "" : ", ", word) : "";
  }
  return text;
}

}  // namespace

int print_targets(std::ostream& out) {
  bool all = true;
  for (const auto& known : known_targets) {
    scenarios::TargetConfig config;
    config.target = known.name;
    config.disk_bytes = scenarios::default_disk_bytes(known.name);
    if (config.target == "command") {
      out << fmt::format("{:<13} {:<10} {}\n", known.name, "--program", known.story);
      continue;
    }
    const auto status = scenarios::available(config, config.target == "engine");
    out << fmt::format(
        "{:<13} {:<10} {}\n", known.name, status ? "ready" : "undecided", known.story);
    if (!status) {
      out << fmt::format("{:<13} {:<10} because {}\n", "", "", status.error().message);
      all = false;
      continue;
    }
    out << fmt::format("{:<13} {:<10} can: {}\n", "", "", capabilities(config));
  }
  return all ? 0 : 3;
}

std::string gate_table(const scenarios::TargetConfig& config, const RunSummary& summary) {
  std::string text = "gate                     refused\n";
  std::vector<std::string_view> names;
  if (config.store == "cyclone") {
    names = engine::cyclone::all_gate_names();
  } else {
    engine::rock::gate_table.add_names(names);
  }
  for (const std::string_view name : names) {
    const auto found = summary.gate_refusals.find(std::string(name));
    const std::uint64_t count = found == summary.gate_refusals.end() ? 0 : found->second;
    text += fmt::format("{:<24} {:>7}{}{}\n",
                        name,
                        count,
                        count == 0 ? "   " : "",
                        count == 0 ? why_not_seen(name) : "");
  }
  return text;
}

}  // namespace runner
