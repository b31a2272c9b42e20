#include "faultfs/tree/change.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace faultfs::tree {
namespace {

using testing::HasSubstr;

TEST(Change, PrintsAndReadsItself) {
  const std::vector<Change> changes = {
      {.kind = ChangeKind::create, .object = 7, .directory = 1, .name = "log.txt", .mode = 0644},
      {.kind = ChangeKind::mkdir, .object = 8, .directory = 1, .name = "a b%\n\xff", .mode = 0755},
      {.kind = ChangeKind::symlink,
       .object = 9,
       .directory = 8,
       .name = "here",
       .target = "../x y"},
      {.kind = ChangeKind::link, .object = 7, .directory = 8, .name = "other"},
      {.kind = ChangeKind::unlink, .object = 7, .directory = 1, .name = "other"},
      {.kind = ChangeKind::rmdir, .object = 8, .directory = 1, .name = "sub"},
      {.kind = ChangeKind::rename,
       .object = 7,
       .directory = 1,
       .name = "a",
       .to_directory = 8,
       .to_name = "b"},
      {.kind = ChangeKind::rename,
       .object = 7,
       .directory = 1,
       .name = "a",
       .to_directory = 8,
       .to_name = "b",
       .replaced = 9},
      {.kind = ChangeKind::length, .object = 7, .length_bytes = 1ULL << 35U},
      {.kind = ChangeKind::sync, .object = 1},
      {.kind = ChangeKind::data, .object = 7, .disk = 3},
  };
  for (const Change& change : changes) {
    const auto read = parse_change(to_text(change));
    ASSERT_TRUE(read) << to_text(change) << ": " << read.error().message;
    EXPECT_EQ(*read, change) << to_text(change);
  }
  EXPECT_EQ(to_text(changes[7]), "tree: rename 7 in 1 a to 8 b over 9");
}

TEST(Change, RefusesWhatIsNone) {
  for (const char* text : {"",
                           "put k7",
                           "tree: ",
                           "tree: burn 7 in 1 a",
                           "tree: create 7 in 1",
                           "tree: create x in 1 a mode 644",
                           "tree: create 7 in 1 a mode 648",
                           "tree: unlink 7 in 1 a more",
                           "tree: unlink 7 on 1 a",
                           "tree: unlink 7 in 1 a%2",
                           "tree: length 7 -1"}) {
    const auto read = parse_change(text);
    ASSERT_FALSE(read) << text;
    EXPECT_THAT(read.error().message, HasSubstr("no change of a tree"));
  }
}

}  // namespace
}  // namespace faultfs::tree
