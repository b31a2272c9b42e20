#include "runner/known_cases.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include <gtest/gtest.h>

#include "runner/processes.h"

namespace runner {
namespace {

namespace fs = std::filesystem;

TEST(KnownCases, OnlyWhatADeadHarnessLeftPendingIsRemoved) {
  std::string name = (fs::temp_directory_path() / "known_cases_test_XXXXXX").string();
  const fs::path out = mkdtemp(name.data());
  const std::string dead = "pending-000001-" + std::to_string(getpid()) + ":1";  // an earlier one
  const fs::path living = out / "0001" / ("pending-000000-" + identity_of(getpid()));
  for (const fs::path& directory : {living, out / "0001" / dead, out / "0002" / dead}) {
    fs::create_directories(directory / "inside");
  }
  fs::create_directories(out / "0003" / "case-0001");
  fs::create_directories(out / "0003" / dead);
  fs::create_directories(out / "0004");
  remove_abandoned(out);
  EXPECT_TRUE(fs::exists(living / "inside"));
  EXPECT_FALSE(fs::exists(out / "0001" / dead));
  EXPECT_FALSE(fs::exists(out / "0002")) << "nothing else was in it";
  EXPECT_TRUE(fs::exists(out / "0003" / "case-0001")) << "a case stays";
  EXPECT_TRUE(fs::exists(out / "0004")) << "nothing of ours was in it";
  fs::remove_all(out);
}

TEST(KnownCases, AnotherProgramsCasesAreNotTried) {
  std::string name = (fs::temp_directory_path() / "known_cases_test_XXXXXX").string();
  const fs::path out = mkdtemp(name.data());
  CampaignOptions options;
  options.out = out / "0002";
  options.config.target = "command";
  options.config.program = "./one";
  CaseFile file;
  file.config = options.config;
  file.profile = "ssd_4k_volatile";
  file.commands = {*scenarios::parse_command("put k1 1000")};
  file.scenario = "generated";
  file.expect_violated = true;
  file.expect_property = "no_hodgepodge";
  fs::create_directories(out / "0001" / "case-0001");
  std::ofstream(out / "0001" / "case-0001" / "plan.txt") << to_text(file);
  EXPECT_EQ(failing_cases(options).size(), 1U);
  options.config.program = "./other";
  EXPECT_TRUE(failing_cases(options).empty());
  fs::remove_all(out);
}

}  // namespace
}  // namespace runner
