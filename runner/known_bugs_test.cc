// What was found in other caches stays found: each case under scenarios/known_bugs/ is replayed
// five times on the program installed here. The program starts anew each time, on the image that
// the kept log gives, so a case that depends on luck shows as fewer than five.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "faultfs/mount/mount.h"
#include "runner/case_file.h"
#include "runner/sandbox.h"
#include "scenarios/process/child.h"
#include "scenarios/targets/target.h"

namespace runner {
namespace {

namespace fs = std::filesystem;

constexpr int times = 5, times_min = 4;
constexpr double seconds_max = 120;
constexpr std::uintmax_t case_bytes_max = std::uintmax_t{200} << 10U;

std::vector<fs::path> known_bugs() {
  std::vector<fs::path> found;
  for (const auto& entry : fs::recursive_directory_iterator(POWERCUT_KNOWN_BUGS)) {
    if (entry.path().filename() == "plan.txt") {
      found.push_back(entry.path().parent_path());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

/// What `powercut replay` prints for `directory`, and its exit code (-1: it did not end).
std::pair<std::string, int> replayed(const fs::path& directory) {
  const fs::path output = fs::temp_directory_path() / scratch_name("known-bug");
  scenarios::ChildOptions options;
  options.program = POWERCUT_PROGRAM;
  options.arguments = {
      "replay", "--color", "never", "--times", std::to_string(times), directory.string()};
  options.output = output;
  const auto child = scenarios::Child::start(options);
  const auto exit = child ? (*child)->wait(seconds_max) : std::nullopt;
  std::ostringstream text;
  text << (child ? "" : child.error().message) << std::ifstream(output).rdbuf();
  fs::remove(output);
  return {text.str(), exit && exit->signal == 0 ? exit->code : -1};
}

class KnownBug : public testing::TestWithParam<fs::path> {};

TEST_P(KnownBug, IsSmallAndSaysWhatItIs) {
  std::uintmax_t size_bytes = 0;
  for (const auto& entry : fs::directory_iterator(GetParam())) {
    size_bytes += entry.file_size();
  }
  EXPECT_LT(size_bytes, case_bytes_max);
  EXPECT_TRUE(fs::exists(GetParam() / "note.md"));
  const auto file = load_case(GetParam() / "plan.txt");
  ASSERT_TRUE(file.has_value()) << file.error().message;
  EXPECT_TRUE(file->expect_violated);
}

TEST_P(KnownBug, IsSeenAgainAtLeastFourTimesOfFive) {
  const auto file = load_case(GetParam() / "plan.txt");
  ASSERT_TRUE(file.has_value()) << file.error().message;
  for (const auto& status :
       {scenarios::available(file->config, false), faultfs::mount::can_mount(), can_sandbox()}) {
    if (!status) {
      GTEST_SKIP() << status.error().message;
    }
  }
  const auto [text, code] = replayed(GetParam());
  EXPECT_EQ(code, 1) << text;
  std::smatch match;
  ASSERT_TRUE(std::regex_search(text, match, std::regex("reproduced (\\d+) of (\\d+)"))) << text;
  EXPECT_GE(std::stoi(match[1]), times_min) << text;
  EXPECT_EQ(std::stoi(match[2]), times);
  EXPECT_THAT(text, testing::HasSubstr("FAIL  " + file->expect_property));
}

std::string test_name(const testing::TestParamInfo<fs::path>& bug) {
  std::string name =
      bug.param.parent_path().filename().string() + "_" + bug.param.filename().string();
  return name;
}

INSTANTIATE_TEST_SUITE_P(Kept, KnownBug, testing::ValuesIn(known_bugs()), test_name);

}  // namespace
}  // namespace runner
