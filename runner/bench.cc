#include "runner/bench.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <functional>
#include <ostream>

#include <fmt/format.h>

#include "runner/bench_search.h"
#include "runner/campaign.h"
#include "runner/device_bench.h"
#include "runner/restart_bench.h"
#include "runner/store_bench.h"

namespace runner {
namespace {

struct Part {
  const char* name;
  const char* target;
  DeviceKind device;
  std::uint64_t disk_bytes;  ///< 0: the target's usual
  bool persistent;
  double floor_per_second;  ///< what the project promises on 2 cores; 0: nothing
  const char* limit;
  bool prunes = true;   ///< false: every state is executed
  bool renews = false;  ///< persistent, but each state begins with a new process
  bool forks = true;    ///< processes are copies of one that has opened nothing, not executed
};

constexpr std::uint64_t mebibyte = 1024ULL * 1024;
constexpr Part parts[] = {
    {"memory",
     "engine",
     DeviceKind::memory,
     mebibyte,
     false,
     20000,
     "copies, checksums and comparisons of every object four times a state; no system calls"},
    {"memory-16M",
     "engine",
     DeviceKind::memory,
     16 * mebibyte,
     false,
     4000,
     "the engine's and the judge's tables of slots, three restarts a state"},
    {"memory-64M",
     "engine",
     DeviceKind::memory,
     64 * mebibyte,
     false,
     2000,
     "the engine's and the judge's tables of slots, three restarts a state"},
    {"memory-executed",
     "engine",
     DeviceKind::memory,
     mebibyte,
     false,
     0,
     "as memory, and every state is executed (--no-prune all)",
     false},
    {"fuse",
     "engine",
     DeviceKind::fuse,
     mebibyte,
     true,
     1200,
     "a process made and killed a state; one trip through the kernel for each request",
     false,
     true},
    {"fuse-each-start",
     "engine",
     DeviceKind::fuse,
     mebibyte,
     false,
     0,
     "three processes executed and killed a state; one trip through the kernel for each request",
     false,
     false,
     false},
    {"fuse-persistent",
     "engine",
     DeviceKind::fuse,
     mebibyte,
     true,
     3000,
     "one trip through the kernel for each request of the engine and each of its answers"},
    {"squid",
     "squid",
     DeviceKind::fuse,
     0,
     false,
     20,
     "Squid's start to readiness, once a state, and again after traffic (one history of four); "
     "'record' waits for Squid's stops"},
    {"trafficserver",
     "trafficserver",
     DeviceKind::fuse,
     0,
     false,
     20,
     "Traffic Server's start to readiness; 'record' waits for its directory syncs, 2 s each, and "
     "for its stops, while other workers run"},
    {"nginx",
     "nginx",
     DeviceKind::fuse,
     0,
     false,
     0,
     "a loop device, a mount and an unmount for each start"},
};

CampaignOptions options_of(const Part& part, const BenchOptions& bench) {
  CampaignOptions options;
  options.config.target = part.target;
  options.config.preset = options.config.target == "nginx" ? "journal" : options.config.preset;
  options.config.disk_bytes =
      part.disk_bytes != 0 ? part.disk_bytes : scenarios::default_disk_bytes(part.target);
  options.persistent_engine = part.persistent;
  options.renew_engine = part.renews;
  options.forked_engine = part.forks;
  options.prune = part.prunes ? PruneOptions{} : PruneOptions::none();
  options.config.slot_bytes = scenarios::default_slot_bytes(part.target);
  options.device = part.device;
  options.seed = 1;
  // Other programs' recordings wait: for timers, and for directory syncs. A run that is over before
  // the first histories are would measure only that.
  const bool others = options.config.target != "engine";
  const std::uint32_t seconds_min = options.config.target == "trafficserver" ? 120 : 60;
  options.seconds_max = others ? std::max(bench.seconds, seconds_min) : bench.seconds;
  options.jobs = bench.jobs > 0 ? bench.jobs : default_jobs(options);
  options.out = std::filesystem::temp_directory_path() / fmt::format("powercut-{}-bench", getpid());
  // Squid is known to lie, after torn writes without overwrites too, and nginx without its preset;
  // keeping and shrinking that is not what is measured here.
  options.overwrites = options.config.target == "engine";
  options.explorer = options.overwrites ? options.explorer : "kills";
  return options;
}

/// "start 31%, gets 35%, ...", the dearest first.
std::string split_text(const Cost& cost) {
  double sum = 0;
  std::vector<std::pair<double, std::string_view>> shares;
  for (std::size_t part = 0; part < cost.part_seconds.size(); ++part) {
    if (scenarios::cost_part_names.at(part) != "other") {
      shares.emplace_back(cost.part_seconds.at(part), scenarios::cost_part_names.at(part));
      sum += shares.back().first;
    }
  }
  std::ranges::sort(shares, std::greater<>());
  std::string text;
  for (const auto& [seconds, name] : shares) {
    text += fmt::format(
        "{}{} {:.0f}%", text.empty() ? "" : ", ", name, sum > 0 ? 100 * seconds / sum : 0);
  }
  return text;
}

void print_row(const Part& part, const RunSummary& summary, std::ostream& out) {
  const auto states = static_cast<double>(summary.states);
  out << fmt::format("{:<16} {:>10} {:>10} {:>10.0f} {:>10} {:>12.0f} {:>11}   {}\n",
                     part.name,
                     summary.states,
                     summary.executed,
                     states / summary.seconds,
                     part.floor_per_second > 0 ? fmt::format("{:.0f}", part.floor_per_second) : "",
                     1e6 * summary.cost.cpu_seconds / states,
                     summary.cost.memory_bytes_max / mebibyte,
                     split_text(summary.cost));
  out << fmt::format("{:<16} limited by: {}\n", "", part.limit);
  out.flush();
}

}  // namespace

namespace {

/// Stands for every part that is not the engine.
constexpr std::string_view other_programs = "targets";

bool is_wanted(const Part& part, const std::vector<std::string>& wanted) {
  const bool among_others = std::string_view(part.target) != "engine" &&
                            std::ranges::find(wanted, other_programs) != wanted.end();
  return wanted.empty() || among_others || std::ranges::find(wanted, part.name) != wanted.end();
}

}  // namespace

std::vector<std::string> bench_parts() {
  std::vector<std::string> names;
  for (const auto& part : parts) {
    names.emplace_back(part.name);
  }
  names.insert(names.end(),
               {"explore", "first", "device", "restart", "stores", std::string(other_programs)});
  return names;
}

int bench(const BenchOptions& options, std::ostream& out) {
  int code = 0;
  const auto wants = [&](const char* name) {
    return std::ranges::find(options.parts, name) != options.parts.end();
  };
  const int jobs = options_of(parts[0], options).jobs;
  if (wants("explore")) {
    code = std::max(code, bench_explore(options.seconds, options.seconds_long, jobs, out));
  }
  if (wants("first")) {
    code = std::max(code, bench_first(out));
  }
  if (wants("device")) {
    code = std::max(code, bench_device({options.lazyfs, options.seconds}, out));
  }
  if (wants("restart")) {
    code = std::max(code, bench_restart(out));
  }
  if (wants("stores")) {
    code = std::max(code, bench_stores(options.seconds, out));
  }
  const auto searches = static_cast<std::size_t>(
      std::ranges::count_if(std::array{"explore", "first", "device", "restart", "stores"}, wants));
  if (searches > 0 && options.parts.size() == searches) {
    return code;
  }
  out << fmt::format("{:<16} {:>10} {:>10} {:>10} {:>10} {:>12} {:>11}   {}\n",
                     "part",
                     "states",
                     "executed",
                     "states/s",
                     "floor",
                     "CPU us/state",
                     "MiB/worker",
                     "where the time goes");
  for (const auto& part : parts) {
    const auto& wanted = options.parts;
    if (!is_wanted(part, wanted)) {
      continue;
    }
    const CampaignOptions campaign = options_of(part, options);
    auto status = scenarios::available(campaign.config, campaign.device == DeviceKind::memory);
    if (status && campaign.device == DeviceKind::fuse) {
      status = faultfs::mount::can_mount();
    }
    if (!status) {
      out << fmt::format("{:<16} undecided, because {}\n", part.name, status.error().message);
      code = 3;
      continue;
    }
    const auto summary = run_campaign(campaign, {});
    std::error_code ignored;
    std::filesystem::remove_all(campaign.out, ignored);
    if (!summary || summary->states == 0) {
      out << fmt::format("{:<16} undecided, because {}\n",
                         part.name,
                         summary ? "no state could be run" : summary.error().message);
      code = 3;
      continue;
    }
    print_row(part, *summary, out);
  }
  return code;
}

}  // namespace runner
