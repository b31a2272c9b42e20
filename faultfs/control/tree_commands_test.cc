#include "faultfs/control/tree_commands.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "faultfs/tree/tree_files.h"
#include "faultfs/tree/tree_rig_test.h"

namespace faultfs::control {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class TreeCommandsTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name =
        (std::filesystem::temp_directory_path() / "powercut-treectl-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::filesystem::path directory_;
  tree::Rig rig_;
  TreeCommands commands_{rig_.tree};
};

TEST_F(TreeCommandsTest, CutsAndGoesOn) {
  rig_.create("a");
  EXPECT_EQ(commands_.answer("cut at-request 2"), "ok");
  EXPECT_EQ(rig_.create("b"), 0);
  EXPECT_EQ(rig_.create("c"), EIO);
  EXPECT_EQ(commands_.answer("status"),
            "ok cut generation 1, log 2 entries, tree, ssd_4k_volatile, names in order");
  EXPECT_EQ(commands_.answer("power-on lost"), "ok generation 2, 2 of 2 open requests not whole");
  EXPECT_TRUE(rig_.tree.snapshot().paths().empty());
  EXPECT_THAT(commands_.answer("counters"), HasSubstr("changes 2"));
}

TEST_F(TreeCommandsTest, TakesAPlan) {
  rig_.create("a");
  rig_.rename("a", "b");
  std::ofstream(directory_ / "plan") << "cut after w0002\nw0002 lost\n";
  EXPECT_EQ(commands_.answer("power-on plan " + (directory_ / "plan").string()),
            "ok generation 2, 1 of 2 open requests not whole");
  EXPECT_NE(rig_.at("a"), 0U);
  EXPECT_THAT(commands_.answer("power-on plan nowhere"),
              StartsWith("error 'nowhere' cannot be read"));
}

TEST_F(TreeCommandsTest, AnIllegalPlanLeavesTheTreeCut) {
  rig_.create("a");
  rig_.sync("");
  std::ofstream(directory_ / "plan") << "cut after w0002\nw0001 lost\n";
  EXPECT_THAT(commands_.answer("power-on plan " + (directory_ / "plan").string()),
              HasSubstr("was made durable by w0002"));
  EXPECT_TRUE(rig_.tree.is_cut());
}

TEST_F(TreeCommandsTest, SavesWhatThereIsAndWhatWasAsked) {
  rig_.create("a");
  EXPECT_EQ(commands_.answer("mark half way"), "ok");
  EXPECT_EQ(commands_.answer("snapshot " + (directory_ / "now").string()), "ok");
  EXPECT_TRUE(std::filesystem::exists(directory_ / "now" / "a"));
  EXPECT_EQ(commands_.answer("log save " + (directory_ / "rec").string()), "ok");
  const auto recording = tree::load_recording(directory_ / "rec");
  ASSERT_TRUE(recording) << recording.error().message;
  EXPECT_EQ(recording->log.mark_text(2), "half way");
}

TEST_F(TreeCommandsTest, TakesFaults) {
  EXPECT_EQ(commands_.answer("fault list"), "ok no faults");
  EXPECT_EQ(commands_.answer("fault add lying-flush sync-directory"),
            "ok f1 lying-flush sync-directory");
  EXPECT_EQ(commands_.answer("fault add phantom-write nth=1"), "ok f2 phantom-write nth=1");
  rig_.create("a");
  rig_.write("a", 0, "12345");
  rig_.sync("");
  EXPECT_EQ(commands_.answer("fault list"),
            "ok f1 on lying-flush sync-directory: met 1, fired 1; f2 on phantom-write nth=1: met "
            "1, fired 1");
  EXPECT_EQ(commands_.answer("snapshot truth " + (directory_ / "true").string()), "ok");
  EXPECT_EQ(std::filesystem::file_size(directory_ / "true" / "a"), 5U);
  std::ifstream in(directory_ / "true" / "a");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(in), {}), "12345");
  EXPECT_EQ(commands_.answer("fault off all"), "ok");
  EXPECT_THAT(commands_.answer("fault help"), HasSubstr("power-cut when=before"));
  EXPECT_EQ(commands_.answer("fault clear"), "ok");
}

TEST_F(TreeCommandsTest, RefusesWithWhatIsAllowed) {
  for (const char* line : {"",
                           "cut",
                           "cut at-request 0",
                           "snapshot here",
                           "log save",
                           "mark",
                           "fault add hold",
                           "fault release 1",
                           "fault off 1",
                           "power-on half",
                           "power-on random x",
                           "disarm now"}) {
    EXPECT_THAT(commands_.answer(line), StartsWith("error ")) << line;
  }
}

}  // namespace
}  // namespace faultfs::control
