// Short campaigns on Squid and Traffic Server, as a CI server runs them: bounded in time, with
// generated histories only. Squid's findings come within seconds wherever they were looked for, so
// there one must be seen; for Traffic Server the time is too short to promise that. The controls
// must stay clean.
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "faultfs/mount/mount.h"
#include "runner/sandbox.h"
#include "scenarios/process/child.h"
#include "scenarios/targets/target.h"

namespace runner {
namespace {

namespace fs = std::filesystem;
using testing::AnyOf;
using testing::HasSubstr;

constexpr double seconds_max = 240;

struct Ran {
  std::string text;
  int code = -1;  ///< -1: it did not end
  int states = 0;
};

class ForeignCampaign : public testing::Test {
 protected:
  ~ForeignCampaign() override { fs::remove_all(out_); }

  static bool can_run(const std::string& target) {
    scenarios::TargetConfig config;
    config.target = target;
    config.disk_bytes = scenarios::default_disk_bytes(target);
    for (const auto& status :
         {scenarios::available(config, false), faultfs::mount::can_mount(), can_sandbox()}) {
      if (!status) {
        skipped_ = status.error().message;
        return false;
      }
    }
    return true;
  }

  Ran run(const std::string& target, std::vector<std::string> words) {
    const fs::path output = fs::temp_directory_path() / scratch_name("campaign-output");
    scenarios::ChildOptions options;
    options.program = POWERCUT_PROGRAM;
    options.arguments = {"run", "--target", target, "--color", "never", "--out", out_.string()};
    options.arguments.insert(options.arguments.end(), words.begin(), words.end());
    options.output = output;
    const auto child = scenarios::Child::start(options);
    const auto exit = child ? (*child)->wait(seconds_max) : std::nullopt;
    Ran ran;
    std::ostringstream text;
    text << (child ? "" : child.error().message) << std::ifstream(output).rdbuf();
    fs::remove(output);
    ran.text = text.str();
    ran.code = exit && exit->signal == 0 ? exit->code : -1;
    std::smatch match;
    if (std::regex_search(ran.text, match, std::regex("([0-9,]+) crash states of"))) {
      ran.states = std::stoi(std::regex_replace(match[1].str(), std::regex(","), ""));
    }
    return ran;
  }

  fs::path out_ = fs::temp_directory_path() / scratch_name("campaign");
  static inline std::string skipped_;
};

TEST_F(ForeignCampaign, FindsSomethingInSquid) {
  if (!can_run("squid")) {
    GTEST_SKIP() << skipped_;
  }
  const Ran ran = run("squid", {"--seed", "21", "--time", "60s", "--stop-at-first"});
  EXPECT_EQ(ran.code, 1) << ran.text;
  EXPECT_THAT(ran.text, HasSubstr("FAIL  no_")) << "wrong bytes, whichever first";
}

TEST_F(ForeignCampaign, LeavesSquidCleanWhereNothingIsOverwrittenOrTorn) {
  if (!can_run("squid")) {
    GTEST_SKIP() << skipped_;
  }
  const Ran ran =
      run("squid", {"--seed", "22", "--states", "60", "--no-overwrites", "--explorer", "kills"});
  EXPECT_EQ(ran.code, 0) << ran.text;
  EXPECT_GE(ran.states, 60);
}

TEST_F(ForeignCampaign, CoversTrafficServerForAWhile) {
  if (!can_run("trafficserver")) {
    GTEST_SKIP() << skipped_;
  }
  const Ran ran =
      run("trafficserver", {"--seed", "5", "--states", "96", "--time", "40s", "--stop-at-first"});
  EXPECT_THAT(ran.code, AnyOf(0, 1)) << ran.text;
  EXPECT_GE(ran.states, 1) << ran.text;
}

TEST_F(ForeignCampaign, LeavesNginxCleanWhereTheJournalHoldsItsBytes) {
  if (!can_run("nginx")) {
    GTEST_SKIP() << skipped_;
  }
  const Ran ran = run("nginx", {"--seed", "3", "--states", "64", "--preset", "journal"});
  EXPECT_EQ(ran.code, 0) << ran.text;
  EXPECT_GE(ran.states, 64);
}

TEST_F(ForeignCampaign, TellsWhereAProgramDied) {
  for (const auto& status : {faultfs::mount::can_mount(), can_sandbox()}) {
    if (!status) {
      GTEST_SKIP() << status.error().message;
    }
  }
  const fs::path program = fs::temp_directory_path() / scratch_name("dies");
  // Any object that is there kills it when it is asked for.
  std::ofstream(program)
      << "#!/bin/sh\ncase $1 in put) cat | dd of=$2 conv=notrunc status=none ;;\n"
         "  get) [ -n \"$(head -c 1 $2 | tr -d '\\0')\" ] || exit 1; kill -SEGV $$ ;; esac\n";
  fs::permissions(program, fs::perms::all);
  const Ran ran = run("command", {"--program", program.string(), "--seed", "1", "--stop-at-first"});
  fs::remove(program);
  EXPECT_EQ(ran.code, 1) << ran.text;
  EXPECT_THAT(ran.text, HasSubstr("FAIL  process_survives"));
  EXPECT_THAT(ran.text, HasSubstr("signal 11 (SEGV)"));
  const std::string why = scenarios::why_no_core();
  EXPECT_THAT(
      ran.text,
      AnyOf(testing::ContainsRegex("#0  [a-zA-Z_]"),
            HasSubstr("stack undecided, because " + (why.empty() ? "gdb is not installed" : why))));
}

TEST_F(ForeignCampaign, LeavesTrafficServerCleanWhereNothingIsOverwrittenOrTorn) {
  if (!can_run("trafficserver")) {
    GTEST_SKIP() << skipped_;
  }
  const Ran ran = run("trafficserver",
                      {"--seed", "23", "--states", "32", "--no-overwrites", "--explorer", "kills"});
  EXPECT_EQ(ran.code, 0) << ran.text;
  EXPECT_GE(ran.states, 32);
}

}  // namespace
}  // namespace runner
