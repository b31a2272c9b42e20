// The tree as programs see it, its log, its cuts, its faults, and its way to files and back.

#include "faultfs/tree/tree.h"

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <functional>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "faultfs/base/random.h"
#include "faultfs/tree/naive_tree.h"
#include "faultfs/tree/tree_choice.h"
#include "faultfs/tree/tree_faults.h"
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

// -- Faults.

class TreeFaultsTest : public testing::Test {
 protected:
  std::uint32_t add(std::string_view text) {
    const auto expression = TreeFaults::parse(text);
    EXPECT_TRUE(expression) << expression.error().message;
    return rig_.tree.add_fault(*expression).value();
  }
  /// What is left when the power goes now and nothing volatile was kept.
  [[nodiscard]] std::map<std::string, std::string> left() const {
    const Recording recording = rig_.tree.recording();
    TreeModel model(recording);
    const CrashPoint end{CutKind::power_cut, recording.log.size(), false};
    return naive::shown(model.build(all_lost(model, end)));
  }
  [[nodiscard]] std::map<std::string, std::string> seen() const {
    return naive::shown(rig_.tree.snapshot());
  }
  [[nodiscard]] std::map<std::string, std::string> truth() const {
    return naive::shown(rig_.tree.truth());
  }
  [[nodiscard]] std::uint64_t fired(std::uint32_t number = 1) const {
    return rig_.tree.faults().at(number - 1).firings;
  }
  int read(std::string_view path) {
    std::size_t done = 0;
    Bytes bytes(8);
    return rig_.tree.read(rig_.tree.generation(), rig_.at(path), 0, bytes, done);
  }

  Rig rig_;
};

TEST_F(TreeFaultsTest, EachErrnoFallsOnTheRequestsItNames) {
  rig_.create("a");
  rig_.mkdir("d");
  rig_.write("a", 0, "12345");
  const std::map<std::string, std::function<int()>> calls = {
      {"write", [&] { return rig_.write("a", 0, "x"); }},
      {"read", [&] { return read("a"); }},
      {"flush", [&] { return rig_.sync("a"); }},
      {"create", [&] { return rig_.create("b"); }},
      {"rename", [&] { return rig_.rename("a", "c"); }},
      {"unlink", [&] { return rig_.rmdir("d"); }},
      {"truncate", [&] { return rig_.truncate("a", 1); }},
      {"sync-directory", [&] { return rig_.sync("d"); }},
  };
  std::uint32_t number = 0;
  for (const auto& [word, call] : calls) {
    const auto before = seen();
    const std::uint32_t log_size = rig_.tree.log_size();
    add("eio " + word + " nth=1");
    EXPECT_EQ(call(), EIO) << word;
    EXPECT_EQ(fired(++number), 1U) << word;
    EXPECT_EQ(seen(), before) << word;
    EXPECT_EQ(rig_.tree.log_size(), log_size) << word;
  }
  for (const auto& [word, call] : calls) {
    EXPECT_EQ(word == "rename" ? 0 : call(), 0) << word << ": each fired once";
  }
  EXPECT_EQ(rig_.rename("a", "c"), 0);
  add("enospc");
  EXPECT_EQ(rig_.create("e"), ENOSPC);
  EXPECT_EQ(rig_.unlink("b"), 0) << "needs no room";
  add("erofs");
  EXPECT_EQ(rig_.unlink("c"), EROFS);
  EXPECT_EQ(rig_.sync("c"), 0);
  rig_.tree.clear_faults();
  EXPECT_EQ(rig_.unlink("c"), 0);
}

TEST_F(TreeFaultsTest, AFaultIsForOneFileFromAMarkOn) {
  rig_.mkdir("d");
  rig_.create("d/a");
  rig_.create("b");
  add("eio write file=d/a mark=now");
  add("eio rename file=b");
  EXPECT_EQ(rig_.write("d/a", 0, "x"), 0);
  rig_.tree.mark("now");
  EXPECT_EQ(rig_.write("b", 0, "x"), 0);
  EXPECT_EQ(rig_.write("d/a", 0, "x"), EIO);
  EXPECT_EQ(rig_.rename("d/a", "d/c"), 0);
  EXPECT_EQ(rig_.rename("d/c", "d/b"), EIO) << "where it would go";
  EXPECT_EQ(rig_.rename("b", "x"), EIO);
  EXPECT_EQ(rig_.tree.faults()[0].expression, "eio write file=d/a mark=now");
}

TEST_F(TreeFaultsTest, ALyingSyncIsAcknowledgedAndKeepsNothing) {
  const std::uint32_t directories = add("lying-flush sync-directory");
  const std::uint32_t files = add("lying-flush flush");
  rig_.create("a");
  rig_.write("a", 0, "12345");
  EXPECT_EQ(rig_.sync("a"), 0);
  EXPECT_EQ(rig_.sync(""), 0);
  EXPECT_THAT(left(), IsEmpty());
  EXPECT_EQ(fired(directories), 1U);
  EXPECT_EQ(fired(files), 1U);
  ASSERT_TRUE(rig_.tree.switch_fault(directories, false));
  EXPECT_THAT(left(), ElementsAre(Pair("a", "file ")));  // its name is durable now
  ASSERT_TRUE(rig_.tree.switch_fault(files, false));
  EXPECT_THAT(left(), ElementsAre(Pair("a", "file 12345")));
  ASSERT_TRUE(rig_.tree.switch_fault(directories, true));
  EXPECT_THAT(left(), IsEmpty());
}

TEST_F(TreeFaultsTest, APhantomWriteLeavesItsLengthAndIsTakenBack) {
  const std::uint32_t phantom = add("phantom-write file=a nth=2");
  rig_.create("a");
  rig_.write("a", 0, "123");
  EXPECT_EQ(rig_.write("a", 3, "45"), 0);
  rig_.write("a", 5, "6");
  const auto whole = testing::ElementsAre(Pair("a", "file 123456"));
  EXPECT_THAT(seen(), testing::Not(whole));
  EXPECT_EQ(rig_.tree.snapshot().content(rig_.at("a")),
            std::string("123\0\0"
                        "6",
                        6));
  EXPECT_THAT(truth(), whole);
  EXPECT_THAT(rig_.lines(), testing::Contains(HasSubstr("not done: write of 2 bytes")));
  ASSERT_TRUE(rig_.tree.switch_fault(phantom, false));
  EXPECT_THAT(seen(), whole);
  EXPECT_THAT(rig_.lines(), testing::Not(testing::Contains(HasSubstr("not done"))));
  ASSERT_TRUE(rig_.tree.switch_fault(phantom, true));
  EXPECT_THAT(seen(), testing::Not(whole));
  rig_.sync("a");
  rig_.sync("");
  const Recording recording = rig_.tree.recording();
  TreeModel model(recording);
  const CrashPoint end{CutKind::power_cut, recording.log.size(), false};
  EXPECT_EQ(naive::shown(model.build(all_kept(end))), seen()) << "the log is what was done";
}

TEST_F(TreeFaultsTest, ATornWriteKeepsItsPieces) {
  rig_.create("a");
  rig_.write("a", 0, "aaaaaaaa");
  const std::uint32_t torn = add("torn-write keep=suffix unit=byte nth=1");
  rig_.write("a", 0, "bbbbbbbb");
  EXPECT_THAT(seen(), ElementsAre(Pair("a", "file aaaabbbb")));
  EXPECT_THAT(truth(), ElementsAre(Pair("a", "file bbbbbbbb")));
  rig_.write("a", 6, "cc");
  ASSERT_TRUE(rig_.tree.switch_fault(torn, false));
  EXPECT_THAT(seen(), ElementsAre(Pair("a", "file bbbbbbcc")));
}

TEST_F(TreeFaultsTest, ThePowerGoesAtARequest) {
  add("power-cut rename nth=1 when=after");
  rig_.create("a");
  EXPECT_EQ(rig_.rename("a", "b"), EIO);
  EXPECT_TRUE(rig_.tree.is_cut());
  EXPECT_EQ(rig_.create("c"), EIO);
  EXPECT_THAT(seen(), ElementsAre(Pair("b", "file ")));
  rig_.tree.power_on(rig_.tree.snapshot());
  rig_.tree.clear_faults();
  add("power-cut unlink");
  EXPECT_EQ(rig_.unlink("b"), EIO);
  EXPECT_TRUE(rig_.tree.is_cut());
  EXPECT_THAT(seen(), ElementsAre(Pair("b", "file ")));
}

TEST_F(TreeFaultsTest, AClientIsKilledBeforeOrAfterARequest) {
  int victim = 0;
  rig_.tree.on_kill([&victim](int client) { return (victim = client) != 0; });
  rig_.tree.client_is(77);
  add("kill-client create nth=2 when=after");
  EXPECT_EQ(rig_.create("a"), 0);
  EXPECT_EQ(rig_.create("b"), EIO);
  EXPECT_EQ(victim, 77);
  EXPECT_EQ(seen().count("b"), 1U);
  rig_.tree.on_kill(nullptr);  // nobody to kill: handles are fenced
  add("kill-client unlink");
  const std::uint64_t generation = rig_.tree.generation();
  EXPECT_EQ(rig_.unlink("a"), EIO);
  EXPECT_EQ(rig_.tree.generation(), generation + 1);
  EXPECT_EQ(seen().count("a"), 1U);
}

TEST_F(TreeFaultsTest, RandomRequestsAreTheirTruthWithTheFaultsOff) {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    Rig honest;
    Rig faulty;
    for (const char* text : {"phantom-write chance=1/3 seed=7",
                             "torn-write chance=1/3 seed=8 unit=byte keep=hole",
                             "lying-flush chance=1/2 seed=9"}) {
      ASSERT_TRUE(faulty.tree.add_fault(*TreeFaults::parse(text)));
    }
    Random random(seed);
    for (int step = 0; step < 40; ++step) {
      const std::string name(1, static_cast<char>('a' + random.below(3)));
      const std::string other(1, static_cast<char>('a' + random.below(3)));
      const std::uint64_t kind = random.below(7);
      const std::uint64_t offset = random.below(6000);
      const std::string text(1 + random.below(3000), static_cast<char>('a' + random.below(26)));
      const auto ask = [&](Rig& rig) {
        switch (kind) {
          case 0:
            return rig.create(name);
          case 1:
            return rig.rename(name, other);
          case 2:
            return rig.truncate(name, offset);
          case 3:
            return rig.sync(name);
          case 4:
            return rig.unlink(name);
          default:
            return rig.write(name, offset, text);
        }
      };
      const int expected = ask(honest);
      ASSERT_EQ(ask(faulty), expected) << "seed " << seed << " step " << step;
    }
    ASSERT_EQ(naive::shown(faulty.tree.truth()), naive::shown(honest.tree.snapshot())) << seed;
    const Recording recording = faulty.tree.recording();
    TreeModel model(recording);
    const CrashPoint end{CutKind::power_cut, recording.log.size(), false};
    ASSERT_EQ(naive::shown(model.build(all_kept(end))), naive::shown(faulty.tree.snapshot()))
        << seed;
    for (std::uint32_t number = 1; number <= 3; ++number) {
      ASSERT_TRUE(faulty.tree.switch_fault(number, false));
    }
    ASSERT_EQ(naive::shown(faulty.tree.snapshot()), naive::shown(honest.tree.snapshot())) << seed;
    ASSERT_EQ(faulty.lines(), honest.lines()) << seed;
  }
}

TEST_F(TreeFaultsTest, WhatIsNoFaultOfATreeIsRefused) {
  for (const auto& [text, word] : {std::pair("misdirected-write to=4K", "one of disks"),
                                   std::pair("hold write", "one of disks"),
                                   std::pair("nothing", "there is no fault"),
                                   std::pair("eio disk=d", "allowed: file"),
                                   std::pair("lying-flush write", "allowed: flush, sync-directory"),
                                   std::pair("", "there is no fault")}) {
    const auto refused = TreeFaults::parse(text);
    ASSERT_FALSE(refused) << text;
    EXPECT_THAT(refused.error().message, HasSubstr(word)) << text;
  }
  EXPECT_FALSE(rig_.tree.switch_fault(1, false));
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
