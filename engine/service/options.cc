#include "engine/service/options.h"

#include <sys/random.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <thread>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "engine/cyclone/shared_format.h"
#include "engine/cyclone/store.h"
#include "engine/rock/check.h"
#include "engine/rock/store.h"
#include "engine/volumes/key_policy.h"

namespace engine::service {
namespace {

bool read_number(std::string_view text, std::uint64_t& value) {
  const bool hexadecimal = text.starts_with("0x");
  text.remove_prefix(hexadecimal ? 2 : 0);
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, hexadecimal ? 16 : 10);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

template <typename Value>
Status choose(const std::string& word,
              std::string_view what,
              const std::vector<std::pair<std::string_view, Value>>& choices,
              Value& value) {
  std::string allowed;
  for (const auto& [name, meaning] : choices) {
    if (word == name) {
      value = meaning;
      return {};
    }
    allowed += (allowed.empty() ? "" : ", ") + std::string(name);
  }
  return word.empty() ? Status{}
                      : fail(Trouble::invalid,
                             fmt::format("'{}' is not {}; allowed: {}", word, what, allowed));
}

Status read_words(const StoreWords& words, rock::Config& config) {
  using rock::Allocator;
  using rock::ContradictionPolicy;
  const std::vector<std::pair<std::string_view, Allocator>> allocators = {
      {"lowest_first", Allocator::lowest_first},
      {"lifo", Allocator::lifo},
      {"random", Allocator::random}};
  const std::vector<std::pair<std::string_view, ContradictionPolicy>> policies = {
      {"whole_entry", ContradictionPolicy::whole_entry},
      {"newest_complete", ContradictionPolicy::newest_complete}};
  for (const std::string& name : words.without_gates) {
    const auto gate = rock::gate_table.find_switchable(name);
    if (!gate) {
      return tl::unexpected(gate.error());
    }
    config.gates_off.push_back(*gate);
  }
  const Status allocator = choose(words.allocator, "an allocator", allocators, config.allocator);
  return allocator ? choose(words.policy, "a policy", policies, config.policy) : allocator;
}

}  // namespace

/// Where nobody says a seed, two starts must never have the same.
Result<std::uint64_t> make_seed(const StoreWords& words) {
  std::uint64_t seed = 0;
  if (words.seed.empty()) {
    static_cast<void>(::getrandom(&seed, sizeof seed, 0));
  } else if (!read_number(words.seed, seed)) {
    return fail(
        Trouble::invalid,
        fmt::format("'{}' is not a seed; allowed: a decimal or 0x number of 64 bits", words.seed));
  }
  return seed;
}

Result<std::uint32_t> parse_slot_size(const std::string& text) {
  std::string_view digits = text;
  std::uint64_t unit = 1;
  if (!digits.empty() && (digits.back() == 'K' || digits.back() == 'M')) {
    unit = digits.back() == 'K' ? 1024 : 1024 * 1024;
    digits.remove_suffix(1);
  }
  std::uint64_t value = 0;
  if (!read_number(digits, value) || value == 0 || value > UINT32_MAX / unit) {
    return fail(Trouble::invalid,
                fmt::format("'{}' is not a slot size; allowed: 1K to 1M, a power of two", text));
  }
  return static_cast<std::uint32_t>(value * unit);
}

Result<rock::Config> make_config(const StoreWords& words) {
  if (words.store != "rock") {
    return fail(Trouble::invalid,
                fmt::format("'{}' is not a store; allowed: rock, cyclone, memory", words.store));
  }
  auto config = rock::find_preset(words.preset);
  if (!config) {
    return config;
  }
  const Status read = read_words(words, *config);
  if (!read) {
    return tl::unexpected(read.error());
  }
  if (!words.slot.empty()) {
    const auto slot_bytes = parse_slot_size(words.slot);
    if (!slot_bytes) {
      return tl::unexpected(slot_bytes.error());
    }
    config->slot_bytes = *slot_bytes;
  }
  config->rebuild_slice_slots = words.slice_slots;
  const auto seed = make_seed(words);
  if (!seed) {
    return tl::unexpected(seed.error());
  }
  config->seed = *seed;
  return config;
}

namespace {

Result<std::uint32_t> read_count(const std::string& word, std::string_view what) {
  std::uint64_t count = 0;
  if (!read_number(word, count) || count == 0 || count > cyclone::stripe_count_max) {
    return fail(
        Trouble::invalid,
        fmt::format(
            "'{}' is not a number of {}; allowed: 1 to {}", word, what, cyclone::stripe_count_max));
  }
  return static_cast<std::uint32_t>(count);
}

bool names_evacuation(const StoreWords& words) {
  return !words.pins.empty() || !words.hit_evacuate_percent.empty();
}

Status read_evacuation(const StoreWords& words, cyclone::Config& config) {
  config.pins = words.pins;
  std::uint64_t percent = 0;
  if (std::ranges::find(words.pins, "") != words.pins.end()) {
    return fail(
        Trouble::invalid,
        "'' is not a name to pin; allowed: a key, or the beginning of keys with '*' behind");
  }
  if (!words.hit_evacuate_percent.empty() && (!read_number(words.hit_evacuate_percent, percent) ||
                                              percent > cyclone::hit_evacuate_percent_max)) {
    return fail(Trouble::invalid,
                fmt::format("'{}' is not a part of the data area; allowed: 0 to {} percent",
                            words.hit_evacuate_percent,
                            cyclone::hit_evacuate_percent_max));
  }
  config.hit_evacuate_percent = static_cast<std::uint32_t>(percent);
  return {};
}

bool names_division(const StoreWords& words) {
  return !words.stripes.empty() || !words.volumes.empty() || !words.hosting.empty();
}

Status read_division(const StoreWords& words, cyclone::Config& config) {
  cyclone::Division& division = config.division;
  if (!words.stripes.empty()) {
    const auto stripes = read_count(words.stripes, "stripes");
    if (!stripes) {
      return tl::unexpected(stripes.error());
    }
    division.stripes = *stripes;
  }
  if (!words.volumes.empty()) {
    const auto volumes = cyclone::parse_volumes(words.volumes);
    if (!volumes) {
      return tl::unexpected(volumes.error());
    }
    division.volumes = *volumes;
    division.hosting = volumes::Hosting(volumes->front().tag);
  }
  if (!words.hosting.empty()) {
    const auto rules = volumes::Hosting::parse(fmt::format("{}", fmt::join(words.hosting, "\n")));
    if (!rules) {
      return tl::unexpected(rules.error());
    }
    division.hosting = *rules;
  }
  const auto threads =
      words.threads.empty()
          ? Result<std::uint32_t>(std::max(1U, std::thread::hardware_concurrency()))
          : read_count(words.threads, "threads");
  if (!threads) {
    return tl::unexpected(threads.error());
  }
  config.threads = *threads;
  return {};
}

}  // namespace

Result<cyclone::Config> make_cyclone_config(const StoreWords& words) {
  auto config = cyclone::find_preset(words.preset);
  if (!config) {
    return config;
  }
  for (const std::string& name : words.without_gates) {
    const Status known = cyclone::check_gate(name);
    if (!known) {
      return tl::unexpected(known.error());
    }
    config->gates_off.push_back(name);
  }
  if (!words.slot.empty()) {
    const auto slot_bytes = parse_slot_size(words.slot);
    if (!slot_bytes) {
      return tl::unexpected(slot_bytes.error());
    }
    config->layout.average_object_bytes = *slot_bytes / 2;
    config->recovery_slice_bytes = *slot_bytes;
  }
  if (const Status divided = read_division(words, *config); !divided) {
    return tl::unexpected(divided.error());
  }
  if (const Status kept = read_evacuation(words, *config); !kept) {
    return tl::unexpected(kept.error());
  }
  if (!words.allocator.empty() || !words.policy.empty()) {
    return fail(Trouble::invalid,
                "--allocator and --policy are for --store rock; a cyclone writes where its cursor "
                "is");
  }
  const auto seed = make_seed(words);
  if (!seed) {
    return tl::unexpected(seed.error());
  }
  config->seed = *seed;
  return config;
}

Result<restart::Config> make_shm_config(const StoreWords& words) {
  restart::Config config;
  for (const std::string& word : words.shm) {
    const auto equals = word.find('=');
    const Status read =
        equals == std::string::npos
            ? fail(Trouble::invalid,
                   fmt::format("'{}' is not a setting; write it as enabled=1", word))
            : restart::read_setting(std::string_view(word).substr(0, equals),
                                    std::string_view(word).substr(equals + 1),
                                    config);
    if (!read) {
      return tl::unexpected(read.error());
    }
  }
  return config;
}

Result<volumes::Hosting> make_hosting(const StoreWords& words, const std::vector<DiskWord>& disks) {
  auto hosting = words.hosting.empty()
                     ? Result<volumes::Hosting>(volumes::Hosting(disks.front().volume))
                     : volumes::Hosting::parse(fmt::format("{}", fmt::join(words.hosting, "\n")));
  if (!hosting) {
    return hosting;
  }
  const auto named = hosting->volumes();
  for (const DiskWord& disk : disks) {
    if (std::find(named.begin(), named.end(), disk.volume) == named.end()) {
      return fail(Trouble::invalid,
                  fmt::format("disk {} carries volume {}, and no hosting rule names that volume: "
                              "nothing would ever live there (--hosting \"hostname=* volume=N\" is "
                              "the home of everything else)",
                              disk.id,
                              disk.volume));
    }
  }
  return hosting;
}

std::string store_facts(const std::string& store) {
  if (store != "cyclone") {
    return fmt::format("{} {}", store, rock::format_facts());
  }
  return fmt::format("{} {}", store, fmt::join(cyclone::shared_format_facts(), "; "));
}

namespace {

Status check_memory(const StoreWords& words) {
  const bool plain = words.preset == "hardened" && words.without_gates.empty() &&
                     words.shm.empty() && !words.direct && !names_division(words) &&
                     words.ram_cache.empty() && words.key_mode.empty() && !names_evacuation(words);
  return plain
             ? Status{}
             : fail(Trouble::invalid,
                    "--store memory has no disk and no gates: --preset, --without-gate, --shm, "
                    "--direct, --stripes, --volumes, --hosting, --key-mode, --ram-cache, --pin and "
                    "--hit-evacuate-percent are for stores on a disk");
}

Status check_volumes(const StoreWords& words, const std::vector<DiskWord>& disks) {
  if (!words.key_mode.empty()) {
    if (const auto mode = volumes::find_key_mode(words.key_mode); !mode) {
      return tl::unexpected(mode.error());
    }
  }
  if (!are_volumes(disks)) {
    return words.key_mode.empty()
               ? Status{}
               : fail(Trouble::invalid,
                      "--key-mode is for disks of volumes (--disk FILE:volume=N)");
  }
  if (!words.volumes.empty()) {
    return fail(Trouble::invalid,
                "--volumes divides one disk; disks of volumes say theirs (--disk FILE:volume=N)");
  }
  const auto hosting = make_hosting(words, disks);
  return hosting ? Status{} : tl::unexpected(hosting.error());
}

}  // namespace

namespace {

Status check_cooperation(const StoreWords& words,
                         const std::vector<DiskWord>& disks,
                         const restart::Config& shm) {
  const bool alone = !are_volumes(disks) && disks.size() == 1 && disks.front().size_bytes == 0;
  const bool fits = words.store == "cyclone" && shm.enabled && alone && words.ram_cache.empty() &&
                    !words.forks && !words.reopens;
  return !words.cooperates || fits
             ? Status{}
             : fail(Trouble::invalid,
                    "--cooperate is for --store cyclone with --shm enabled=1, on one whole disk "
                    "without volumes of disks, and without --ram-cache");
}

}  // namespace

Status check_words(const StoreWords& words, const std::vector<DiskWord>& disks) {
  const auto shm = make_shm_config(words);
  if (!shm) {
    return tl::unexpected(shm.error());
  }
  if (const Status can = check_cooperation(words, disks, *shm); !can) {
    return can;
  }
  if (words.store == "memory") {
    return check_memory(words);
  }
  if (const Status fits = check_volumes(words, disks); !fits) {
    return fits;
  }
  if (!words.ram_cache.empty()) {
    if (const auto ram = parse_ram_cache(words.ram_cache); !ram) {
      return tl::unexpected(ram.error());
    }
  }
  if (words.store == "cyclone") {
    const auto config = make_cyclone_config(words);
    return config ? Status{} : tl::unexpected(config.error());
  }
  if (!words.shm.empty()) {
    return fail(Trouble::invalid, "--shm is for --store cyclone; a rock keeps no directory there");
  }
  const bool hosts = are_volumes(disks) || words.hosting.empty();
  if (!hosts || !words.stripes.empty() || !words.volumes.empty() || !words.threads.empty() ||
      names_evacuation(words)) {
    return fail(Trouble::invalid,
                "--stripes, --volumes, --threads, --pin and --hit-evacuate-percent are for --store "
                "cyclone, and --hosting for it "
                "or for disks of volumes (--disk FILE:volume=N)");
  }
  const auto config = make_config(words);
  return config ? Status{} : tl::unexpected(config.error());
}

// Another size than the header's would clear the store: only who names one wants that.
Result<std::unique_ptr<Store>> open_on(block::Device& device,
                                       const std::string& identity,
                                       const std::string& suffix,
                                       const StoreWords& words,
                                       std::span<cyclone::LiveStripe> live) {
  if (words.store == "cyclone") {
    auto config = make_cyclone_config(words);
    if (!config) {
      return tl::unexpected(config.error());
    }
    cyclone::Config found;
    if ((words.slot.empty() || !names_division(words)) && cyclone::adopt_span(device, found)) {
      config->layout = words.slot.empty() ? found.layout : config->layout;
      config->division = names_division(words) ? config->division : found.division;
    }
    const auto shm = make_shm_config(words);
    if (!shm) {
      return tl::unexpected(shm.error());
    }
    cyclone::SharedDirectory shared;
    shared.memory = &restart::posix_shared_memory();
    shared.config = *shm;
    shared.config.name_prefix += suffix;
    shared.identity = identity;
    shared.live = live;
    shared.log = [](std::string_view line) { fmt::print(stderr, "cache-engine: {}\n", line); };
    return cyclone::open_store(device, *config, shared);
  }
  auto config = make_config(words);
  if (!config) {
    return tl::unexpected(config.error());
  }
  if (words.slot.empty()) {
    config->slot_bytes = rock::slot_bytes_of(device).value_or(config->slot_bytes);
  }
  return rock::open_store(device, *config);
}

}  // namespace engine::service
