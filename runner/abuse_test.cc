// Campaigns are killed at random moments, as users and CI servers kill them: the harness itself, a
// worker (which serves the FUSE mount), the cache under test, or whichever process it hits. After
// `powercut doctor --clean` nothing may be left: no process, no mount, no shared-memory object, no
// temporary directory; and nothing may hang. When it was not the harness that was killed, the
// harness ends by itself and in order: a dead worker is trouble it must live with.
//
// To be quick, a campaign loses up to five of its processes before it is over or loses itself.
// POWERCUT_ABUSE_EACH=1 kills once in each campaign, POWERCUT_ABUSE_KILLS says how often in all,
// and POWERCUT_ABUSE_SEED chooses another sequence of victims and moments.

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "faultfs/base/bytes.h"
#include "faultfs/base/random.h"
#include "faultfs/mount/mount.h"
#include "runner/processes.h"
#include "runner/sandbox.h"
#include "scenarios/process/child.h"
#include "scenarios/targets/target.h"

namespace runner {
namespace {

namespace fs = std::filesystem;
using Names = std::set<std::string>;
using std::chrono::milliseconds;

constexpr const char* token_variable = "POWERCUT_ABUSE";
constexpr double seconds_to_end_max = 30;     ///< a harness whose worker was killed
constexpr double seconds_to_clean_max = 30;   ///< powercut doctor --clean
constexpr double seconds_to_vanish_max = 15;  ///< processes and mounts of a killed harness

constexpr std::uint64_t campaign_milliseconds = 900;  ///< kills fall into these

enum class Victim { harness, worker, cache, any };
constexpr const char* harness_name = "the harness";

const char* name_of(Victim victim) {
  return victim == Victim::worker ? "a worker" : victim == Victim::cache ? "a cache" : "a process";
}

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe): one thread
  return text == nullptr ? otherwise : faultfs::parse_number(text).value_or(otherwise);
}

std::string read_whole(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

/// Living processes of the campaign that carries `token`, wherever they were moved to.
Names processes_of(const std::string& token) {
  Names found;
  for (const Process& process : all_processes()) {
    const std::string environment = read_whole(fmt::format("/proc/{}/environ", process.pid));
    if (process.pid != getpid() && !process.zombie &&
        environment.find(fmt::format("{}={}", token_variable, token)) != std::string::npos) {
      found.insert(fmt::format("process {} ({})", process.pid, process.name));
    }
  }
  return found;
}

/// Whether a living process made "powercut-<pid>-<what>": another run on this machine. What the
/// killed ones made has none.
bool lives_owner_of(const std::string& name) {
  const std::size_t from = name.find('-');
  const std::size_t to = name.find('-', from + 1);
  return from != std::string::npos && to != std::string::npos &&
         fs::exists("/proc/" + name.substr(from + 1, to - from - 1) + "/stat");
}

/// Names below `directory` that begin with powercut's name, or a cache's it starts.
Names entries_of(const fs::path& directory) {
  Names found;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, ignored)) {
    const std::string name = entry.path().filename().string();
    if ((name.starts_with("powercut") && !lives_owner_of(name)) || name.starts_with("squid")) {
      found.insert(entry.path().string());
    }
  }
  return found;
}

Names fuse_mounts() {
  Names found;
  std::istringstream lines(read_whole("/proc/self/mountinfo"));
  for (std::string line; std::getline(lines, line);) {
    if (line.find(" - fuse") != std::string::npos) {
      found.insert("mount " + line);
    }
  }
  return found;
}

/// Everything a campaign could leave on the machine.
Names footprint(const std::string& token) {
  Names all = processes_of(token);
  for (const Names& names :
       {fuse_mounts(), entries_of("/dev/shm"), entries_of(fs::temp_directory_path())}) {
    all.insert(names.begin(), names.end());
  }
  return all;
}

/// What is in `now` and was not in `before`.
Names added(const Names& before, const Names& now) {
  Names more;
  std::set_difference(
      now.begin(), now.end(), before.begin(), before.end(), std::inserter(more, more.begin()));
  return more;
}

std::vector<Process> descendants_of(pid_t ancestor) {
  const std::vector<Process> all = all_processes();
  std::set<pid_t> family = {ancestor};
  std::vector<Process> found;
  for (bool grew = true; grew;) {
    grew = false;
    for (const Process& process : all) {
      if (family.contains(process.parent) && family.insert(process.pid).second) {
        found.push_back(process);
        grew = true;
      }
    }
  }
  return found;
}

bool is_kind(const Process& process, Victim victim) {
  const bool cache = process.name == "cache-engine" || process.name.starts_with("squid");
  return victim == Victim::any || cache == (victim == Victim::cache);
}

/// Whom to kill; the harness where there is no victim of the kind wanted yet.
pid_t choose(pid_t harness, Victim victim, faultfs::Random& random) {
  std::vector<pid_t> candidates;
  for (const Process& process : descendants_of(harness)) {
    if (victim != Victim::harness && !process.zombie && is_kind(process, victim)) {
      candidates.push_back(process.pid);
    }
  }
  return candidates.empty() ? harness : candidates[random.below(candidates.size())];
}

class Abuse : public testing::Test {
 protected:
  void SetUp() override {
    if (const faultfs::Status mountable = faultfs::mount::can_mount(); !mountable) {
      GTEST_SKIP() << mountable.error().message;
    }
    std::string name = (fs::temp_directory_path() / "abuse-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr) << name;
    out_ = name;
  }

  void TearDown() override {
    unsetenv(token_variable);  // NOLINT(concurrency-mt-unsafe): one thread
    if (!out_.empty()) {
      fs::remove_all(out_);
    }
  }

  /// Starts a campaign that would take about a second, kills up to `kills_max` of its processes,
  /// the last of them perhaps itself, cleans up, and looks for what is left. Returns how many it
  /// killed.
  std::uint64_t abuse(const std::string& target, std::uint64_t seed, std::uint64_t kills_max) {
    SCOPED_TRACE(
        fmt::format("a {} campaign; again with POWERCUT_ABUSE_SEED={} "
                    "POWERCUT_ABUSE_KILLS=1 POWERCUT_ABUSE_EACH={}",
                    target,
                    seed,
                    kills_max));
    const std::string token = fmt::format("{}-{}", getpid(), seed);
    setenv(token_variable, token.c_str(), 1);  // NOLINT(concurrency-mt-unsafe): one thread
    const Names before = footprint(token);
    fs::remove(out_ / "output");
    auto campaign = start_campaign(target, seed);
    EXPECT_TRUE(campaign) << campaign.error().message;
    if (!campaign) {
      return 0;
    }
    const std::vector<std::string> killed = kill_some(**campaign, seed, kills_max);
    SCOPED_TRACE(fmt::format("{}", fmt::join(killed, "; ")));
    expect_end(**campaign, !killed.empty() && killed.back().starts_with(harness_name));
    clean();
    expect_nothing_left(before, token);
    return killed.size();
  }

  /// Campaigns until enough processes were killed.
  void abuse_campaigns(const std::string& target, std::uint64_t seed, std::uint64_t kills) {
    seed = number_from("POWERCUT_ABUSE_SEED", seed);
    kills = number_from("POWERCUT_ABUSE_KILLS", kills);
    const std::uint64_t each = std::max<std::uint64_t>(1, number_from("POWERCUT_ABUSE_EACH", 5));
    std::uint64_t done = 0;
    for (std::uint64_t campaigns = 0; done < kills && campaigns < 2 * kills; ++campaigns) {
      done += abuse(target, seed + campaigns, each);
      if (HasFailure()) {
        return;
      }
    }
    EXPECT_GE(done, kills) << "the campaigns end before anything can be killed";
  }

  /// Kills at random moments; what it killed, in words. The harness only as the last.
  static std::vector<std::string> kill_some(scenarios::Child& campaign,
                                            std::uint64_t seed,
                                            std::uint64_t kills_max) {
    const pid_t harness = campaign.pid();
    faultfs::Random random(seed);
    std::vector<std::string> killed;
    milliseconds moment(0);
    while (killed.size() < kills_max) {
      const milliseconds pause(random.below(campaign_milliseconds / kills_max));
      moment += pause;
      // pause: the moment of the kill is what this test draws
      std::this_thread::sleep_for(pause);
      const bool last = killed.size() + 1 == kills_max;
      const auto victim = static_cast<Victim>(last ? random.below(4) : 1 + random.below(3));
      if (campaign.poll()) {
        break;  // it was quicker
      }
      const pid_t pid = choose(harness, victim, random);
      ::kill(pid, SIGKILL);
      killed.push_back(fmt::format("{} killed after {} ms",
                                   pid == harness ? harness_name : name_of(victim),
                                   moment.count()));
      if (pid == harness) {
        break;
      }
    }
    return killed;
  }

  [[nodiscard]] faultfs::Result<std::unique_ptr<scenarios::Child>> start_campaign(
      const std::string& target, std::uint64_t seed) const {
    return scenarios::Child::start({.program = POWERCUT_PROGRAM,
                                    .arguments = {"run",
                                                  "--device",
                                                  "fuse",
                                                  "--target",
                                                  target,
                                                  "--time",
                                                  "1s",
                                                  "--jobs",
                                                  "2",
                                                  "--seed",
                                                  std::to_string(seed),
                                                  "--out",
                                                  (out_ / "run").string()},
                                    .output = out_ / "output"});
  }

  /// A killed harness is gone at once; one whose worker or cache was killed ends in its own time
  /// with an ordinary exit code. The cache's death may be a violation in its eyes, so 1 is
  /// ordinary.
  void expect_end(scenarios::Child& campaign, bool harness_killed) const {
    const auto end = campaign.wait(seconds_to_end_max);
    ASSERT_TRUE(end) << "the harness hangs\n" << read_whole(out_ / "output");
    // It may have come to its end just before it was killed.
    EXPECT_THAT(end->signal, testing::AnyOf(0, harness_killed ? SIGKILL : 0))
        << read_whole(out_ / "output");
    if (end->signal == 0) {
      EXPECT_THAT(end->code, testing::AnyOf(0, 1, 3)) << read_whole(out_ / "output");
    }
  }

  void clean() const {
    auto doctor = scenarios::Child::start({.program = POWERCUT_PROGRAM,
                                           .arguments = {"doctor", "--clean"},
                                           .output = out_ / "doctor"});
    ASSERT_TRUE(doctor) << doctor.error().message;
    const auto end = (*doctor)->wait(seconds_to_clean_max);
    ASSERT_TRUE(end) << "powercut doctor --clean hangs\n" << read_whole(out_ / "doctor");
    EXPECT_THAT(end->code, testing::AnyOf(0, 3)) << read_whole(out_ / "doctor");
  }

  void expect_nothing_left(const Names& before, const std::string& token) const {
    const auto deadline =
        std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds_to_vanish_max);
    Names left = added(before, footprint(token));
    while (!left.empty() && std::chrono::steady_clock::now() < deadline) {
      // pause: the kernel takes a killed namespace apart in its own time; the loop is bounded
      std::this_thread::sleep_for(milliseconds(20));
      left = added(before, footprint(token));
    }
    EXPECT_TRUE(left.empty()) << fmt::format("left behind:\n{}\n", fmt::join(left, "\n"))
                              << read_whole(out_ / "doctor");
  }

  fs::path out_;
};

/// A mounted device alone, with a fault that makes requests wait, and clients that write to it.
class MountAbuse : public Abuse {
 protected:
  /// One mount: clients die at random moments, then the server does, in the middle of the rest.
  /// Returns how many were killed.
  std::uint64_t abuse_mount(std::uint64_t seed) {
    static constexpr const char* faults[] = {"hold write nth=3",
                                             "stall write nth=20",
                                             "latency write ms=5 times=always",
                                             "hold write every=7",
                                             "eio write chance=1/3",
                                             "lying-flush"};
    faultfs::Random random(seed);
    const std::string fault = faults[random.below(std::size(faults))];
    SCOPED_TRACE(fmt::format("a mount with {}, seed {}", fault, seed));
    const std::string token = fmt::format("{}-mount-{}", getpid(), seed);
    setenv(token_variable, token.c_str(), 1);  // NOLINT(concurrency-mt-unsafe): one thread
    fs::create_directory(out_ / "mnt");
    const Names before = footprint(token);
    auto server = start_mount(fault);
    if (!server) {
      return 0;
    }
    std::vector<std::unique_ptr<scenarios::Child>> clients;
    for (int client = 0; client < 3; ++client) {
      auto started =
          scenarios::Child::start({.program = "/bin/dd",
                                   .arguments = {"if=/dev/zero",
                                                 "of=" + (out_ / "mnt" / "d").string(),
                                                 "bs=4k",
                                                 "count=200",
                                                 "conv=notrunc",
                                                 client == 0 ? "oflag=dsync" : "oflag=direct"}});
      EXPECT_TRUE(started) << started.error().message;
      clients.push_back(std::move(*started));
    }
    std::uint64_t killed = 0;
    for (const std::size_t client : {random.below(3), random.below(3)}) {
      // pause: the moment of the kill is what this test draws
      std::this_thread::sleep_for(milliseconds(random.below(15)));
      if (!clients[client]->poll()) {
        clients[client]->send(SIGKILL);
        EXPECT_TRUE(clients[client]->wait(seconds_to_vanish_max)) << "a killed client stays";
        ++killed;
      }
    }
    // pause: as above
    std::this_thread::sleep_for(milliseconds(random.below(15)));
    (*server)->send(SIGKILL);
    EXPECT_TRUE((*server)->wait(seconds_to_vanish_max)) << "the killed server stays";
    ++killed;
    for (auto& client : clients) {
      EXPECT_TRUE(client->wait(seconds_to_vanish_max)) << "a client waits for the dead";
    }
    clean();
    expect_nothing_left(before, token);
    return killed;
  }

 private:
  faultfs::Result<std::unique_ptr<scenarios::Child>> start_mount(const std::string& fault) const {
    auto server = scenarios::Child::start(
        {.program = POWERCUT_PROGRAM,
         .arguments = {"mount", (out_ / "mnt").string(), "--disk", "d:1M", "--fault", fault},
         .output = out_ / "mount"});
    const auto deadline =
        std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds_to_end_max);
    while (server && !fs::exists(out_ / "mnt" / "d") &&
           std::chrono::steady_clock::now() < deadline) {
      // pause: until it is mounted; bounded
      std::this_thread::sleep_for(milliseconds(5));
    }
    EXPECT_TRUE(fs::exists(out_ / "mnt" / "d")) << read_whole(out_ / "mount");
    return server;
  }
};

TEST_F(MountAbuse, KilledClientsAndServersLeaveNothing) {
  const std::uint64_t seed = number_from("POWERCUT_ABUSE_SEED", 1);
  const std::uint64_t kills = number_from("POWERCUT_ABUSE_KILLS", 30);
  std::uint64_t done = 0;
  for (std::uint64_t mounts = 0; done < kills && mounts < kills; ++mounts) {
    done += abuse_mount(seed + mounts);
    if (HasFailure()) {
      return;
    }
  }
  EXPECT_GE(done, kills);
}

TEST_F(Abuse, KilledEngineCampaignsLeaveNothing) {
  abuse_campaigns("engine", 1, 40);
}

TEST_F(Abuse, KilledSquidCampaignsLeaveNothing) {
  scenarios::TargetConfig squid;
  squid.target = "squid";
  if (const faultfs::Status there = scenarios::available(squid, false); !there) {
    GTEST_SKIP() << there.error().message;
  }
  abuse_campaigns("squid", 1001, 10);
}

}  // namespace
}  // namespace runner
