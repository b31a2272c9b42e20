#include "reports/page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace reports {
namespace {

using ::testing::ElementsAre;

TEST(Page, ColumnsAreCharacters) {
  EXPECT_EQ(columns_of("a · b"), 5U);
  EXPECT_EQ(cut_to("a · b", 5), "a · b");
  EXPECT_EQ(cut_to("a · b", 4), "a ·…");
  EXPECT_EQ(cut_to("abc", 0), "");
  EXPECT_EQ(padded("·", 3), "·  ");
}

TEST(Page, WrapsAtBlanks) {
  EXPECT_THAT(wrapped("one two three", 7), ElementsAre("one two", "three"));
  EXPECT_THAT(wrapped("abcdefgh", 3), ElementsAre("abc", "def", "gh"));
  EXPECT_THAT(wrapped("", 10), ElementsAre(""));
}

TEST(Page, LinesAreCutAtTheEdgeAndEndWithoutBlanks) {
  Page page;
  page.line(std::string(200, 'x'));
  page.line({{"a  ", Style::bad}, {"   ", Style::plain}});
  EXPECT_EQ(page.text(false), std::string(95, 'x') + "…\na\n");
}

TEST(Page, ColourOnlyAddsEscapeSequences) {
  Page page;
  page.line({{"FAIL", Style::bad}, {" plain", Style::plain}});
  EXPECT_EQ(page.text(true), "\x1b[1;31mFAIL\x1b[0m plain\n");
  EXPECT_EQ(page.text(false), "FAIL plain\n");
}

TEST(Page, EntriesHangUnderTheirText) {
  Page page;
  page.entry("claim", std::string(60, 'a') + " " + std::string(60, 'b'));
  EXPECT_EQ(
      page.text(false),
      "  claim      " + std::string(60, 'a') + "\n             " + std::string(60, 'b') + "\n");
}

TEST(Page, Numbers) {
  EXPECT_EQ(grouped(7), "7");
  EXPECT_EQ(grouped(12480), "12,480");
  EXPECT_EQ(grouped(1234567), "1,234,567");
  EXPECT_EQ(counted(1, "state", "states"), "1 state");
  EXPECT_EQ(counted(1200, "state", "states"), "1,200 states");
  EXPECT_EQ(duration_text(4.24), "4.2 s");
  EXPECT_EQ(duration_text(41.3), "41 s");
  EXPECT_EQ(duration_text(200), "3 min 20 s");
  EXPECT_EQ(duration_text(3600 * 3 + 120), "3 h 02 min");
}

}  // namespace
}  // namespace reports
