#include "runner/doctor.h"

#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runner/sandbox.h"

namespace runner {
namespace {

namespace fs = std::filesystem;
using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;

TEST(Doctor, TellsWhatIsThereAndWhatIsMissing) {
  std::ostringstream out;
  EXPECT_FALSE(tell({{"fuse", true, "disks can be mounted"},
                     {"squid", false, "squid is not installed: apt-get install squid"}},
                    out));
  EXPECT_EQ(out.str(),
            "ok       fuse           disks can be mounted\n"
            "missing  squid          squid is not installed: apt-get install squid\n");
}

TEST(Doctor, IsContentWhereAllIsThere) {
  std::ostringstream out;
  EXPECT_TRUE(tell({{"fuse", true, "x"}, {"cpus", true, "y"}}, out));
}

TEST(Doctor, LooksAtEverythingACampaignWants) {
  std::vector<std::string> names;
  for (const Checkup& checkup : check_machine()) {
    names.push_back(checkup.name);
    EXPECT_THAT(checkup.text, Not(testing::IsEmpty())) << checkup.name;
  }
  EXPECT_THAT(
      names,
      testing::ElementsAre(
          "fuse", "namespaces", "shared memory", "cpus", "engine", "squid", "trafficserver"));
}

/// A directory of a powercut that has ended: what a killed run leaves behind.
fs::path leave_directory() {
  const auto name_of = [](pid_t process) {
    return fs::temp_directory_path() / ("powercut-" + std::to_string(process) + "-doctor-test");
  };
  const pid_t child = fork();
  if (child == 0) {
    std::error_code ignored;
    fs::create_directory(fs::temp_directory_path() / scratch_name("doctor-test"), ignored);
    _exit(0);
  }
  waitpid(child, nullptr, 0);
  return name_of(child);
}

TEST(Doctor, NamesALeftoverAndRemovesItWhenAskedTo) {
  const fs::path left = leave_directory();
  ASSERT_TRUE(fs::exists(left)) << left;

  std::ostringstream looked;
  EXPECT_EQ(doctor(false, looked), 3);
  EXPECT_THAT(looked.str(), HasSubstr("left     "));
  EXPECT_THAT(looked.str(), HasSubstr(left.string()));
  EXPECT_THAT(looked.str(), HasSubstr("powercut doctor --clean"));
  EXPECT_TRUE(fs::exists(left));

  std::ostringstream cleaned;
  EXPECT_THAT(doctor(true, cleaned), AnyOf(0, 3));  // 3: this machine may lack Squid or FUSE
  EXPECT_THAT(cleaned.str(), HasSubstr("removed  "));
  EXPECT_FALSE(fs::exists(left));

  std::ostringstream again;
  EXPECT_THAT(doctor(false, again), AnyOf(0, 3));
  EXPECT_THAT(again.str(), Not(HasSubstr(left.string())));
}

}  // namespace
}  // namespace runner
