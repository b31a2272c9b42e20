// `powercut mount` shows disks of the fault device in a directory until it is told to stop, by
// SIGINT, SIGTERM or `umount`; `powercut ctl` speaks to it over its control socket.

#include "runner/device_commands.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "faultfs/base/bytes.h"
#include "faultfs/control/client.h"
#include "faultfs/control/server.h"
#include "faultfs/control/tree_commands.h"
#include "faultfs/faults/expression.h"
#include "faultfs/mount/mount.h"
#include "faultfs/mount/own_mount.h"
#include "faultfs/mount/tree_mount.h"
#include "faultfs/tree/tree_faults.h"
#include "faultfs/tree/tree_files.h"
#include "runner/explore_log.h"
#include "runner/loop_devices.h"
#include "runner/paths.h"
#include "runner/sandbox.h"
#include "runner/tree_commands.h"
#include "runner/tree_explorer.h"
#include "runner/words.h"

namespace runner {
namespace {

namespace fs = std::filesystem;
enum ExitCode : int { done = 0, usage = 2, undecided = 3 };

const std::string of_trees = "--import, --names, --profile, --fault, --record, --socket";

struct MountWords {
  CLI::App* app = nullptr;
  std::string directory, profile = "ssd_4k_volatile", socket, import, names = "ordered";
  bool tree = false;
  std::string log_memory, record, exported;
  std::vector<std::string> disks, faults;
};

struct ControlWords {
  CLI::App* app = nullptr;
  std::string socket;
  std::vector<std::string> words;
};

struct ExploreWords {
  CLI::App* app = nullptr;
  ExploreLogOptions options;
};

void add_explore_options(ExploreWords& words) {
  auto& options = words.options;
  words.app
      ->add_option(
          "recording",
          options.recording,
          "a directory that `powercut mount --record`, `ctl log record` or, of a tree, `ctl "
          "log save` wrote")
      ->required();
  words.app
      ->add_option("--check",
                   options.check,
                   "a shell command; {} is the disk of a crash state, or the directory of its "
                   "disks, or the tree. Exit code 0: fine, 125: cannot say, else: a violation")
      ->required();
  words.app
      ->add_option(
          "--explorer", options.explorer, "kills, prefix, bounded, exhaustive, random, mixed")
      ->capture_default_str();
  words.app
      ->add_option("--deviations", options.deviations_max, "explorer bounded: at most this many")
      ->capture_default_str();
  words.app->add_option("--seed", options.seed, "of random and mixed")->capture_default_str();
  words.app->add_option("--states", options.states_max, "crash states at most")
      ->check(CLI::Range(1, 1'000'000'000))
      ->capture_default_str();
  words.app->add_option("--check-seconds", options.check_seconds, "a check may take this long")
      ->check(whole_number(1))
      ->capture_default_str();
  words.app->add_option("--out", options.out, "where violations are kept")->capture_default_str();
  words.app->add_option("--plan", options.plan, "only this crash state: a plan.txt that was kept");
  words.app->footer(R"(
Examples
  powercut mount /mnt --disk disk0:64M --record rec    run a program on /mnt/disk0, then umount
  powercut explore rec --check 'e2fsck -fn {}'         is each crash state a clean file system?
  powercut explore rec --explorer exhaustive --check './verify {}' --states 10000)");
}

faultfs::Result<faultfs::DiskSpec> parse_disk(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) {
    return faultfs::fail(fmt::format("--disk {} wants NAME:SIZE, such as disk0:64M", text));
  }
  auto size = faultfs::parse_size(text.substr(colon + 1));
  if (!size) {
    return faultfs::fail(fmt::format("--disk {}: {}", text, size.error().message));
  }
  return faultfs::DiskSpec{text.substr(0, colon), *size};
}

/// Puts the faults there in the order given.
faultfs::Status add_faults(faultfs::Device& device, const std::vector<std::string>& texts) {
  for (const auto& text : texts) {
    auto expression = faultfs::faults::parse_expression(text);
    if (!expression) {
      return faultfs::fail(fmt::format("--fault \"{}\": {}", text, expression.error().message));
    }
    auto number = device.add_fault(*expression);
    if (!number) {
      return faultfs::fail(number.error().message);
    }
  }
  return {};
}

faultfs::Status add_tree_faults(faultfs::tree::Tree& tree, const std::vector<std::string>& texts) {
  for (const auto& text : texts) {
    auto expression = faultfs::tree::TreeFaults::parse(text);
    auto number = expression ? tree.add_fault(*expression)
                             : faultfs::Result<std::uint32_t>(tl::unexpected(expression.error()));
    if (!number) {
      return faultfs::fail(fmt::format("--fault \"{}\": {}", text, number.error().message));
    }
  }
  return {};
}

/// Waits for a signal to stop, or for the mount to go: its file system is another one then.
void wait_for_end(const fs::path& directory, const sigset_t& signals) {
  const timespec half_second{0, 500'000'000};
  const std::uint64_t mounted = faultfs::mount::file_system_at(directory);
  while (sigtimedwait(&signals, nullptr, &half_second) < 0) {
    if (mounted == 0 || faultfs::mount::file_system_at(directory) != mounted) {
      return;
    }
  }
}

/// Blocked before any thread starts, so that all of them leave the signals to `wait_for_end`.
sigset_t block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    sigaddset(&signals, signal);
  }
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

/// The control socket: the one asked for, or a private one.
faultfs::Result<fs::path> socket_for(const MountWords& words) {
  if (!words.socket.empty()) {
    return fs::path(words.socket);
  }
  auto registry = registry_directory();
  return registry ? *registry / (scratch_name("control") + ".sock") : registry;
}

int mount_directory_tree(const MountWords& words, std::ostream& out, std::ostream& error) {
  const auto complain = [&](const std::string& message, int code) {
    error << "powercut: " << message << "\n";
    return code;
  };
  if (!words.disks.empty()) {
    return complain("--tree has no disks; allowed: " + of_trees, usage);
  }
  if (!words.exported.empty() || !words.log_memory.empty()) {
    return complain("--export and --log-memory are for disks; allowed with --tree: " + of_trees,
                    usage);
  }
  auto profile = faultfs::tree::find_tree_profile(words.profile, words.names);
  if (!profile) {
    return complain(profile.error().message, usage);
  }
  const std::string record = words.record.empty() ? "" : fs::absolute(words.record).string();
  auto base =
      words.import.empty() ? faultfs::tree::TreeState() : faultfs::tree::import_tree(words.import);
  if (!base) {
    return complain(base.error().message, usage);
  }
  const std::size_t names = base->paths().size();
  const sigset_t signals = block_signals();
  faultfs::tree::Tree tree(*profile, std::move(*base));
  if (auto added = add_tree_faults(tree, words.faults); !added) {
    return complain(added.error().message, usage);
  }
  const fs::path directory = fs::absolute(words.directory);
  std::error_code not_there;
  if (!fs::is_directory(directory, not_there)) {
    return complain(fmt::format("{} is no directory to mount on", words.directory), usage);
  }
  auto mount = faultfs::mount::mount_tree(tree, {.directory = directory});
  if (!mount) {
    return complain("undecided, because " + mount.error().message, undecided);
  }
  const auto socket = socket_for(words);
  if (!socket) {
    return complain(socket.error().message, undecided);
  }
  faultfs::control::TreeCommands commands(tree);
  auto server = faultfs::control::Server::create(
      [&](std::string_view line) { return commands.answer(line); }, *socket);
  if (!server) {
    return complain(server.error().message, usage);
  }
  if (auto status = register_mount({-1, directory, *socket}); !status) {
    return complain(status.error().message, undecided);
  }
  out << fmt::format(
      "a tree of {} names at {} ({}, names {})\ncontrol  powercut ctl --socket {} status\n",
      names,
      directory.string(),
      words.profile,
      words.names,
      socket->string());
  out.flush();
  wait_for_end(directory, signals);
  forget_mount();
  const auto kept =
      record.empty() ? faultfs::Status() : faultfs::tree::save_recording(tree.recording(), record);
  return kept ? done : complain(kept.error().message, undecided);
}

/// The recording of a tree is explored as `powercut tree` does it; of disks, by `explore_log`.
int explore(const ExploreLogOptions& options, std::ostream& out, std::ostream& error) {
  std::error_code missing;
  if (!fs::exists(options.recording / "objects", missing)) {
    return explore_log(options, out, error);
  }
  if (options.explorer != ExploreLogOptions().explorer) {
    error << fmt::format("powercut: {} is the recording of a tree; allowed: --explorer mixed\n",
                         options.recording.string());
    return usage;
  }
  for (const auto& fit : {workers_see(options.recording), can_fill(options.out)}) {
    if (!fit) {
      error << "powercut: " << fit.error().message << "\n";
      return usage;
    }
  }
  TreeRun run;
  run.recording = fs::absolute(options.recording);
  run.plan = options.plan.empty() ? options.plan : fs::absolute(options.plan);
  run.out = fs::absolute(options.out);
  run.seed = options.seed;
  run.check_seconds = options.check_seconds;
  run.points_max = static_cast<std::uint32_t>(
      std::max<std::uint64_t>(2, options.states_max / run.states_per_point));
  run.check = options.check;
  for (std::size_t at = 0; (at = run.check.find("{}", at)) != std::string::npos;) {
    run.check.replace(at, 2, "\"$POWERCUT_TREE\"");
  }
  auto recording = faultfs::tree::load_recording(run.recording);
  if (!recording) {
    error << "powercut: " << recording.error().message << "\n";
    return usage;
  }
  run.profile = recording->profile;
  run.profile_words = recording->profile.data.name;
  return explore_tree(run, out, error);
}

/// At the end of a mount: what was recorded goes where the user wanted it.
faultfs::Status keep_log(const MountWords& words,
                         const std::vector<faultfs::DiskSpec>& disks,
                         const fs::path& socket) {
  std::vector<std::string> lines;
  if (!words.record.empty()) {
    lines.push_back("log record " + fs::absolute(words.record).string());
  }
  for (const auto& disk : disks) {
    if (!words.exported.empty()) {
      const fs::path file = fs::absolute(words.exported) / (disk.name + ".log-writes");
      std::error_code error;
      fs::create_directories(file.parent_path(), error);
      lines.push_back(fmt::format("log export {} {}", disk.name, file.string()));
    }
  }
  for (const auto& line : lines) {
    auto answer = faultfs::control::request(socket, line);
    if (!answer) {
      return faultfs::fail(answer.error().message);
    }
  }
  return {};
}

int mount_disks(const MountWords& words, std::ostream& out, std::ostream& error) {
  const auto complain = [&](const std::string& message, int code) {
    error << "powercut: " << message << "\n";
    return code;
  };
  if (words.tree || !words.import.empty()) {
    return mount_directory_tree(words, out, error);
  }
  if (words.disks.empty()) {
    return complain("what is to be mounted? allowed: --disk NAME:SIZE (repeatable), or --tree",
                    usage);
  }
  auto profile = faultfs::find_profile(words.profile);
  if (!profile) {
    return complain(profile.error().message, usage);
  }
  std::vector<faultfs::DiskSpec> disks;
  for (const auto& text : words.disks) {
    auto disk = parse_disk(text);
    if (!disk) {
      return complain(disk.error().message, usage);
    }
    disks.push_back(*disk);
  }
  auto device = faultfs::Device::create(*profile, disks);
  if (!device) {
    return complain(device.error().message, usage);
  }
  if (auto added = add_faults(**device, words.faults); !added) {
    return complain(added.error().message, usage);
  }
  auto log_memory = faultfs::parse_size(words.log_memory.empty() ? "0" : words.log_memory);
  if (!log_memory) {
    return complain("--log-memory: " + log_memory.error().message, usage);
  }
  (*device)->keep_log_in_memory(*log_memory);
  const sigset_t signals = block_signals();
  std::error_code not_there;
  const fs::path directory = fs::absolute(words.directory);
  if (!fs::is_directory(directory, not_there)) {
    return complain(fmt::format("{} is no directory to mount on", words.directory), usage);
  }
  auto mount = faultfs::mount::Mount::create(**device, {directory, true, -1});
  if (!mount) {
    return complain("undecided, because " + mount.error().message, undecided);
  }
  const auto socket = socket_for(words);
  if (!socket) {
    return complain(socket.error().message, undecided);
  }
  auto server = faultfs::control::Server::create(**device, *socket);
  if (!server) {
    return complain(server.error().message, usage);
  }
  if (auto status = register_mount({-1, directory, *socket}); !status) {
    return complain(status.error().message, undecided);
  }
  out << fmt::format("{} disk{} at {} ({})\ncontrol  powercut ctl --socket {} status\n",
                     disks.size(),
                     disks.size() == 1 ? "" : "s",
                     directory.string(),
                     profile->name,
                     socket->string());
  out.flush();
  wait_for_end(directory, signals);
  const auto kept = keep_log(words, (*device)->disks(), *socket);
  // Steps 1, 3 and 4 of loop_devices.cc; 5 comes with the end of `mount`.
  (*device)->cut_now();
  if (auto status = take_down(loop_devices_on(directory)); !status) {
    error << "powercut: " << status.error().message << "\n";
  }
  forget_mount();
  return kept ? done : complain(kept.error().message, undecided);
}

int control(const ControlWords& words, std::ostream& out, std::ostream& error) {
  fs::path socket = words.socket;
  if (socket.empty()) {
    const auto mounts = live_mounts();
    if (mounts.size() != 1) {
      error << fmt::format("powercut: {} mounts are served here; name one with --socket\n",
                           mounts.size());
      return usage;
    }
    socket = mounts.front().socket;
  }
  auto answer = faultfs::control::request(socket, faultfs::control::line_of(words.words));
  if (!answer) {
    error << "powercut: " << answer.error().message << "\n";
    return usage;
  }
  out << *answer << "\n";
  return done;
}

}  // namespace

std::function<int(std::ostream&, std::ostream&)> add_device_commands(CLI::App& app) {
  auto mount = std::make_shared<MountWords>();
  mount->app = app.add_subcommand(
      "mount", "the fault device alone: disks, or a tree, in a directory, for any program");
  mount->app->add_option("directory", mount->directory, "an empty directory")->required();
  mount->app->add_option("--disk", mount->disks, "NAME:SIZE, such as disk0:64M (repeatable)");
  mount->app->add_flag("--tree", mount->tree, "no disks, but a directory tree");
  mount->app->add_option("--import", mount->import, "the tree begins as a copy of this directory");
  mount->app->add_option("--names", mount->names, "what a tree promises: ordered, journal, loose")
      ->capture_default_str();
  mount->app->add_option("--profile", mount->profile, "device profile")->capture_default_str();
  mount->app
      ->add_option("--fault",
                   mount->faults,
                   "a fault, such as \"eio read nth=3\" (repeatable; ctl fault help lists them)")
      ->allow_extra_args(false);
  mount->app->add_option("--log-memory",
                         mount->log_memory,
                         "keep about this much of the log in memory, the rest compressed in a "
                         "temporary file, e.g. 64M (default: all in memory)");
  mount->app->add_option(
      "--record", mount->record, "at the end, write a recording for `powercut explore` here");
  mount->app->add_option("--export",
                         mount->exported,
                         "at the end, write DISK.log-writes (dm-log-writes) for each disk here");
  mount->app->add_option(
      "--socket", mount->socket, "control socket (default: a private one, printed)");
  auto ctl = std::make_shared<ControlWords>();
  ctl->app =
      app.add_subcommand("ctl",
                         "control a mount: cut now | cut at-request N | cut at-mark TEXT | disarm "
                         "| mark TEXT | snapshot DIR | "
                         "swap DISK FILE | power-on | reset | counters | log save FILE | log "
                         "record DIR | log export DISK FILE | status | "
                         "fault add EXPR | fault list | fault off N | fault on N | fault release N "
                         "| fault clear | fault help");
  ctl->app->add_option(
      "--socket", ctl->socket, "its control socket (default: the only mount there is)");
  ctl->app->add_option("words", ctl->words, "what to do")->required();
  auto tree = add_tree_command(app);
  auto explore = std::make_shared<ExploreWords>();
  explore->app = app.add_subcommand(
      "explore", "crash states of a recorded log, for any program with a checking command");
  add_explore_options(*explore);
  return [mount, ctl, tree, explore, &app](std::ostream& out, std::ostream& error) {
    if (explore->app->parsed()) {
      return runner::explore(explore->options, out, error);
    }
    if (app.got_subcommand("tree")) {
      return tree(out, error);
    }
    return mount->app->parsed() ? mount_disks(*mount, out, error) : control(*ctl, out, error);
  };
}

}  // namespace runner
