#include "scenarios/targets/config.h"

#include <algorithm>
#include <array>
#include <bit>

#include <fmt/format.h>

#include "engine/alternate.h"
#include "engine/cyclone/config.h"
#include "engine/cyclone/document.h"
#include "engine/rock/config.h"
#include "engine/service/disk_words.h"
#include "engine/volumes/label.h"
#include "faultfs/base/bytes.h"
#include "scenarios/targets/log_geometry.h"

namespace scenarios {

namespace {

using faultfs::fail;
using faultfs::size_text;

constexpr std::array<std::string_view, 17> line_words = {"target",
                                                         "store",
                                                         "preset",
                                                         "without-gate",
                                                         "allocator",
                                                         "policy",
                                                         "shared-memory",
                                                         "stripes",
                                                         "volumes",
                                                         "alternates",
                                                         "pinned",
                                                         "hot",
                                                         "disks",
                                                         "ram-cache",
                                                         "slot",
                                                         "disk",
                                                         "program"};
constexpr std::uint64_t header_bytes = 16384;  // both stores keep this much before their slots
constexpr std::uint32_t engine_slot_overhead = 128, squid_slot_overhead = 40;
constexpr std::array<std::string_view, 5> targets = {
    "engine", "squid", "trafficserver", "nginx", "command"};
constexpr std::uint64_t disk_bytes_max = 256U << 20U;  // every crash state is an image of it
constexpr std::uint32_t slot_bytes_min = 1024, slot_bytes_max = 1U << 20U;
constexpr std::uint64_t slots_min = 4;
constexpr std::uint32_t cyclone_stripes_max = 64;
constexpr std::uint32_t pinned_max = 1000, hot_percent_max = 50;
constexpr std::uint32_t engine_disks_max = 8;
constexpr std::uint64_t traffic_server_disk_bytes_min = 16 << 20;  // two of its largest writes
constexpr std::uint64_t nginx_disk_bytes_min = 16 << 20;           // an ext4 with a journal

/// Error unless `word` is one of `allowed`.
faultfs::Status one_of(std::string_view what,
                       std::string_view word,
                       std::initializer_list<std::string_view> allowed) {
  if (std::find(allowed.begin(), allowed.end(), word) != allowed.end()) {
    return {};
  }
  std::string list;
  for (const std::string_view each : allowed) {
    list += fmt::format("{}{}", list.empty() ? "" : ", ", each.empty() ? "nothing" : each);
  }
  return fail(fmt::format("{} '{}' is not known; allowed: {}", what, word, list));
}

faultfs::Status check_rock(const TargetConfig& config) {
  if (const auto preset = engine::rock::find_preset(config.preset); !preset) {
    return fail(preset.error().message);
  }
  for (const std::string& name : config.without_gates) {
    const auto gate = engine::rock::gate_table.find_switchable(name);
    if (!gate) {
      return fail(gate.error().message);
    }
  }
  if (auto allocator =
          one_of("allocator", config.allocator, {"", "lowest_first", "lifo", "random"});
      !allocator) {
    return allocator;
  }
  return one_of("policy", config.policy, {"", "whole_entry", "newest_complete"});
}

faultfs::Status check_cyclone(const TargetConfig& config) {
  if (const auto preset = engine::cyclone::find_preset(config.preset); !preset) {
    return fail(preset.error().message);
  }
  for (const std::string& name : config.without_gates) {
    if (const auto gate = engine::cyclone::check_gate(name); !gate) {
      return fail(gate.error().message);
    }
  }
  if (!config.allocator.empty() || !config.policy.empty()) {
    return fail("allocator and policy are for store rock; a cyclone writes where its cursor is");
  }
  if (config.alternates < 1 || config.alternates > engine::cyclone::alternates_max) {
    return fail(fmt::format("{} alternates of an object are not possible; allowed: 1 to {}",
                            config.alternates,
                            engine::cyclone::alternates_max));
  }
  return check_log(config);
}

/// What is before and below the stores.
faultfs::Status check_around(const TargetConfig& config) {
  const bool stored = config.target == "engine" && config.store != "memory";
  if ((config.disks != 1 || !config.ram_cache.empty()) && !stored) {
    return fail("disks and ram-cache are for target engine with a store on a disk");
  }
  if (config.disks == 0 || config.disks > engine_disks_max) {
    return fail(
        fmt::format("disks {} is not allowed; allowed: 1 to {}", config.disks, engine_disks_max));
  }
  if (config.disks > 1 && config.volumes > config.disks) {
    return fail(
        fmt::format("volumes {} need a disk each, and there are {}", config.volumes, config.disks));
  }
  if (config.disks > 1 && config.shared_memory) {
    return fail("shared memory is for one disk: the harness keeps one directory there");
  }
  if (!config.ram_cache.empty()) {
    const auto ram = engine::service::parse_ram_cache(config.ram_cache);
    return ram ? faultfs::Status{} : fail(ram.error().message);
  }
  return {};
}

faultfs::Status check_engine(const TargetConfig& config) {
  if (auto store = one_of("store", config.store, {"rock", "cyclone", "memory"}); !store) {
    return store;
  }
  if (config.store == "memory") {
    const TargetConfig plain;
    const bool as_it_is = config.preset == plain.preset && config.without_gates.empty() &&
                          config.allocator.empty() && config.policy.empty();
    return as_it_is ? faultfs::Status{}
                    : fail(
                          "store memory is run as it is: preset, without-gate, allocator and "
                          "policy are for stores on a disk");
  }
  return config.store == "rock" ? check_rock(config) : check_cyclone(config);
}

/// A target that is run as it is: the settings of the engine mean nothing to it.
faultfs::Status check_foreign(const TargetConfig& config) {
  const TargetConfig plain;
  const bool checks = (config.target == "trafficserver" &&
                       (config.preset == "checksum" || config.preset == "loop")) ||
                      (config.target == "squid" && config.preset == "disker") ||
                      (config.target == "nginx" && config.preset == "journal");
  if (!config.without_gates.empty() || (config.preset != plain.preset && !checks) ||
      !config.allocator.empty() || !config.policy.empty() || config.store != plain.store) {
    return fail(fmt::format(
        "target {} is run as it is: preset, without-gate, allocator, policy and store "
        "are for target engine (presets of others: trafficserver checksum, trafficserver "
        "loop, squid disker, nginx journal)",
        config.target));
  }
  if (config.target == "command" && config.program.empty()) {
    return fail(
        "target command needs a program (--program PATH): an executable that speaks the verbs of "
        "scenarios/README.md, \"Test your own cache\"");
  }
  if (config.target == "trafficserver" && config.disk_bytes < traffic_server_disk_bytes_min) {
    return fail(fmt::format("disk {} does not suit trafficserver; allowed: from {}",
                            size_text(config.disk_bytes),
                            size_text(traffic_server_disk_bytes_min)));
  }
  if (config.target == "nginx" && config.disk_bytes < nginx_disk_bytes_min) {
    return fail(fmt::format("disk {} does not suit nginx; allowed: from {}",
                            size_text(config.disk_bytes),
                            size_text(nginx_disk_bytes_min)));
  }
  if (config.target == "squid" && config.disk_bytes % (1U << 20U) != 0) {
    return fail(fmt::format("disk {} does not suit squid; allowed: a multiple of 1M",
                            size_text(config.disk_bytes)));
  }
  return {};
}

/// What the label of a volume takes of each disk.
std::uint64_t label_bytes(const TargetConfig& config) {
  return config.disks > 1 ? engine::volumes::label_bytes : 0;
}

faultfs::Status check_sizes(const TargetConfig& config) {
  if (config.disk_bytes > disk_bytes_max) {
    return fail(fmt::format("disk {} is too large; allowed: up to {}",
                            size_text(config.disk_bytes),
                            size_text(disk_bytes_max)));
  }
  if (!std::has_single_bit(config.slot_bytes) || config.slot_bytes < slot_bytes_min ||
      config.slot_bytes > slot_bytes_max) {
    return fail(fmt::format("slot {} is not allowed; allowed: a power of two from {} to {}",
                            size_text(config.slot_bytes),
                            size_text(slot_bytes_min),
                            size_text(slot_bytes_max)));
  }
  const std::uint64_t disk_bytes_min =
      label_bytes(config) + header_bytes + slots_min * config.slot_bytes;
  if (config.disk_bytes % 4096 != 0 || config.disk_bytes < disk_bytes_min) {
    return fail(
        fmt::format("disk {} is not allowed; allowed with slots of {}: a multiple of 4K, from {}",
                    size_text(config.disk_bytes),
                    size_text(config.slot_bytes),
                    size_text(disk_bytes_min)));
  }
  return {};
}

faultfs::Status read_bytes(std::string_view word, std::uint64_t most, std::uint64_t& into) {
  const auto size = faultfs::parse_size(word);
  if (!size) {
    return fail(size.error().message);
  }
  if (*size > most) {
    return fail(fmt::format("{} is too large; at most {} is allowed", word, size_text(most)));
  }
  into = *size;
  return {};
}

/// The small numbers of a configuration, by their names, and what they may be at most.
struct SmallNumber {
  std::string_view name;
  std::uint32_t TargetConfig::*into;
  std::uint64_t most;
};
constexpr std::array<SmallNumber, 6> small_numbers = {
    {{"stripes", &TargetConfig::stripes, cyclone_stripes_max},
     {"volumes", &TargetConfig::volumes, cyclone_stripes_max},
     {"disks", &TargetConfig::disks, cyclone_stripes_max},
     {"alternates", &TargetConfig::alternates, cyclone_stripes_max},
     {"pinned", &TargetConfig::pinned, pinned_max},
     {"hot", &TargetConfig::hot_percent, hot_percent_max}}};

faultfs::Status read_word(std::string_view name, std::string_view word, TargetConfig& config) {
  if (name == "slot") {
    std::uint64_t slot_bytes = 0;
    faultfs::Status status = read_bytes(word, slot_bytes_max, slot_bytes);
    config.slot_bytes = status ? static_cast<std::uint32_t>(slot_bytes) : config.slot_bytes;
    return status;
  }
  if (name == "disk") {
    return read_bytes(word, std::uint64_t{1} << 40U, config.disk_bytes);
  }
  if (name == "shared-memory") {
    config.shared_memory = word == "on";
    return one_of("shared-memory", word, {"on", "off"});
  }
  for (const SmallNumber& each : small_numbers) {
    if (each.name == name) {
      std::uint64_t number = 0;
      const faultfs::Status status = read_bytes(word, each.most, number);
      config.*each.into = static_cast<std::uint32_t>(number);
      return status;
    }
  }
  if (name == "without-gate") {
    config.without_gates.emplace_back(word);
    return {};
  }
  const std::array<std::pair<std::string_view, std::string*>, 6> texts = {
      {{"target", &config.target},
       {"store", &config.store},
       {"preset", &config.preset},
       {"allocator", &config.allocator},
       {"policy", &config.policy},
       {"ram-cache", &config.ram_cache}}};
  for (const auto& [text_name, text] : texts) {
    if (text_name == name) {
      *text = word;
    }
  }
  return {};
}

/// What follows the first word of `line`, without blanks around it: a path may hold blanks.
std::string_view after_first_word(std::string_view line, std::string_view first) {
  constexpr std::string_view blanks = " \t\r\n";
  std::string_view rest = line.substr(line.find(first) + first.size());
  rest.remove_prefix(std::min(rest.find_first_not_of(blanks), rest.size()));
  return rest.substr(0, rest.find_last_not_of(blanks) + 1);
}

}  // namespace

std::string to_text(const TargetConfig& config) {
  const TargetConfig plain;
  std::string text = fmt::format("target {}\n", config.target);
  const auto add = [&text](std::string_view name, const auto& value, const auto& usual) {
    if (value != usual) {
      text += fmt::format("{} {}\n", name, value);
    }
  };
  add("store", config.store, plain.store);
  add("preset", config.preset, plain.preset);
  for (const std::string& gate : config.without_gates) {
    text += fmt::format("without-gate {}\n", gate);
  }
  add("allocator", config.allocator, plain.allocator);
  add("policy", config.policy, plain.policy);
  if (config.shared_memory) {
    text += "shared-memory on\n";
  }
  add("stripes", config.stripes, plain.stripes);
  add("volumes", config.volumes, plain.volumes);
  add("pinned", config.pinned, plain.pinned);
  add("hot", config.hot_percent, plain.hot_percent);
  add("alternates", config.alternates, plain.alternates);
  add("disks", config.disks, plain.disks);
  add("ram-cache", config.ram_cache, plain.ram_cache);
  add("slot", size_text(config.slot_bytes), size_text(plain.slot_bytes));
  add("disk", size_text(config.disk_bytes), size_text(plain.disk_bytes));
  add("program", config.program, plain.program);
  return text;
}

bool is_config_line(std::string_view line) {
  const auto words = faultfs::words(line);
  return !words.empty() &&
         std::find(line_words.begin(), line_words.end(), words[0]) != line_words.end();
}

faultfs::Status parse_config_line(std::string_view line, TargetConfig& config) {
  const auto words = faultfs::words(line);
  if (!is_config_line(line)) {
    return fail(fmt::format("'{}' does not describe a target; allowed first words: {}",
                            line,
                            fmt::join(line_words, ", ")));
  }
  if (words[0] == "program" && words.size() > 1) {
    config.program = after_first_word(line, words[0]);
    return {};
  }
  if (words.size() != 2) {
    return fail(fmt::format("'{}': write it as {} and one word", line, words[0]));
  }
  if (const faultfs::Status status = read_word(words[0], words[1], config); !status) {
    return fail(fmt::format("'{}': {}", line, status.error().message));
  }
  return {};
}

std::string object_name(Key key, std::uint32_t alternates) {
  return key_name(key / std::max(alternates, 1U));
}

std::string stored_name(const TargetConfig& config, Key key) {
  const Key number = key % std::max(config.alternates, 1U);
  return object_name(key, config.alternates) +
         (number == 0 ? "" : fmt::format("{}a{}", engine::alternate_separator, number));
}

std::uint32_t pinned_keys(const TargetConfig& config) {
  const std::uint32_t of_object = std::max(config.alternates, 1U);
  return (config.pinned + of_object - 1) / of_object * of_object;
}

std::string disk_name(const TargetConfig& config) {
  return config.target == "squid" ? "rock" : "disk";
}

std::vector<faultfs::DiskSpec> disk_specs(const TargetConfig& config) {
  std::vector<faultfs::DiskSpec> specs = {{disk_name(config), config.disk_bytes}};
  for (std::uint32_t number = 1; number < config.disks; ++number) {
    specs.push_back({fmt::format("{}-{}", disk_name(config), number + 1), config.disk_bytes});
  }
  return specs;
}

std::uint64_t default_disk_bytes(std::string_view target) {
  constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20U;
  if (target == "trafficserver" || target == "nginx") {
    return 16 * mebibyte;
  }
  return (target == "squid" ? 4 : 1) * mebibyte;
}

std::uint32_t default_slot_bytes(std::string_view target) {
  if (target == "trafficserver") {
    return 256 << 10;
  }
  return target == "command" ? 4096 : TargetConfig().slot_bytes;
}

Geometry geometry(const TargetConfig& config, std::uint32_t unit_bytes) {
  const std::uint32_t unit = unit_bytes == 0 ? config.slot_bytes : unit_bytes;
  const std::uint64_t taken = label_bytes(config) + header_bytes;
  const std::uint64_t room = config.disk_bytes > taken ? config.disk_bytes - taken : 0;
  return {static_cast<std::uint32_t>(room / unit) * config.disks,
          unit,
          config.target == "engine" ? engine_slot_overhead : squid_slot_overhead};
}

faultfs::Status check(const TargetConfig& config) {
  if (std::find(targets.begin(), targets.end(), config.target) == targets.end()) {
    return fail(fmt::format(
        "target '{}' is not known; allowed: {}", config.target, fmt::join(targets, ", ")));
  }
  const bool cyclone = config.target == "engine" && config.store == "cyclone";
  if (config.shared_memory && !cyclone && config.target != "trafficserver") {
    return fail(
        "shared memory is for target engine with store cyclone, and for trafficserver from 10.2 "
        "on");
  }
  if (config.volumes == 0 || config.stripes == 0) {
    return fail("stripes and volumes are counted from 1");
  }
  if ((config.stripes != 1 || (config.volumes != 1 && config.disks == 1)) && !cyclone) {
    return fail("stripes, and volumes on one disk, are for target engine with store cyclone");
  }
  if (const faultfs::Status around = check_around(config); !around) {
    return around;
  }
  if ((config.pinned != 0 || config.hot_percent != 0) && !cyclone) {
    return fail("pinned and hot keys are for target engine with store cyclone");
  }
  if (config.pinned > pinned_max || config.hot_percent > hot_percent_max) {
    return fail(
        fmt::format("{} pinned keys and {} percent for hot ones are not possible; allowed: "
                    "up to {} keys, up to {} percent",
                    config.pinned,
                    config.hot_percent,
                    pinned_max,
                    hot_percent_max));
  }
  if (config.alternates != 1 && !cyclone) {
    return fail(
        "alternates are for target engine with store cyclone; to other caches each key is an "
        "object of its own");
  }
  const faultfs::Status words =
      config.target == "engine" ? check_engine(config) : check_foreign(config);
  return words ? check_sizes(config) : words;
}

}  // namespace scenarios
