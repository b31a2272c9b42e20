#include "runner/case_file.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace runner {
namespace {

constexpr const char* whole_case = R"(crash-plan 1
scenario  generated
target    engine
preset    squid      # as the reference
device    ssd_4k_volatile
fault     rot-on-write disk=disk nth=3
fault     eio   read chance=1/50
seed      0x5d1c09e2

do        put k1 40000
do        kill
do        begin k1 40000 20000
cut       after w0018
w0012     lost
w0015     torn sectors 0-1,3
expect    violated no_hodgepodge
)";

std::string error_of(const std::string& text) {
  auto parsed = parse_case(text);
  return parsed ? "parsed" : parsed.error().message;
}

std::string with(const std::string& from, const std::string& to) {
  std::string text = whole_case;
  text.replace(text.find(from), from.size(), to);
  return text;
}

TEST(CaseFile, TextAndBackIsTheSame) {
  auto parsed = parse_case(whole_case);
  ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
  EXPECT_EQ(parsed->config.preset, "squid");
  EXPECT_EQ(parsed->commands.size(), 3U);
  ASSERT_EQ(parsed->faults.size(), 2U);
  EXPECT_EQ(faultfs::faults::to_text(parsed->faults[1]), "eio read chance=1/50");
  EXPECT_EQ(parsed->plan.fates.size(), 2U);
  EXPECT_EQ(parsed->expect_property, "no_hodgepodge");
  auto again = parse_case(to_text(*parsed));
  ASSERT_TRUE(again.has_value()) << again.error().message;
  EXPECT_TRUE(*again == *parsed) << to_text(*again);
}

TEST(CaseFile, KeepsTheNamesOfARecording) {
  auto parsed = parse_case(
      with("expect ", "log writes.log\nbase before.img\nhistory history.jsonl\nexpect "));
  ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
  EXPECT_EQ(parsed->log_file, "writes.log");
  EXPECT_TRUE(*parse_case(to_text(*parsed)) == *parsed);
}

// Every prefix that ends at a line is refused, and says what is missing; none crashes.
TEST(CaseFile, EveryCutShortFileIsRefused) {
  const std::string text = whole_case;
  for (std::size_t size = 0; size + 1 < text.size(); ++size) {
    const auto parsed = parse_case(text.substr(0, size));
    if (size < text.rfind("no_hodgepodge")) {
      EXPECT_FALSE(parsed.has_value()) << text.substr(0, size);
    }
  }
  EXPECT_EQ(error_of(text.substr(0, text.find("expect"))),
            "the line \"expect\" must be there exactly once, and is there 0 times: the plan is cut "
            "short");
}

TEST(CaseFile, BadLinesAreNamed) {
  EXPECT_NE(error_of(with("crash-plan 1", "crash-plan 9")).find("line 1: \"crash-plan 9\""),
            std::string::npos);
  EXPECT_NE(error_of(with("ssd_4k_volatile", "floppy")).find("floppy"), std::string::npos);
  EXPECT_NE(error_of(with("ssd_4k_volatile", "floppy")).find("ssd_4k_volatile"), std::string::npos);
  EXPECT_NE(error_of(with("put k1 40000", "put k1 many")).find("line 10"), std::string::npos);
  EXPECT_NE(error_of(with("preset    squid", "presto    squid")).find("presto"), std::string::npos);
  EXPECT_NE(error_of(with("lost", "forgotten")).find("forgotten"), std::string::npos);
  EXPECT_NE(error_of(with("target    engine", "target    memcached")).find("memcached"),
            std::string::npos);
  EXPECT_NE(error_of(with("nth=3", "nth=no")).find("line 6: fault word \"nth=no\" needs a number"),
            std::string::npos);
  EXPECT_NE(error_of(with("disk=disk", "disk=other")).find("no disk \"other\"; allowed: disk"),
            std::string::npos);
  EXPECT_NE(error_of(with("eio   read", "hold")).find("nobody does; allowed: latency"),
            std::string::npos);
  EXPECT_EQ(error_of(""), "it is empty; every plan begins with \"crash-plan 1\"");
}

TEST(CaseFile, NeedsOneEndOfTheRun) {
  EXPECT_NE(error_of(with("cut       after w0018\n", "")).find("exactly one"), std::string::npos);
}

TEST(CaseFile, NamedScenarioNeedsNoCommands) {
  std::string text =
      with("do        put k1 40000\ndo        kill\ndo        begin k1 40000 20000\n", "");
  EXPECT_NE(error_of(text).find("\"generated\" is no named scenario"), std::string::npos);
}

TEST(CaseFile, MissingFileIsNamed) {
  auto loaded = load_case("/nonexistent/plan.txt");
  ASSERT_FALSE(loaded.has_value());
  EXPECT_EQ(loaded.error().message,
            "/nonexistent/plan.txt cannot be read: No such file or directory");
}

}  // namespace
}  // namespace runner
