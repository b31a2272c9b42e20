#include "runner/command_line.h"

#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iostream>
#include <random>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "faultfs/base/bytes.h"
#include "runner/bench.h"
#include "runner/campaign.h"
#include "runner/commit.h"
#include "runner/decode_command.h"
#include "runner/device_commands.h"
#include "runner/doctor.h"
#include "runner/fault_options.h"
#include "runner/help_text.h"
#include "runner/paths.h"
#include "runner/replay.h"
#include "runner/shrink_command.h"
#include "runner/target_list.h"
#include "runner/words.h"
#include "scenarios/generate.h"

namespace runner {
namespace {

/// The words of `run` as typed, before they are checked.
struct RunWords {
  CampaignOptions options;
  std::string device = "auto";
  std::string engine_process = "fresh";
  std::string slot, disk, seed, time, color = "auto";
  std::string json, junit;
  std::vector<std::string> faults;
  std::vector<std::string> no_prune;
  bool no_overwrites = false, report_gates = false;
};

void add_target_options(CLI::App& app, RunWords& words) {
  auto& config = words.options.config;
  app.add_option("--target", config.target, "engine, squid, trafficserver, nginx, command")
      ->capture_default_str();
  app.add_option("--store", config.store, "rock, cyclone, memory")->capture_default_str();
  app.add_option("--preset", config.preset, "hardened; squid, trafficserver; others: see targets")
      ->capture_default_str();
  app.add_option("--without-gate", config.without_gates, "one gate of the engine off (repeatable)");
  app.add_option(
      "--allocator", config.allocator, "lowest_first, lifo, random (default: each in turn)");
  app.add_option("--policy", config.policy, "whole_entry, newest_complete (default: each in turn)");
  app.add_option("--stripes", config.stripes, "cyclone: of each volume (1)");
  app.add_option("--volumes", config.volumes, "cyclone, disks: keys by their first digit (1)");
  app.add_option("--disks", config.disks, "engine: volumes over so many disks of --disk (1)");
  app.add_option("--ram-cache", config.ram_cache, "engine: before it, as 32K or 32K,s3fifo (none)");
  app.add_option(
      "--pinned", config.pinned, "cyclone: so many keys outlive the laps of the log (0)");
  app.add_option(
      "--hot", config.hot_percent, "cyclone: so does what is read so many percent of a lap ahead");
  app.add_option("--alternates", config.alternates, "cyclone: keys of one object, 1 to 5 (1)");
  app.add_flag("--shm", config.shared_memory, "cyclone: the directory is kept in shared memory");
  app.add_option("--slot", words.slot, "slot size, e.g. 16K (default: 4K and 16K in turn)");
  app.add_option("--disk", words.disk, "size of the storage (of each disk), e.g. 1M");
  app.add_option("--program", config.program, "the cache's program, or that of target command");
  app.add_option("--profile", words.options.profile, "device profile (default: each in turn)");
  app.add_option(
      "--device", words.device, "memory, fuse (default: memory for the engine, fuse for others)");
  app.add_option("--fault",
                 words.faults,
                 "what the device does wrong, such as \"rot-on-read chance=1/50\" (repeatable)")
      ->allow_extra_args(false);
  app.add_option("--engine-process",
                 words.engine_process,
                 "engine on fuse: fresh (a process for each start), state (one for each crash "
                 "state), persistent (one for many)")
      ->capture_default_str();
}

void add_search_options(CLI::App& app, RunWords& words) {
  auto& options = words.options;
  app.add_option("--scenario", options.scenario, "generated, all, store_kills, or the name of one")
      ->capture_default_str();
  app.add_flag("--no-overwrites", words.no_overwrites, "every put has its own key: the control");
  app.add_flag("--handoffs", options.handoffs, "cyclone: a second instance goes on with open puts");
  app.add_flag("--purge-all", options.purges_of_all, "histories purge everything now and then");
  app.add_option(
         "--explorer", options.explorer, fmt::format("{}", fmt::join(explorer_names(), ", ")))
      ->capture_default_str();
  app.add_option("--deviations", options.deviations_max, "explorer bounded: at most this many")
      ->capture_default_str();
  app.add_option("--depth",
                 options.depth,
                 "cuts inside the recovery, and inside that one's recovery: so many deep")
      ->check(CLI::Range(0U, static_cast<unsigned>(faultfs::cuts_again_max)))
      ->capture_default_str();
  app.add_option("--no-prune",
                 words.no_prune,
                 fmt::format("run also crash states whose outcome is known; {} (repeatable)",
                             fmt::join(prune_names(), ", ")));
  app.add_option("--seed", words.seed, "0x… or decimal (default: drawn, and printed)");
  app.add_option("--states", options.states_max, "end after this many crash states")
      ->check(whole_number(1));
  app.add_option(
         "--states-per-history", options.states_per_history, "crash states of one recorded history")
      ->check(whole_number(1));
  app.add_option(
      "--time", words.time, "end after this long: 60s, 10m (default 60s without --states)");
  app.add_option("--jobs",
                 options.jobs,
                 "worker processes (default: one per CPU; three for other programs)")
      ->check(CLI::Range(1, 256));
  app.add_flag("--stop-at-first", options.stop_at_first, "end when the first case is kept");
  app.add_option("--out", options.out, "where cases are kept")->capture_default_str();
  app.add_option("--json", words.json, "write the run as JSON lines");
  app.add_option("--junit", words.junit, "write JUnit XML");
  app.add_flag("--report-gates", words.report_gates, "print how often each gate refused something");
  add_color_option(app, words.color);
}

faultfs::Result<std::uint64_t> parse_seed(const std::string& text) {
  if (text.empty()) {
    // The only draw that is not from the seed: the seed itself. It is printed.
    std::random_device device;
    return (std::uint64_t{device()} << 32U) | device();
  }
  return faultfs::parse_number(text);
}

faultfs::Status read_sizes(RunWords& words) {
  auto& options = words.options;
  if (!words.slot.empty()) {
    auto slot = faultfs::parse_size(words.slot);
    if (!slot || *slot > UINT32_MAX) {
      return faultfs::fail(slot ? fmt::format("--slot {} is too large", words.slot)
                                : slot.error().message);
    }
    options.config.slot_bytes = static_cast<std::uint32_t>(*slot);
    options.vary_slot = false;
  } else {
    options.config.slot_bytes = scenarios::default_slot_bytes(options.config.target);
  }
  if (!words.disk.empty()) {
    auto disk = faultfs::parse_size(words.disk);
    if (!disk) {
      return faultfs::fail(disk.error().message);
    }
    options.config.disk_bytes = *disk;
  } else {
    options.config.disk_bytes = scenarios::default_disk_bytes(options.config.target);
  }
  return {};
}

faultfs::Status check_words(const CampaignOptions& options) {
  if (auto status = scenarios::check(options.config); !status) {
    return status;
  }
  if (!options.profile.empty()) {
    auto profile = faultfs::find_profile(options.profile);
    if (!profile) {
      return faultfs::fail(profile.error().message);
    }
    if (options.config.disk_bytes % profile->sector_bytes != 0) {
      return faultfs::fail(
          fmt::format("the disk of {} bytes is no multiple of the sector of {} ({} bytes)",
                      options.config.disk_bytes,
                      profile->name,
                      profile->sector_bytes));
    }
  }
  const auto& names = explorer_names();
  if (std::ranges::find(names, options.explorer) == names.end()) {
    return faultfs::fail(fmt::format(
        "\"{}\" is no explorer; allowed: {}", options.explorer, fmt::join(names, ", ")));
  }
  return {};
}

/// What will be written later is tried now: a run is not to end with nowhere to put its findings.
faultfs::Status check_paths(const RunWords& words) {
  const auto& options = words.options;
  if (!options.config.program.empty() && options.device == DeviceKind::memory) {
    return faultfs::fail(
        "--program is for --device fuse: on the memory device the engine is part of powercut");
  }
  if (auto status = can_fill(options.out); !status) {
    return faultfs::fail("--out " + status.error().message);
  }
  for (const auto& [option, file] : {std::pair("--json", words.json), {"--junit", words.junit}}) {
    const auto status = file.empty() ? faultfs::Status{} : can_write(file);
    if (!status) {
      return faultfs::fail(fmt::format("{} {}", option, status.error().message));
    }
  }
  return {};
}

/// Turns the words into options, or says what is wrong with them.
faultfs::Status read_words(RunWords& words) {
  auto& options = words.options;
  auto seed = parse_seed(words.seed);
  if (!seed) {
    return faultfs::fail("--seed: " + seed.error().message);
  }
  options.seed = *seed;
  if (words.seed.empty()) {
    options.command_line += fmt::format(" --seed 0x{:x}", options.seed);
  }
  for (const std::string& name : words.no_prune) {
    if (auto status = switch_off(name, options.prune); !status) {
      return faultfs::fail("--no-prune: " + status.error().message);
    }
  }
  if (auto status = read_sizes(words); !status) {
    return status;
  }
  if (options.depth > 0 && options.config.target != "engine") {
    return faultfs::fail(fmt::format(
        "--depth is for --target engine: {} does not write the same again when it recovers",
        options.config.target));
  }
  if (options.depth > 0 && (!words.faults.empty() || options.config.shared_memory)) {
    return faultfs::fail("--depth is for campaigns without --fault and without --shm");
  }
  auto device = device_of(words.device, options.config.target);
  if (!device) {
    return faultfs::fail(device.error().message);
  }
  options.device = *device;
  if (auto known = check_scenario(options); !known) {
    return known;
  }
  const bool state = words.engine_process == "state";
  if (words.engine_process != "fresh" && words.engine_process != "persistent" && !state) {
    return faultfs::fail(fmt::format(
        "--engine-process {} is unknown; allowed: fresh, state, persistent", words.engine_process));
  }
  options.persistent_engine = words.engine_process != "fresh";
  options.renew_engine = state;
  if (words.time.empty() && options.states_max == 0) {
    words.time = "60s";
  }
  if (!words.time.empty()) {
    auto seconds = parse_seconds(words.time);
    if (!seconds) {
      return faultfs::fail(seconds.error().message);
    }
    options.seconds_max = *seconds;
  }
  options.overwrites = !words.no_overwrites;
  if (options.jobs <= 0) {
    options.jobs = default_jobs(options);
  }
  if (auto status = check_paths(words); !status) {
    return status;
  }
  if (auto status = check_words(options); !status) {
    return status;
  }
  return read_faults(words.faults, options);
}

int run(RunWords& words, const ReportingSeam& reporting) {
  if (auto status = read_words(words); !status) {
    return complain(status.error().message, usage);
  }
  auto& options = words.options;
  if (!options.config.program.empty()) {
    if (auto status = can_execute(options.config.program); !status) {
      return complain("undecided, because the program " + status.error().message, undecided);
    }
  }
  if (auto status = scenarios::available(options.config, options.device == DeviceKind::memory);
      !status) {
    return complain("undecided, because " + status.error().message, undecided);
  }
  if (options.device == DeviceKind::fuse) {
    if (auto status = faultfs::mount::can_mount(); !status) {
      if (options.config.target != "engine") {
        return complain("undecided, because " + status.error().message, undecided);
      }
      return complain(
          fmt::format("undecided, because {}; --device memory runs the same engine without it",
                      status.error().message),
          undecided);
    }
  }
  options.commit = commit_text();
  options.render = reporting.render;
  const ReportChoice choice{wants_color(words.color), on_terminal(), words.json, words.junit};
  auto observers = reporting.observers(std::cout, choice);
  std::vector<Observer*> told;
  told.reserve(observers.size());
  for (const auto& observer : observers) {
    told.push_back(observer.get());
  }
  std::cout.flush();
  auto summary = run_campaign(options, told);
  if (!summary) {
    return complain("undecided, because " + summary.error().message, undecided);
  }
  if (words.report_gates) {
    std::cout << gate_table(options.config, *summary);
  }
  return summary->exit_code;
}

std::string joined(int argc, const char* const* argv) {
  std::string text = "powercut";
  for (int at = 1; at < argc; ++at) {
    text += " ";
    text += quoted(argv[at]);
  }
  return text;
}

void add_case_options(CLI::App& app,
                      ReplayOptions& options,
                      std::string& device,
                      std::string& color) {
  app.add_option("case", options.file, "plan.txt, or the case directory that holds it")->required();
  app.add_option("--device", device, "memory, fuse");
  app.add_option("--program", options.program, "run this program instead of the plan's");
  add_color_option(app, color);
}

void add_replay_options(CLI::App& app,
                        ReplayOptions& options,
                        std::string& device,
                        std::string& color) {
  add_case_options(app, options, device, color);
  app.add_option("--times", options.times, "how often")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
}

/// What `replay`, `show` and `shrink` have in common.
faultfs::Status read_case_words(ReplayOptions& options,
                                const std::string& device,
                                const std::string& color,
                                const ReportingSeam& reporting) {
  if (!device.empty()) {
    auto kind = device_of(device, "engine");
    if (!kind) {
      return faultfs::fail(kind.error().message);
    }
    options.device = *kind;
  }
  options.commit = commit_text();
  options.render = reporting.render;
  options.color = wants_color(color);
  return {};
}

int run_shrink(ShrinkCommandOptions& options,
               const std::string& time,
               const std::string& device,
               const std::string& color,
               const ReportingSeam& reporting) {
  if (auto status = read_case_words(options.replay, device, color, reporting); !status) {
    return complain(status.error().message, usage);
  }
  if (!time.empty()) {
    auto seconds = parse_seconds(time);
    if (!seconds) {
      return complain(seconds.error().message, usage);
    }
    options.seconds_max = *seconds;
  }
  return shrink_command(options, std::cout, std::cerr);
}

int run_replay(ReplayOptions& options,
               const std::string& device,
               const std::string& color,
               const ReportingSeam& reporting,
               bool only_show) {
  if (auto status = read_case_words(options, device, color, reporting); !status) {
    return complain(status.error().message, usage);
  }
  return only_show ? show(options, std::cout, std::cerr) : replay(options, std::cout, std::cerr);
}

/// The first word must be a command; saying so beats what the parser says.
faultfs::Status check_command(const CLI::App& app, int argc, const char* const* argv) {
  if (argc < 2 || argv[1][0] == '-') {
    return {};
  }
  std::vector<std::string> names;
  for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (command->get_name() == argv[1]) {
      return {};
    }
    names.push_back(command->get_name());
  }
  return faultfs::fail(
      fmt::format("\"{}\" is no command; allowed: {}", argv[1], fmt::join(names, ", ")));
}

}  // namespace

int run_command_line(int argc, const char* const* argv, const ReportingSeam& reporting) {
  CLI::App app(
      "After this power cut, kill or device fault, can my cache serve something it should not?",
      "powercut");
  app.require_subcommand(1);
  app.footer(examples);
  app.set_version_flag("--version", "powercut " + commit_text());

  RunWords words;
  words.options.command_line = joined(argc, argv);
  auto* run_app =
      app.add_subcommand("run", "run a campaign: generate, cut, restart, judge, shrink, keep");
  add_target_options(*run_app, words);
  add_search_options(*run_app, words);

  ReplayOptions replay_options;
  std::string device, color = "auto";
  auto* replay_app = app.add_subcommand("replay", "see a kept failure again");
  add_replay_options(*replay_app, replay_options, device, color);
  auto* show_app = app.add_subcommand("show", "print a kept case: its trace and its plan");
  add_replay_options(*show_app, replay_options, device, color);

  ShrinkCommandOptions shrink_options;
  std::string shrink_time;
  auto* shrink_app = app.add_subcommand("shrink", "make a kept case smaller");
  add_case_options(*shrink_app, shrink_options.replay, device, color);
  shrink_app->add_option("--states", shrink_options.states_max, "crash states to spend at most")
      ->check(whole_number(1))
      ->capture_default_str();
  shrink_app->add_option("--time", shrink_time, "end after this long: 60s, 10m");

  auto* targets_app = app.add_subcommand(
      "targets", "the caches that can be put under test, and whether they can here");
  bool clean = false;
  auto* doctor_app =
      app.add_subcommand("doctor", "what this machine lacks, and what killed runs left on it");
  doctor_app->add_flag("--clean", clean, "remove the leftovers");
  BenchOptions bench_options;
  auto* bench_app = app.add_subcommand("bench", "crash states per second, and what they cost");
  bench_app
      ->add_option("part",
                   bench_options.parts,
                   fmt::format("{} (default: all but explore, first, device)",
                               fmt::join(bench_parts(), ", ")))
      ->check(CLI::IsMember(bench_parts()));
  bench_app->add_option("--seconds", bench_options.seconds, "for each part")->capture_default_str();
  bench_app
      ->add_option(
          "--seconds-long", bench_options.seconds_long, "explore: for a history of 200 commands")
      ->capture_default_str();
  bench_app->add_option(
      "--lazyfs", bench_options.lazyfs, "part device: LazyFS's program, to be measured beside");
  bench_app->add_option("--jobs", bench_options.jobs, "worker processes (default: one per CPU)");
  DecodeOptions decode_options;
  auto* decode_app = add_decode_command(app, decode_options);
  auto device_verbs = add_device_commands(app);
  for (const auto& [name, text] : examples_of) {
    app.get_subcommand(name)->footer(text);
  }
  check_numbers(app);
  if (auto status = check_command(app, argc, argv); !status) {
    return complain(status.error().message, usage);
  }

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? 0 : usage;
  }
  if (run_app->parsed()) {
    return run(words, reporting);
  }
  if (replay_app->parsed() || show_app->parsed()) {
    return run_replay(replay_options, device, color, reporting, show_app->parsed());
  }
  if (shrink_app->parsed()) {
    return run_shrink(shrink_options, shrink_time, device, color, reporting);
  }
  if (targets_app->parsed()) {
    return print_targets(std::cout);
  }
  if (doctor_app->parsed()) {
    return doctor(clean, std::cout);
  }
  if (bench_app->parsed()) {
    return bench(bench_options, std::cout);
  }
  if (decode_app->parsed()) {
    return decode(decode_options, std::cout, std::cerr);
  }
  return device_verbs(std::cout, std::cerr);
}

}  // namespace runner
