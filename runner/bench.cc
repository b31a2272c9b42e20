#include "runner/bench.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <ostream>

#include <fmt/format.h>

#include "runner/campaign.h"

namespace runner {
namespace {

struct Part {
  const char* name;
  const char* target;
  DeviceKind device;
  double floor_per_second;  ///< what the project promises on 2 cores
  const char* limit;
};

constexpr Part parts[] = {
    {"memory",
     "engine",
     DeviceKind::memory,
     5000,
     "rebuild, get and judge of every object, three restarts a state; no system calls"},
    {"fuse",
     "engine",
     DeviceKind::fuse,
     500,
     "three fresh processes a state, and one round trip through the kernel for each request"},
    {"squid",
     "squid",
     DeviceKind::fuse,
     8,
     "Squid's start to readiness, once a state, and again after traffic (one history of four)"},
};

CampaignOptions options_of(const Part& part, const BenchOptions& bench) {
  CampaignOptions options;
  options.config.target = part.target;
  options.config.disk_bytes = scenarios::default_disk_bytes(part.target);
  options.config.slot_bytes = scenarios::default_slot_bytes(part.target);
  options.device = part.device;
  options.seed = 1;
  options.seconds_max = bench.seconds;
  options.jobs =
      bench.jobs > 0 ? bench.jobs : static_cast<int>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
  options.out = std::filesystem::temp_directory_path() / fmt::format("powercut-{}-bench", getpid());
  // Squid is known to lie; finding and shrinking that is not what is measured here.
  options.overwrites = options.config.target == "engine";
  return options;
}

}  // namespace

int bench(const BenchOptions& options, std::ostream& out) {
  int code = 0;
  out << fmt::format(
      "{:<8} {:>10} {:>12} {:>10}   {}\n", "part", "states", "states/s", "floor", "limited by");
  for (const auto& part : parts) {
    const auto& wanted = options.parts;
    if (!wanted.empty() && std::ranges::find(wanted, part.name) == wanted.end()) {
      continue;
    }
    const CampaignOptions campaign = options_of(part, options);
    auto status = scenarios::available(campaign.config, campaign.device == DeviceKind::memory);
    if (status && campaign.device == DeviceKind::fuse) {
      status = faultfs::mount::can_mount();
    }
    if (!status) {
      out << fmt::format("{:<8} undecided, because {}\n", part.name, status.error().message);
      code = 3;
      continue;
    }
    const auto summary = run_campaign(campaign, {});
    std::error_code ignored;
    std::filesystem::remove_all(campaign.out, ignored);
    if (!summary || summary->states == 0) {
      out << fmt::format("{:<8} undecided, because {}\n",
                         part.name,
                         summary ? "no state could be run" : summary.error().message);
      code = 3;
      continue;
    }
    out << fmt::format("{:<8} {:>10} {:>12.0f} {:>10.0f}   {}\n",
                       part.name,
                       summary->states,
                       static_cast<double>(summary->states) / summary->seconds,
                       part.floor_per_second,
                       part.limit);
    out.flush();
  }
  return code;
}

}  // namespace runner
