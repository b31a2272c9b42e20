// The tree as programs see it, its log, its cuts, and its way to files and back.

#include "faultfs/tree/tree.h"

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "faultfs/tree/naive_tree.h"
#include "faultfs/tree/tree_files.h"
#include "faultfs/tree/tree_rig_test.h"

namespace faultfs::tree {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

TEST(Tree, EntersEachRequestInTheLog) {
  Rig rig;
  rig.create("a");
  rig.write("a", 0, "12345");
  rig.write("a", 1, "xyz");
  rig.sync("a");
  rig.rename("a", "b");
  rig.sync("");
  rig.truncate("b", 2);
  rig.tree.mark("done");
  EXPECT_THAT(rig.lines(),
              ElementsAre("tree: create 2 in 1 a mode 644",
                          "tree: data 2 disk 0",
                          "write 0 +5",
                          "tree: length 2 5",
                          "write 1 +3",
                          "flush",
                          "tree: rename 2 in 1 a to 1 b",
                          "tree: sync 1",
                          "tree: length 2 2",
                          "discard 2 +3",
                          "done"));
  EXPECT_THAT(naive::shown(rig.tree.snapshot()), ElementsAre(Pair("b", "file 1x")));
}

TEST(Tree, MarksOfAUserAreNoChanges) {
  Rig rig;
  rig.tree.mark("tree: unlink 2 in 1 a");
  EXPECT_THAT(rig.lines(), ElementsAre(" tree: unlink 2 in 1 a"));
}

TEST(Tree, AnswersAsPosixDoes) {
  Rig rig;
  EXPECT_EQ(rig.create("a"), 0);
  EXPECT_EQ(rig.create("a"), EEXIST);
  EXPECT_EQ(rig.mkdir("d"), 0);
  EXPECT_EQ(rig.create("d/x"), 0);
  EXPECT_EQ(rig.unlink("d"), EISDIR);
  EXPECT_EQ(rig.rmdir("a"), ENOTDIR);
  EXPECT_EQ(rig.rmdir("d"), ENOTEMPTY);
  EXPECT_EQ(rig.unlink("b"), ENOENT);
  EXPECT_EQ(rig.rename("d", "d/y"), EINVAL);
  EXPECT_EQ(rig.rename("a", "d"), EISDIR);
  EXPECT_EQ(rig.rename("d", "a"), ENOTDIR);
  EXPECT_EQ(rig.mkdir("e"), 0);
  EXPECT_EQ(rig.rename("e", "d"), ENOTEMPTY);
  EXPECT_EQ(rig.rename("d", "e"), 0);
  EXPECT_EQ(rig.link("e/x", "y"), 0);
  EXPECT_EQ(rig.link("e", "z"), EPERM);
  EXPECT_EQ(rig.link("a", "y"), EEXIST);
  EXPECT_EQ(rig.write("a", file_bytes_max, "x"), EFBIG);
  EXPECT_EQ(rig.truncate("e", 0), EISDIR);
  EXPECT_THAT(
      naive::shown(rig.tree.snapshot()),
      ElementsAre(
          Pair("a", "file "), Pair("e", "directory"), Pair("e/x", "file "), Pair("y", "file ")));
}

TEST(Tree, AnOpenFileLivesWithoutAName) {
  Rig rig;
  rig.create("a");
  rig.write("a", 0, "old");
  const ObjectNumber file = rig.at("a");
  rig.unlink("a");
  EXPECT_EQ(rig.tree.write(1, file, 3, bytes_of("er")), 0);
  Bytes read(8);
  std::size_t done = 0;
  ASSERT_EQ(rig.tree.read(1, file, 0, read, done), 0);
  EXPECT_EQ(done, 5U);
  rig.tree.forget(file);
  EXPECT_EQ(rig.tree.read(1, file, 0, read, done), ENOENT);
}

TEST(Tree, EndsAtACut) {
  Rig rig;
  rig.create("a");
  rig.tree.cut_at_request(2);
  EXPECT_EQ(rig.create("b"), 0);
  EXPECT_EQ(rig.create("b"), EEXIST);  // what is refused is no request
  EXPECT_EQ(rig.write("a", 0, "x"), EIO);
  EXPECT_TRUE(rig.tree.is_cut());
  ObjectNumber found = 0;
  EXPECT_EQ(rig.tree.look_up(1, {root_object, "a"}, found), EIO);
  rig.tree.mark("after the cut");
  EXPECT_EQ(rig.lines().size(), 2U);
  rig.tree.power_on(rig.tree.snapshot());
  EXPECT_EQ(rig.tree.look_up(1, {root_object, "a"}, found), EIO);  // a handle from before
  EXPECT_EQ(rig.tree.look_up(2, {root_object, "a"}, found), 0);
  EXPECT_THAT(rig.lines(), IsEmpty());
}

TEST(Tree, EndsAtAMark) {
  Rig rig;
  rig.tree.cut_at_mark("second");
  rig.tree.mark("first");
  EXPECT_EQ(rig.create("a"), 0);
  rig.tree.mark("the second");
  EXPECT_EQ(rig.create("b"), EIO);
}

class TreeFiles : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "powercut-tree-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }
  std::filesystem::path directory_;
};

TEST_F(TreeFiles, ATreeComesAndGoes) {
  Rig rig;
  rig.create("a");
  rig.write("a", 5000, "behind a hole");
  rig.mkdir("d d");
  rig.link("a", "d d/again");
  ObjectNumber link = 0;
  ASSERT_EQ(rig.tree.make(
                1, {root_object, "s"}, {.kind = ObjectKind::symlink, .target = "no where"}, link),
            0);
  const TreeState tree = rig.tree.snapshot();
  ASSERT_TRUE(export_tree(tree, directory_ / "out"));
  const auto back = import_tree(directory_ / "out");
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(naive::shown(*back), naive::shown(tree));
  EXPECT_EQ(back->at("a"), back->at("d d/again"));
  EXPECT_EQ(back->find(back->at("a"))->links, 2U);
  const auto again = export_tree(tree, directory_ / "out");
  ASSERT_FALSE(again);
  EXPECT_THAT(again.error().message, HasSubstr("not empty"));
}

TEST_F(TreeFiles, ARecordingComesAndGoes) {
  Rig rig;
  rig.create("a b");
  rig.write("a b", 0, "before");
  rig.mkdir("d");
  rig.create("d/x");
  rig.tree.power_on(rig.tree.snapshot());
  rig.rename("a b", "d/x");
  rig.write("d/x", 3, "after");
  const Recording recording = rig.tree.recording();
  ASSERT_TRUE(save_recording(recording, directory_ / "rec"));
  const auto back = load_recording(directory_ / "rec");
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->log, recording.log);
  EXPECT_EQ(back->profile.data.name, recording.profile.data.name);
  EXPECT_EQ(naive::shown(back->base), naive::shown(recording.base));
  EXPECT_EQ(back->base.at("a b"), recording.base.at("a b"));
}

TEST_F(TreeFiles, RefusesWhatIsNoRecording) {
  EXPECT_FALSE(load_recording(directory_ / "nothing"));
  Rig rig;
  rig.create("a");
  ASSERT_TRUE(save_recording(rig.tree.recording(), directory_ / "rec"));
  std::ofstream(directory_ / "rec" / "objects", std::ios::app) << "x file\n";
  const auto bad = load_recording(directory_ / "rec");
  ASSERT_FALSE(bad);
  EXPECT_THAT(bad.error().message, HasSubstr("no line of it"));
  WriteLog log;
  log.add_mark("tree: unlink 9 in 1 a");
  ASSERT_TRUE(save_recording({TreeState(), log, rig.tree.profile()}, directory_ / "other"));
  const auto foreign = load_recording(directory_ / "other");
  ASSERT_FALSE(foreign);
  EXPECT_THAT(foreign.error().message, HasSubstr("names what is not there"));
}

}  // namespace
}  // namespace faultfs::tree
