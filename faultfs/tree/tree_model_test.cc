// Every way in which a cut may leave a tree, one by one; and what it may not.

#include "faultfs/tree/tree_model.h"

#include <functional>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "faultfs/tree/naive_tree.h"
#include "faultfs/tree/tree_choice.h"
#include "faultfs/tree/tree_rig_test.h"

namespace faultfs::tree {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

using Shown = std::map<std::string, std::string>;

/// "a=text b/=": what is there, in one line; contents of files with digits for runs of letters.
std::string line_of(const Shown& tree) {
  std::string line;
  for (const auto& [path, what] : tree) {
    line += line.empty() ? "" : " ";
    if (what == "directory") {
      line += path + "/";
      continue;
    }
    line += path + "=";
    const std::string content = what.substr(5);
    for (std::size_t at = 0; at < content.size();) {
      const std::size_t end = std::min(content.find_first_not_of(content[at], at), content.size());
      line += content[at] == '\0' ? '.' : content[at];
      line += std::to_string(end - at);
      at = end;
    }
  }
  return line;
}

/// Every crash state at the end of what the rig was asked, found by trying all subsets of the open
/// requests, whole or (for lengths and bytes) torn at the first sector.
std::set<std::string> states(const Rig& rig) {
  const Recording recording = rig.tree.recording();
  TreeModel model(recording);
  const CrashPoint end{CutKind::power_cut, recording.log.size(), false};
  const std::vector<OpenRequest> open = model.open_requests(end);
  std::set<std::string> found;
  std::size_t plans = 1;
  for (std::size_t i = 0; i < open.size(); ++i) {
    plans *= 3;
  }
  for (std::size_t number = 0; number < plans; ++number) {
    CrashPlan plan = all_kept(end);
    std::size_t rest = number;
    for (const OpenRequest& request : open) {
      const std::size_t fate = rest % 3;
      rest /= 3;
      if (fate == 1) {
        plan.fates.push_back({.write = request.entry, .kind = FateKind::lost});
      } else if (fate == 2) {
        plan.fates.push_back({.write = request.entry, .kind = FateKind::torn, .sectors = {0}});
      }
    }
    if (model.check(plan)) {
      found.insert(line_of(naive::shown(model.build(plan))));
    }
  }
  return found;
}

std::string text(std::size_t size, char letter = 'x') {
  return std::string(size, letter);
}

TEST(TreeModel, ACreatedFileMayBeAbsentEmptyZerosOrWhole) {
  Rig rig;
  rig.create("a");
  rig.write("a", 0, text(4096));
  EXPECT_THAT(states(rig), ElementsAre("", "a=", "a=.4096", "a=x4096"));
}

TEST(TreeModel, FsyncKeepsBytesAndLengthButNotTheName) {
  Rig rig;
  rig.create("a");
  rig.write("a", 0, text(4096));
  rig.sync("a");
  EXPECT_THAT(states(rig), ElementsAre("", "a=x4096"));
  rig.sync("");
  EXPECT_THAT(states(rig), ElementsAre("a=x4096"));
}

TEST(TreeModel, FsyncKeepsTheNameWhereTheProfileSaysSo) {
  Rig rig("journal");
  rig.create("b");
  rig.create("a");
  rig.write("a", 0, text(10));
  EXPECT_THAT(states(rig), Contains(""));
  rig.sync("a");
  EXPECT_THAT(states(rig), ElementsAre("a=x10 b="));  // b came before
}

TEST(TreeModel, DirectorySyncKeepsNoBytes) {
  Rig rig;
  rig.create("a");
  rig.write("a", 0, text(10));
  rig.sync("");
  EXPECT_THAT(states(rig), ElementsAre("a=", "a=.10", "a=x10"));
}

TEST(TreeModel, ARenameMayBeLost) {
  Rig rig;
  rig.create("a");
  rig.sync("");
  rig.rename("a", "b");
  EXPECT_THAT(states(rig), ElementsAre("a=", "b="));
}

TEST(TreeModel, ARenameOverIsAtomic) {
  Rig rig;
  rig.create("a");
  rig.write("a", 0, text(3, 'o'));
  rig.sync("a");
  rig.sync("");
  rig.create("t");
  rig.write("t", 0, text(5, 'n'));
  rig.sync("t");
  rig.rename("t", "a");
  EXPECT_THAT(states(rig), ElementsAre("a=n5", "a=o3", "a=o3 t=n5"));
}

TEST(TreeModel, ARenameWithoutFsyncMayShowAnEmptyFile) {
  Rig rig("journal");
  rig.create("a");
  rig.write("a", 0, text(3, 'o'));
  rig.sync("a");
  rig.create("t");
  rig.write("t", 0, text(5, 'n'));
  rig.rename("t", "a");
  EXPECT_THAT(states(rig),
              AllOf(Contains("a="), Contains("a=.5"), Contains("a=n5"), Contains("a=o3")));
}

TEST(TreeModel, NamesAreLostFromTheEndWhereTheyAreOrdered) {
  Rig rig("ordered");
  rig.create("a");
  rig.create("b");
  rig.mkdir("d");
  EXPECT_THAT(states(rig), ElementsAre("", "a=", "a= b=", "a= b= d/"));
}

TEST(TreeModel, AnyNameIsLostWhereTheyAreNot) {
  Rig rig("loose");
  rig.create("a");
  rig.create("b");
  EXPECT_THAT(states(rig), ElementsAre("", "a=", "a= b=", "b="));
}

TEST(TreeModel, OneObjectsNamesComeInOrder) {
  Rig rig("loose");
  rig.create("a");
  rig.rename("a", "b");
  rig.link("b", "c");
  rig.unlink("b");
  EXPECT_THAT(states(rig), ElementsAre("", "a=", "b=", "b= c=", "c="));
}

TEST(TreeModel, OneNamesObjectsComeInOrder) {
  Rig rig("loose");
  rig.create("a");
  rig.write("a", 0, "1");
  rig.sync("a");
  rig.sync("");
  rig.unlink("a");
  rig.create("a");
  EXPECT_THAT(states(rig), ElementsAre("", "a=", "a=11"));
}

TEST(TreeModel, AnUnlinkMayBeLost) {
  Rig rig("loose");
  rig.create("a");
  rig.sync("");
  rig.unlink("a");
  EXPECT_THAT(states(rig), ElementsAre("", "a="));
}

TEST(TreeModel, ADirectoryGoesAfterWhatWasInIt) {
  Rig rig("loose");
  rig.mkdir("d");
  rig.create("d/x");
  rig.sync("d");
  rig.sync("");
  rig.rename("d/x", "y");
  rig.rmdir("d");
  EXPECT_THAT(states(rig), ElementsAre("d/ d/x=", "d/ y=", "y="));
}

TEST(TreeModel, ALostDirectoryTakesDurableFilesAlong) {
  Rig rig("loose");
  rig.mkdir("d");
  rig.create("d/x");
  rig.sync("d/x");
  rig.sync("d");
  EXPECT_THAT(states(rig), ElementsAre("", "d/ d/x="));
  rig.sync("");
  EXPECT_THAT(states(rig), ElementsAre("d/ d/x="));
}

TEST(TreeModel, ARenameIsDurableBySyncOfEitherDirectory) {
  for (const char* synced : {"", "d"}) {
    Rig rig("loose");
    rig.mkdir("d");
    rig.create("x");
    rig.sync("");
    rig.rename("x", "d/y");
    EXPECT_THAT(states(rig), ElementsAre("d/ d/y=", "d/ x="));
    rig.sync(synced);
    EXPECT_THAT(states(rig), ElementsAre("d/ d/y="));
  }
}

TEST(TreeModel, WhatIsDurableKeepsWhatItNeeds) {
  Rig rig("loose");
  rig.mkdir("d");
  rig.sync("");
  rig.create("x");       // pending in the root
  rig.create("z");       // too, and needed by nobody
  rig.link("x", "d/y");  // pending in d
  rig.sync("d");
  EXPECT_THAT(states(rig), ElementsAre("d/ d/y= x=", "d/ d/y= x= z="));
}

TEST(TreeModel, NoDirectoryGetsBelowItself) {
  Rig rig("loose");
  rig.mkdir("a");
  rig.mkdir("b");
  rig.sync("");
  rig.rename("b", "a/b");
  rig.rename("a/b", "c");
  rig.rename("a", "c/a");
  EXPECT_THAT(states(rig), ElementsAre("a/ a/b/", "a/ b/", "a/ c/", "c/ c/a/"));
}

TEST(TreeModel, AnAppendMayStopAtASector) {
  Rig rig;
  rig.create("a");
  rig.write("a", 0, text(100, 'o'));
  rig.sync("a");
  rig.sync("");
  rig.write("a", 100, text(5000, 'n'));
  EXPECT_THAT(states(rig),
              ElementsAre("a=o100",            // nothing, or bytes behind the length
                          "a=o100.3996",       // the length stopped at the sector, bytes lost
                          "a=o100.5000",       // a hole
                          "a=o100n3996",       // the first sector and its length
                          "a=o100n3996.1004",  // the second sector lost
                          "a=o100n5000"));
}

TEST(TreeModel, ATruncationIsAtomic) {
  Rig rig;
  rig.create("a");
  rig.write("a", 0, text(9000));
  rig.sync("a");
  rig.sync("");
  rig.truncate("a", 10);
  EXPECT_THAT(states(rig), ElementsAre("a=x10", "a=x9000"));
}

TEST(TreeModel, WhatWasCutOffDoesNotComeBack) {
  Rig rig;
  rig.create("a");
  rig.write("a", 0, text(9000));
  rig.sync("a");
  rig.sync("");
  rig.truncate("a", 10);
  rig.sync("a");
  rig.truncate("a", 20);
  EXPECT_THAT(states(rig), ElementsAre("a=x10", "a=x10.10"));
}

TEST(TreeModel, SectorsOfAFileAreLostOneByOne) {
  Rig rig;
  rig.create("a");
  rig.write("a", 0, text(8192, 'o'));
  rig.sync("a");
  rig.sync("");
  rig.write("a", 0, text(8192, 'n'));
  const std::set<std::string> found = states(rig);
  EXPECT_THAT(found, ElementsAre("a=n4096o4096", "a=n8192", "a=o8192"));
}

TEST(TreeModel, ALyingFlushKeepsNothing) {
  Rig rig("journal", "ssd_4k_lying_flush");
  rig.create("a");
  rig.write("a", 0, text(10));
  rig.sync("a");
  rig.sync("");
  EXPECT_THAT(states(rig), Contains(""));
}

TEST(TreeModel, AWriteThroughDeviceLosesNothingThatCompleted) {
  Rig rig("loose", "disk_4k_write_through");
  rig.create("a");
  rig.write("a", 0, text(10));
  rig.rename("a", "b");
  EXPECT_THAT(states(rig), ElementsAre("b=x10"));
}

TEST(TreeModel, AKillLosesNothingThatCompleted) {
  Rig rig("loose");
  rig.create("a");
  rig.write("a", 0, text(10));
  const Recording recording = rig.tree.recording();
  TreeModel model(recording);
  const CrashPoint killed{CutKind::kill, recording.log.size(), false};
  EXPECT_TRUE(model.open_requests(killed).empty());
  EXPECT_EQ(line_of(naive::shown(model.build(all_kept(killed)))), "a=x10");
  CrashPlan plan = all_kept(killed);
  plan.fates.push_back({.write = 1, .kind = FateKind::lost});
  EXPECT_THAT(model.check(plan).error().message, HasSubstr("had completed before the kill"));
}

TEST(TreeModel, ARequestInFlightIsThereOrNot) {
  Rig rig("ordered", "disk_4k_write_through");
  rig.create("a");
  rig.rename("a", "b");
  const Recording recording = rig.tree.recording();
  TreeModel model(recording);
  const CrashPoint inside{CutKind::power_cut, 2, true};
  EXPECT_EQ(line_of(naive::shown(model.build(all_kept(inside)))), "b=");
  EXPECT_EQ(line_of(naive::shown(model.build(all_lost(model, inside)))), "a=");
}

TEST(TreeModel, RefusesWithAReason) {
  Rig rig;
  rig.create("a");           // w0001
  rig.write("a", 0, "xyz");  // w0003, w0004
  rig.create("b");           // w0005
  rig.sync("");              // w0006
  rig.rename("a", "c");      // w0007
  rig.rename("c", "d");      // w0008
  rig.truncate("d", 1);      // w0009, w0010
  const Recording recording = rig.tree.recording();
  TreeModel model(recording);
  const auto refusal = [&](const std::string& lines) {
    const auto plan = parse_plan("cut after w0010\n" + lines);
    const Status legal = model.check(*plan);
    return legal ? std::string("legal") : legal.error().message;
  };
  EXPECT_EQ(refusal("w0003 lost\nw0008 lost\n"), "legal");
  EXPECT_EQ(refusal("w0001 lost\n"),
            "w0001 (create a) was made durable by w0006 (FSYNC .); it cannot be lost");
  EXPECT_EQ(refusal("w0007 lost\n"),
            "w0008 (rename c to d) cannot be kept when w0007 (rename a to c) is lost");
  EXPECT_THAT(refusal("w0006 lost\n"), HasSubstr("w0006 (FSYNC .) changes nothing"));
  EXPECT_THAT(refusal("w0010 lost\n"), HasSubstr("w0010 shares the fate of w0009"));
  EXPECT_THAT(refusal("w0008 torn sectors 0\n"), HasSubstr("can be kept or lost"));
  EXPECT_THAT(refusal("w0004 torn sectors 0\n"), HasSubstr("can be kept or lost"));
  EXPECT_THAT(refusal("w0003 torn sectors 4\n"), HasSubstr("it has no sector 4"));
}

TEST(TreeModel, ChoicesAreLegalAndDiffer) {
  Rig rig("loose");
  rig.create("a");
  rig.write("a", 0, text(10000));
  rig.rename("a", "b");
  const Recording recording = rig.tree.recording();
  TreeModel model(recording);
  const CrashPoint end{CutKind::power_cut, recording.log.size(), false};
  const auto state = [&](std::string_view how) {
    const auto plan = choose(model, end, how);
    return plan ? line_of(naive::shown(model.build(*plan))) : plan.error().message;
  };
  EXPECT_EQ(state("kept"), "b=x10000");
  EXPECT_EQ(state("lost"), "");
  EXPECT_EQ(state("bytes-lost"), "b=.10000");
  EXPECT_EQ(state("only-names"), "b=");
  EXPECT_EQ(state("names-lost"), "");
  EXPECT_THAT(state("half"), HasSubstr("allowed: kept, lost"));
  EXPECT_EQ(line_of(naive::shown(model.build(one_lost(model, end, 5)))), "a=x10000");
  EXPECT_EQ(line_of(naive::shown(model.build(one_kept(model, end, 5)))), "b=");
  std::set<std::string> drawn_states;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    drawn_states.insert(state("random " + std::to_string(seed)));
  }
  EXPECT_THAT(drawn_states,
              AllOf(Contains(""), Contains("a="), Contains("a=x8192"), Contains("a=.4096x5904")));
}

TEST(TreeModel, CrashEntriesAreTheRequestsOfTheProgram) {
  Rig rig;
  rig.create("a");           // w0001
  rig.write("a", 0, "xyz");  // w0002 data, w0003, w0004
  rig.tree.mark("one");      // w0005
  rig.truncate("a", 1);      // w0006, w0007
  rig.sync("a");             // w0008
  const Recording recording = rig.tree.recording();
  EXPECT_THAT(TreeModel(recording).crash_entries(), ElementsAre(0, 1, 5, 7, 8));
}

}  // namespace
}  // namespace faultfs::tree
