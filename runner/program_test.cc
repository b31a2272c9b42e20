// The program as its users meet it: what it refuses, in which words and with which exit code; what
// it leaves behind (nothing); what it writes for machines; what it does without /dev/fuse.

#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <pugixml.hpp>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scenarios/process/child.h"

namespace runner {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;
using Words = std::vector<std::string>;

constexpr double seconds_max = 60;

constexpr const char* good_plan = R"(crash-plan 1
scenario  generated
target    engine
preset    squid
slot      4K
device    ssd_4k_volatile
seed      0x9f1fd9d03f0a9b4
do        put k0 4599
do        put k0 4599
kill      after w0010
expect    violated no_hodgepodge
)";

std::string read_whole(const fs::path& file) {
  std::ostringstream text;
  text << std::ifstream(file, std::ios::binary).rdbuf();
  return text.str();
}

std::string replaced(std::string text, const std::string& what, const std::string& with) {
  const std::size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), with);
}

struct Ended {
  int code = -1;
  std::string output;
};

class Program : public testing::Test {
 protected:
  Program() {
    std::string name = (fs::temp_directory_path() / "program-test-XXXXXX").string();
    home_ = mkdtemp(name.data());
    fs::create_directory(home_ / "here");
  }
  ~Program() override { fs::remove_all(home_); }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  Program(Program&&) = delete;
  Program& operator=(Program&&) = delete;

  [[nodiscard]] Ended run(const Words& words) const {
    const fs::path output = home_ / "output";
    fs::remove(output);
    auto child = scenarios::Child::start(
        {.program = POWERCUT_PROGRAM, .arguments = words, .output = output});
    EXPECT_TRUE(child) << (child ? "" : child.error().message);
    const auto end = child ? (*child)->wait(seconds_max) : std::nullopt;
    EXPECT_TRUE(end) << "it hangs: " << read_whole(output);
    return {end && end->signal == 0 ? end->code : -1, read_whole(output)};
  }

  /// What the tests' own directory holds beside the output.
  [[nodiscard]] std::set<std::string> left() const {
    std::set<std::string> names;
    for (const auto& entry : fs::recursive_directory_iterator(here())) {
      names.insert(entry.path().string());
    }
    return names;
  }

  [[nodiscard]] fs::path here() const { return home_ / "here"; }

  [[nodiscard]] std::string plan(const std::string& text) const {
    const fs::path file = here() / "plan.txt";
    std::ofstream(file, std::ios::trunc) << text;
    return file.string();
  }

  fs::path home_;
};

/// What it is fed, and the words its one sentence must hold.
struct Refusal {
  Words words;
  int code;
  std::string sentence;
};

class Refusals : public Program {
 protected:
  void expect(const Refusal& refusal) const {
    SCOPED_TRACE(fmt::format("powercut {}", fmt::join(refusal.words, " ")));
    const auto before = left();
    const Ended ended = run(refusal.words);
    EXPECT_EQ(ended.code, refusal.code) << ended.output;
    EXPECT_THAT(ended.output, HasSubstr(refusal.sentence));
    EXPECT_THAT(ended.output, Not(HasSubstr("terminate")));
    EXPECT_LE(std::count(ended.output.begin(), ended.output.end(), '\n'), 2) << ended.output;
    EXPECT_EQ(left(), before);
  }
};

TEST_F(Refusals, Plans) {
  const std::string good = good_plan;
  const auto expect_plan = [&](const std::string& text, int code, const std::string& sentence) {
    expect({{"replay", plan(text)}, code, sentence});
  };
  expect_plan(good.substr(0, good.size() / 2), 2, "the plan is cut short");
  expect_plan(good.substr(0, good.find("do ") + 3), 2, "holds no command; allowed: put");
  expect_plan("", 2, "it is empty; every plan begins with \"crash-plan 1\"");
  expect_plan("\x7f\x45\x4c\x46\x02\x01", 2, "line 1: \"?ELF??\" is not \"crash-plan 1\"");
  expect_plan(
      replaced(good, "w0010\n", "w0010\nw0009 vanished\n"), 2, "that is no fate of a write");
  expect_plan(replaced(good, "kill      after w0010\n", "cut after w0010\nw0003 lost\n"),
              2,
              "w0003 is a FLUSH; only writes and discards have fates");
  expect_plan(replaced(good, "w0010", "w9999"), 2, "lies behind the log, which ends with w0012");
  expect_plan(replaced(good, "engine", "toaster"), 2, "target 'toaster' is not known; allowed:");
  expect_plan(replaced(good, "preset    squid", "preset    clown"), 2, "'clown' is not a preset");
  expect_plan(
      replaced(good, "ssd_4k_volatile", "clown"), 2, "there is no device profile \"clown\"");
  expect_plan(replaced(good, "slot      4K", "disk      1000001"), 2, "allowed with slots of");
  expect_plan(replaced(good, "k0 4599", "k0 much"), 2, "\"much\" is not a size; allowed:");
  expect_plan(replaced(good,
                       "target    engine\npreset    squid\nslot      4K",
                       "target    squid\nprogram   /no/such"),
              3,
              "/no/such");
}

TEST_F(Refusals, FilesThatAreNoPlans) {
  const std::string missing = (here() / "missing.txt").string();
  expect({{"replay", missing}, 2, missing + " cannot be read: No such file or directory"});
  expect({{"replay", here().string()}, 2, "plan.txt cannot be read"});
  fs::create_directory(here() / "plan.txt");
  expect({{"show", here().string()}, 2, "plan.txt cannot be read: Is a directory"});
  expect({{"replay"}, 2, "case is required"});
}

TEST_F(Refusals, WordsOfACampaign) {
  const auto expect_run = [&](const Words& words, int code, const std::string& sentence) {
    Words all = {"run", "--states", "10", "--out", (here() / "run").string()};
    all.insert(all.end(), words.begin(), words.end());
    expect({all, code, sentence});
  };
  expect_run({"--target", "toaster"}, 2, "target 'toaster' is not known; allowed: engine");
  expect_run({"--store", "clown"}, 2, "store 'clown' is not known; allowed: rock");
  expect_run({"--preset", "clown"}, 2, "'clown' is not a preset of rock; allowed: hardened");
  expect_run({"--without-gate", "clown"}, 2, "'clown' is not a gate");
  expect_run({"--profile", "clown"}, 2, "there is no device profile \"clown\"; allowed: ssd_4k");
  expect_run({"--scenario", "clown"}, 2, "\"clown\" is no scenario; allowed: generated");
  expect_run({"--explorer", "clown"}, 2, "\"clown\" is no explorer; allowed: kills, prefix");
  expect_run({"--device", "clown"}, 2, "--device clown is unknown; allowed: memory, fuse");
  for (const std::string number : {"many", "-5", "0", "1.5"}) {
    expect_run({"--states", number},
               2,
               "--states: '" + number + "' is not allowed; allowed: a whole number from 1 on");
  }
  expect_run({"--deviations", "-1"}, 2, "'-1' is not allowed; allowed: a whole number from 0 on");
  expect_run({"--disk", "1000001"}, 2, "disk 1000001 is not allowed; allowed with slots of");
  expect_run({"--disk", "99999G"}, 2, "is too large; allowed: up to 256M");
  expect_run({"--slot", "5000"}, 2, "slot 5000 is not allowed; allowed: a power of two");
  expect_run({"--seed", "clown"}, 2, "--seed: \"clown\" is not a number; allowed:");
  expect_run({"--time", "5"}, 2, "--time 5 is no duration; allowed:");
  expect_run({"--jobs", "0"}, 2, "--jobs");
  expect_run({"--states-per-history", "-1"}, 2, "--states-per-history");
  expect_run({"--color", "clown"}, 2, "--color");
  expect_run(
      {"--fault", "clown"}, 2, "--fault \"clown\": there is no fault \"clown\"; allowed: eio");
  expect_run({"--fault", "eio nth=no"}, 2, "\"nth=no\" needs a number from 1 on");
  expect_run({"--fault", "eio disk=other"}, 2, "there is no disk \"other\"; allowed: disk");
  expect_run({"--fault", "stall"}, 2, "waits until somebody releases it");
  expect_run({"--nonsense"}, 2, "--nonsense");
  expect_run({"--program", "/no/such"}, 2, "--program is for --device fuse");
  expect_run({"--target", "squid", "--program", "/no/such"}, 3, "/no/such cannot be executed");
  expect_run({"--target", "squid", "--program", "/etc"}, 3, "/etc cannot be executed: Is a direct");
  expect_run({"--json", "/no/such/run.jsonl"}, 2, "--json /no/such/run.jsonl cannot be written");
  expect_run({"--junit", here().string()}, 2, "cannot be written: Is a directory");
}

TEST_F(Refusals, PlacesWhereNoCaseCouldBeKept) {
  const std::string file = plan(good_plan);
  expect({{"run", "--states", "10", "--out", file}, 2, "--out " + file + " cannot be filled"});
  expect(
      {{"run", "--states", "10", "--out", "/proc/nope"}, 2, "--out /proc/nope cannot be filled"});
  // Workers have a /dev/shm of their own: what they kept in ours went with them.
  const fs::path link = here() / "link";
  fs::create_directory_symlink("/dev/shm", link);
  for (const std::string& out : {std::string("/dev/shm/cases"), (link / "cases").string()}) {
    const std::string said = "--out " + out + " is not allowed: each worker has an empty /dev/shm";
    expect({{"run", "--states", "10", "--out", out}, 2, said});
    expect({{"tree", "--run", "true", "--check", "true", "--out", out}, 2, said});
  }
  expect({{"shrink", "/dev/shm/plan.txt"}, 2, "/dev/shm/plan.txt is not allowed: each worker"});
  expect({{"tree", "--import", "/dev/shm", "--run", "true", "--check", "true"},
          2,
          "/dev/shm is not allowed: each worker has an empty"});
}

TEST_F(Refusals, Commands) {
  expect({{"clown"}, 2, "\"clown\" is no command; allowed: run, replay, show"});
  expect({{}, 2, "subcommand is required"});
  expect({{"bench", "clown"}, 2, "clown"});
  expect({{"doctor", "clown"}, 2, "clown"});
}

TEST_F(Program, EndsGreenWithReportsForMachinesAndLeavesNoDirectory) {
  const fs::path json = here() / "run.jsonl";
  const fs::path junit = here() / "run.xml";
  const Ended ended = run({"run",
                           "--states",
                           "400",
                           "--seed",
                           "7",
                           "--out",
                           (here() / "run").string(),
                           "--json",
                           json.string(),
                           "--junit",
                           junit.string()});
  EXPECT_EQ(ended.code, 0) << ended.output;
  EXPECT_THAT(ended.output, HasSubstr("not explored"));
  EXPECT_FALSE(fs::exists(here() / "run"));
  std::ifstream lines(json);
  std::vector<std::string> events;
  for (std::string line; std::getline(lines, line);) {
    events.push_back(nlohmann::json::parse(line).at("event"));
  }
  ASSERT_GE(events.size(), 2U);
  EXPECT_EQ(events.front(), "run_started");
  EXPECT_EQ(events.back(), "run_ended");
  pugi::xml_document document;
  ASSERT_TRUE(document.load_file(junit.c_str()));
  EXPECT_STREQ(document.child("testsuites").attribute("failures").value(), "0");
}

/// CPU time, which other programs on the machine do not change.
double seconds_of_children() {
  rusage used{};
  getrusage(RUSAGE_CHILDREN, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

/// The case of a typical failure is small, and quick to see again.
TEST_F(Program, KeepsASmallCaseThatReplaysInASecond) {
  const std::string out = (here() / "run").string();
  const Ended found = run({"run",
                           "--preset",
                           "squid",
                           "--stop-at-first",
                           "--states",
                           "4000",
                           "--seed",
                           "7",
                           "--scenario",
                           "replace_equal_two_slots",
                           "--profile",
                           "ssd_4k_volatile",
                           "--out",
                           out});
  EXPECT_EQ(found.code, 1) << found.output;
  const fs::path kept = here() / "run" / "0001" / "case-0001";
  EXPECT_LE(fs::file_size(kept / "trace.txt") + fs::file_size(kept / "plan.txt"), 65536U);
  const double before = seconds_of_children();
  const Ended again = run({"replay", kept.string()});
  EXPECT_EQ(again.code, 1) << again.output;
  EXPECT_LE(seconds_of_children() - before, 1.0);
  EXPECT_THAT(again.output, HasSubstr("reproduced 1 of 1"));
  EXPECT_THAT(run({"show", kept.string()}).output, HasSubstr(read_whole(kept / "plan.txt")));
  // The next campaign begins with it.
  const Ended later = run({"run", "--preset", "squid", "--states", "1", "--out", out});
  EXPECT_EQ(later.code, 1) << later.output;
  EXPECT_THAT(later.output, HasSubstr("tried first: 1; of these hold now: 0"));
}

/// Runs `work` in a child that has a mount namespace of its own; its exit code, or -1 where there
/// can be none.
template <typename Work>
int in_own_mounts(const Work& work) {
  const pid_t child = fork();
  if (child == 0) {
    const bool own = unshare(CLONE_NEWNS) == 0 &&
                     mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    _exit(own ? work() : 255);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) {
    return -1;
  }
  return WEXITSTATUS(status) == 255 ? -1 : WEXITSTATUS(status);
}

/// /dev/fuse hidden behind a file that is no FUSE device.
bool hide_fuse() {
  return !fs::exists("/dev/fuse") ||
         mount("/dev/null", "/dev/fuse", nullptr, MS_BIND, nullptr) == 0;
}

TEST_F(Program, ShrinkingThatIsKilledGoesOnWhereItWas) {
  std::string more;
  for (int key = 1; key <= 12; ++key) {
    more += fmt::format("do        put k{} 700\n", key);
  }
  const std::string text = replaced(good_plan, "kill      after", more + "kill      after");
  const std::string file = plan(text);
  ASSERT_EQ(run({"replay", file}).code, 1);
  auto child = scenarios::Child::start(
      {.program = POWERCUT_PROGRAM, .arguments = {"shrink", file}, .output = home_ / "shrunk"});
  ASSERT_TRUE(child);
  while (read_whole(file) == text && !(*child)->wait(0.001)) {
    // until a step was kept
  }
  static_cast<void>((*child)->kill());
  EXPECT_NE(read_whole(file), text);
  EXPECT_EQ(run({"replay", file}).code, 1) << "what is there always fails";
  EXPECT_THAT(read_whole(file + ".found"), HasSubstr("put k12 700"));
  EXPECT_EQ(run({"shrink", file}).code, 1);
  EXPECT_THAT(read_whole(file), Not(HasSubstr("700")));
  EXPECT_EQ(run({"replay", file}).code, 1);
  EXPECT_THAT(read_whole(file + ".found"), HasSubstr("put k12 700")) << "as it was at first";
}

TEST_F(Program, WithoutFuseAllButMountingRunsAndSaysSo) {
  const auto without_fuse = [&](const Words& words) {
    return in_own_mounts([&] { return hide_fuse() ? run(words).code : 255; });
  };
  const fs::path output = home_ / "output";
  const std::string out = (here() / "run").string();
  const int code = without_fuse({"run", "--states", "400", "--seed", "7", "--out", out});
  if (code == -1) {
    GTEST_SKIP() << "no mount namespace can be made: needs root with CAP_SYS_ADMIN";
  }
  EXPECT_EQ(code, 0) << read_whole(output);
  EXPECT_THAT(read_whole(output), HasSubstr("not explored"));
  EXPECT_EQ(without_fuse({"run", "--device", "fuse", "--states", "10", "--out", out}), 3);
  EXPECT_THAT(read_whole(output), HasSubstr("--device memory runs the same engine without it"));
  EXPECT_EQ(without_fuse({"replay", plan(good_plan)}), 1) << read_whole(output);
  EXPECT_EQ(without_fuse({"replay", plan(good_plan), "--device", "fuse"}), 3);
  EXPECT_THAT(read_whole(output), HasSubstr("undecided, because"));
  EXPECT_EQ(without_fuse({"doctor"}), 3);
  EXPECT_THAT(read_whole(output), HasSubstr("missing  fuse"));
  EXPECT_EQ(without_fuse({"run",
                          "--preset",
                          "squid",
                          "--stop-at-first",
                          "--states",
                          "4000",
                          "--seed",
                          "7",
                          "--scenario",
                          "replace_equal_two_slots",
                          "--out",
                          out}),
            1);
  EXPECT_THAT(read_whole(output), HasSubstr("not run on a mounted device"));
}

}  // namespace
}  // namespace runner
