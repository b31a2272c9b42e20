#include "runner/bench_search.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <ostream>
#include <vector>

#include <fmt/format.h>

#include "faultfs/base/random.h"
#include "runner/campaign.h"
#include "runner/experiment.h"

namespace runner {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t mebibyte = 1024ULL * 1024;
constexpr std::uint32_t long_commands = 200, long_keys = 24;
constexpr std::uint64_t first_seeds = 10;
constexpr std::uint32_t first_states_per_history = 24;

double seconds_since(Clock::time_point began) {
  return std::chrono::duration<double>(Clock::now() - began).count();
}

struct Row {
  std::string what;
  std::uint64_t points = 0, finished = 0, executed = 0, judged = 0;
  double covered = 0, seconds = 0;
  std::uint64_t violated = 0;
};

void print_head(std::ostream& out) {
  out << fmt::format("{:<58} {:>13} {:>10} {:>10} {:>12} {:>12} {:>8}\n",
                     "explorer lazy",
                     "points done",
                     "judged",
                     "executed",
                     "covered",
                     "/execution",
                     "seconds");
}

void print_row(const Row& row, std::ostream& out) {
  out << fmt::format("{:<58} {:>13} {:>10} {:>10} {:>12.3g} {:>12.3g} {:>8.1f}{}\n",
                     row.what,
                     row.points > 0 ? fmt::format("{} of {}", row.finished, row.points) : "",
                     row.judged,
                     row.executed,
                     row.covered,
                     row.covered / static_cast<double>(std::max<std::uint64_t>(1, row.executed)),
                     row.seconds,
                     row.violated > 0 ? fmt::format("   VIOLATED in {}", row.violated) : "");
  out.flush();
}

Row generated(const std::string& store, std::uint32_t seconds, int jobs) {
  CampaignOptions options;
  options.config.store = store;
  options.explorer = "lazy";
  options.seed = 1;
  options.jobs = jobs;
  options.seconds_max = seconds;
  options.out = std::filesystem::temp_directory_path() / fmt::format("powercut-{}-bench", getpid());
  Row row;
  const auto summary = run_campaign(options, {});
  std::error_code ignored;
  std::filesystem::remove_all(options.out, ignored);
  if (!summary) {
    row.what = fmt::format("{}: {}", store, summary.error().message);
    return row;
  }
  row.what = fmt::format("{} 1 MiB, {} generated histories", store, summary->histories);
  row.executed = summary->executed;
  row.judged = summary->states;
  row.covered = summary->covered;
  row.violated = summary->violated_states;
  row.seconds = summary->seconds;
  return row;
}

/// Puts, purges, updates and gets over two dozen keys; every `sync_every`-th command is a sync.
std::vector<scenarios::Command> long_history(std::uint64_t seed, std::uint32_t sync_every) {
  faultfs::Random random(seed);
  std::vector<scenarios::Command> commands;
  while (commands.size() < long_commands) {
    scenarios::Command command;
    const std::uint64_t kind = random.below(10);
    command.key = static_cast<scenarios::Key>(random.below(long_keys));
    if ((commands.size() + 1) % sync_every == 0) {
      command.kind = scenarios::CommandKind::sync;
    } else if (kind < 6) {
      command.kind = scenarios::CommandKind::put;
      command.size = random.chance(1, 8) ? 1 + random.below(30000) : 1 + random.below(3500);
    } else if (kind == 6) {
      command.kind = scenarios::CommandKind::purge;
    } else if (kind == 7) {
      command.kind = scenarios::CommandKind::update;
    } else {
      command.kind = scenarios::CommandKind::get;
    }
    commands.push_back(command);
  }
  return commands;
}

/// What one worker found in its share of the crash points.
nlohmann::json explore_share(const scenarios::TargetConfig& config,
                             const faultfs::DeviceProfile& profile,
                             const ExplorerOptions& options,
                             std::uint32_t sync_every,
                             double seconds) {
  const auto began = Clock::now();
  auto stage = Stage::create(config, profile, {});
  if (!stage) {
    return {{"error", stage.error().message}};
  }
  auto experiment = Experiment::record(**stage, config, profile, 1, long_history(1, sync_every));
  if (!experiment) {
    return {{"error", experiment.error().message}};
  }
  (*experiment)->configure({PruneOptions{}, 0});
  auto explorer = make_explorer((*experiment)->model(), options);
  std::uint64_t judged = 0;
  std::uint64_t executed = 0;
  std::uint64_t violated = 0;
  bool finished = false;
  while (seconds_since(began) < seconds) {
    const auto plan = (*explorer)->next();
    if (!plan) {
      finished = true;
      break;
    }
    auto state = (*experiment)->run(*plan, (*explorer)->undecided());
    if (!state) {
      return {{"error", state.error().message}};
    }
    (*explorer)->observed(*state->reads);
    ++judged;
    executed += state->executed ? 1 : 0;
    violated += state->judgement.verdict == properties::Verdict::violated ? 1 : 0;
  }
  return {{"judged", judged},
          {"executed", executed},
          {"violated", violated},
          {"covered", (*explorer)->covered()},
          {"points", (*explorer)->points()},
          {"finished", finished ? (*explorer)->points() : (*explorer)->points_finished()}};
}

/// `share` in a child of its own.
class Share {
 public:
  explicit Share(const std::function<nlohmann::json()>& share) {
    std::array<int, 2> ends{};
    if (pipe(ends.data()) != 0) {
      return;
    }
    child_ = fork();
    if (child_ == 0) {
      close(ends[0]);
      const std::string text = share().dump();
      const bool told =
          write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size());
      _exit(told ? 0 : 1);
    }
    close(ends[1]);
    end_ = ends[0];
  }
  /// Waits for what it found.
  nlohmann::json wait() {
    std::string text;
    std::array<char, 4096> part{};
    for (ssize_t size = 1; end_ >= 0 && size > 0;) {
      size = read(end_, part.data(), part.size());
      text.append(part.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
    }
    close(end_);
    waitpid(child_, nullptr, 0);
    auto found = nlohmann::json::parse(text, nullptr, false);
    return found.is_discarded() ? nlohmann::json{{"error", "a worker died"}} : found;
  }

 private:
  pid_t child_ = -1;
  int end_ = -1;
};

Row long_row(const std::string& profile_name, std::uint32_t sync_every, double seconds, int jobs) {
  scenarios::TargetConfig config;
  config.target = "engine";
  config.store = "rock";
  config.preset = "hardened";
  config.disk_bytes = 64 * mebibyte;
  config.slot_bytes = scenarios::default_slot_bytes("engine");
  const auto profile = *faultfs::find_profile(profile_name);
  const auto began = Clock::now();
  std::vector<Share> shares;
  for (int job = 0; job < jobs; ++job) {
    shares.emplace_back([&, job] {
      ExplorerOptions options;
      options.name = "lazy";
      options.shard = static_cast<std::uint32_t>(job);
      options.shards = static_cast<std::uint32_t>(jobs);
      return explore_share(config, profile, options, sync_every, seconds);
    });
  }
  Row row;
  row.what = fmt::format(
      "rock 64 MiB, {} commands, every {}th a sync, {}", long_commands, sync_every, profile_name);
  for (Share& share : shares) {
    const auto found = share.wait();
    if (found.contains("error")) {
      row.what += ": " + found.at("error").get<std::string>();
      continue;
    }
    row.judged += found.at("judged").get<std::uint64_t>();
    row.executed += found.at("executed").get<std::uint64_t>();
    row.violated += found.at("violated").get<std::uint64_t>();
    row.covered += found.at("covered").get<double>();
    row.points += found.at("points").get<std::uint64_t>();
    row.finished += found.at("finished").get<std::uint64_t>();
  }
  row.seconds = seconds_since(began);
  return row;
}

struct FirstSeen {
  std::uint64_t states = 0;
  bool found = false;
  std::string trouble;
};

FirstSeen first_seen(const std::string& explorer, std::uint64_t seed) {
  CampaignOptions options;
  options.config.target = "squid";
  options.config.disk_bytes = scenarios::default_disk_bytes("squid");
  options.config.slot_bytes = scenarios::default_slot_bytes("squid");
  options.device = DeviceKind::fuse;
  options.explorer = explorer;
  options.states_per_history = first_states_per_history;
  options.seed = seed;
  options.seconds_max = 120;
  options.jobs = 1;
  options.stop_at_first = true;
  options.shrink = false;
  options.out = std::filesystem::temp_directory_path() / fmt::format("powercut-{}-first", getpid());
  const auto summary = run_campaign(options, {});
  std::error_code ignored;
  std::filesystem::remove_all(options.out, ignored);
  if (!summary) {
    return {0, false, summary.error().message};
  }
  const bool found = summary->first_violated > 0;
  return {found ? summary->first_violated : summary->states, found, ""};
}

}  // namespace

int bench_explore(std::uint32_t seconds, std::uint32_t seconds_long, int jobs, std::ostream& out) {
  print_head(out);
  for (const char* store : {"rock", "cyclone"}) {
    print_row(generated(store, seconds, jobs), out);
  }
  bool all = true;
  for (const auto& [profile, sync_every] :
       {std::pair("ssd_4k_volatile", 5U), {"ssd_16k_atomic", 10U}, {"ssd_4k_volatile", 10U}}) {
    const Row row = long_row(profile, sync_every, seconds_long, jobs);
    print_row(row, out);
    all = all && row.finished == row.points;
  }
  return all ? 0 : 3;
}

int bench_first(std::ostream& out) {
  scenarios::TargetConfig squid;
  squid.target = "squid";
  auto status = scenarios::available(squid, false);
  if (status) {
    status = faultfs::mount::can_mount();
  }
  if (!status) {
    out << fmt::format("first: undecided, because {}\n", status.error().message);
    return 3;
  }
  out << "executions of Squid up to the first wrong bytes (24 crash states of each history)\n";
  out << fmt::format("{:<8}", "seed");
  constexpr std::array<const char*, 2> explorers = {"random", "lazy"};
  for (const char* explorer : explorers) {
    out << fmt::format(" {:>10}", explorer);
  }
  out << "\n";
  std::array<std::vector<std::uint64_t>, explorers.size()> counts;
  bool all = true;
  for (std::uint64_t seed = 1; seed <= first_seeds; ++seed) {
    out << fmt::format("{:<8}", seed);
    for (std::size_t at = 0; at < explorers.size(); ++at) {
      const FirstSeen seen = first_seen(explorers.at(at), seed);
      if (!seen.trouble.empty()) {
        out << fmt::format("\nundecided, because {}\n", seen.trouble);
        return 3;
      }
      all = all && seen.found;
      counts.at(at).push_back(seen.states);
      out << fmt::format(" {:>10}", (seen.found ? "" : ">") + std::to_string(seen.states));
      out.flush();
    }
    out << "\n";
  }
  out << fmt::format("{:<8}", "median");
  for (auto& each : counts) {
    std::ranges::sort(each);
    out << fmt::format(" {:>10.1f}",
                       static_cast<double>(each[first_seeds / 2 - 1] + each[first_seeds / 2]) / 2);
  }
  out << "\n";
  return all ? 0 : 3;
}

}  // namespace runner
