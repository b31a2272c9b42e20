// Golden files: what a person reads is compared with testdata/ byte by byte; POWERCUT_REWRITE=1
// writes them anew, to be reviewed as a diff.
#include "reports/reports.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <pugixml.hpp>
#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "reports/failure_by_hand.h"
#include "reports/observers.h"
#include "reports/page.h"

namespace reports {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::filesystem::path golden_file(const std::string& name) {
  return std::filesystem::path(POWERCUT_SOURCE) / "reports" / "testdata" / name;
}

std::string read(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

void expect_golden(const std::string& name, const std::string& text) {
  const char* rewrite = std::getenv("POWERCUT_REWRITE");  // NOLINT(concurrency-mt-unsafe)
  if (rewrite != nullptr && *rewrite != '\0') {
    std::ofstream(golden_file(name)) << text;
    return;
  }
  EXPECT_EQ(text, read(golden_file(name))) << "POWERCUT_REWRITE=1 writes " << name << " anew";
}

std::string without_escapes(const std::string& text) {
  std::string plain;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\x1b') {
      at = text.find('m', at);
      continue;
    }
    plain += text[at];
  }
  return plain;
}

/// Every case there is.
std::vector<runner::FailureCase> all_failures() {
  std::vector<runner::FailureCase> failures;
  failures.push_back(overwrite_failure());
  failures.push_back(purge_failure());
  failures.push_back(structure_failure());
  failures.emplace_back();  // nothing is known
  return failures;
}

TEST(FailureTrace, Overwrite) {
  expect_golden("overwrite.txt", failure_trace(overwrite_failure(), false));
}

TEST(FailureTrace, Purge) {
  expect_golden("purge.txt", failure_trace(purge_failure(), false));
}

TEST(FailureTrace, Structure) {
  expect_golden("structure.txt", failure_trace(structure_failure(), false));
}

TEST(FailureTrace, GarbageIsDrawnWhereItStands) {
  runner::FailureCase failure = overwrite_failure("ssd_4k_garbage");
  failure.file.plan.fates[1].kind = faultfs::FateKind::garbled;
  failure.file.plan.fates[1].sectors = {1};
  const std::string text = failure_trace(failure, false);
  EXPECT_THAT(text, HasSubstr("garbled sectors 1"));
  EXPECT_THAT(text, HasSubstr("|xxxxxxxxxxxxxxxx|3333xxxx33333333|"));
  EXPECT_THAT(text, HasSubstr("x garbage"));
}

TEST(FailureTrace, APlanThatDoesNotFitItsLogIsSaid) {
  runner::FailureCase failure = overwrite_failure();
  failure.file.plan.fates[1].kind = faultfs::FateKind::garbled;
  failure.file.plan.fates[1].sectors = {1};
  const std::string text = failure_trace(failure, false);
  EXPECT_THAT(text, HasSubstr("doubtful   the plan does not fit the log: w0010 cannot be garbled"));
  EXPECT_THAT(text, Not(HasSubstr("  image  ")));
}

TEST(FailureTrace, AWrongAnswerDuringTheRunNeedsNoCut) {
  runner::FailureCase failure = overwrite_failure();
  failure.violation.phase = "during the run";
  const std::string text = failure_trace(failure, false);
  EXPECT_THAT(text, HasSubstr("during the run    GET k7 -> hit, 32512"));
  EXPECT_THAT(text, HasSubstr("<-- breaks the claim"));
  EXPECT_THAT(text, Not(HasSubstr("power cut after")));
}

TEST(FailureTrace, ADeathIsShownAtTheRestart) {
  runner::FailureCase failure = overwrite_failure();
  failure.violation.property = "process_survives";
  failure.seen.after_recovery.clear();
  failure.seen.started = scenarios::Outcome::lost;
  EXPECT_THAT(failure_trace(failure, false), HasSubstr("restart           does not come up"));
  failure.seen.death = scenarios::Death{11, 0, ""};
  EXPECT_THAT(failure_trace(failure, false),
              ::testing::ContainsRegex("restart +died +<-- breaks the claim"));
}

TEST(FailureTrace, FitsThePageAndDiffersOnlyByColour) {
  for (const runner::FailureCase& failure : all_failures()) {
    const std::string plain = failure_trace(failure, false);
    EXPECT_EQ(without_escapes(failure_trace(failure, true)), plain);
    EXPECT_THAT(plain, Not(HasSubstr("\x1b")));
    EXPECT_TRUE(plain.ends_with('\n'));
    std::istringstream lines(plain);
    for (std::string line; std::getline(lines, line);) {
      EXPECT_LE(columns_of(line), page_columns) << line;
      EXPECT_FALSE(line.ends_with(' ')) << line;
    }
  }
}

TEST(FailureTrace, TheFirstFiveLinesSayWhatBroke) {
  std::istringstream lines(failure_trace(overwrite_failure(), false));
  std::vector<std::string> first;
  for (std::string line; first.size() < 5 && std::getline(lines, line);) {
    first.push_back(line);
  }
  EXPECT_THAT(first[0], HasSubstr("no_hodgepodge"));
  EXPECT_THAT(first[2], HasSubstr("claim      A hit returns the bytes of one PUT, whole."));
  EXPECT_THAT(first[3], HasSubstr("observed   GET k7 -> hit"));
  EXPECT_THAT(first[4], HasSubstr("allowed    miss | put#1 | put#3"));
}

TEST(FailureTrace, AfterTransportTheRenderedTextStands) {
  runner::FailureCase failure;
  failure.trace = "as rendered\n";
  failure.colored_trace = "as \x1b[1mrendered\x1b[0m\n";
  EXPECT_EQ(failure_trace(failure, false), failure.trace);
  EXPECT_EQ(failure_trace(failure, true), failure.colored_trace);
}

TEST(RunSummary, Full) {
  expect_golden("summary.txt", run_summary(full_summary(), false));
}

TEST(RunSummary, AGreenRunSaysWhatItDidNotLookAt) {
  runner::RunSummary summary = full_summary();
  summary.violated_states = summary.undecided_states = summary.causes = 0;
  summary.held = summary.states;
  summary.undecided_why.clear();
  summary.properties = {{"no_hodgepodge", {12480, 0, 0}}};
  const std::string text = run_summary(summary, false);
  expect_golden("summary_green.txt", text);
  EXPECT_THAT(text, HasSubstr("not explored"));
  EXPECT_EQ(without_escapes(run_summary(summary, true)), text);
}

TEST(RunSummary, SentencesThatDifferOnlyInNumbersAreOne) {
  runner::RunSummary summary;
  summary.not_explored = {"sampled: 400 of 105 crash points",
                          "sampled: 400 of 1200 crash points (1 in 8)",
                          "sampled: 400 of 2 crash points",
                          "misdirected writes on ssd_4k_misdirecting",
                          "misdirected writes on ssd_512_misdirecting"};
  const std::string text = run_summary(summary, false);
  EXPECT_THAT(text, HasSubstr("not explored   sampled: 400 of 2 to 105 crash points (2 times)\n"));
  EXPECT_THAT(text, HasSubstr("not explored   sampled: 400 of 1,200 crash points (1 in 8)\n"));
  EXPECT_THAT(text, HasSubstr("not explored   misdirected writes on ssd_4k_misdirecting\n"));
  EXPECT_THAT(text, HasSubstr("not explored   misdirected writes on ssd_512_misdirecting\n"));
}

TEST(Junit, Golden) {
  const runner::FailureCase failure = overwrite_failure();
  expect_golden("junit.xml",
                junit_of(full_summary(),
                         {{failure.file.profile,
                           failure.violation.property,
                           failure.violation.observed,
                           failure_trace(failure, false)}}));
}

TEST(Junit, IsWellFormedWhateverATargetSays) {
  runner::RunSummary summary = full_summary();
  summary.undecided_why = {{"it said <\"&'>]]> and \x01\x1b[0m", 2}};
  const std::string text = junit_of(
      summary, {{"ssd_4k_volatile", "no_hodgepodge", "a < b & \"c\"", "<trace> ]]> \x07 end"}});
  pugi::xml_document document;
  ASSERT_TRUE(document.load_string(text.c_str())) << text;
  const pugi::xml_node root = document.child("testsuites");
  EXPECT_STREQ(root.attribute("tests").value(), "5");
  EXPECT_STREQ(root.attribute("failures").value(), "1");
  EXPECT_STREQ(root.attribute("skipped").value(), "2");
  const pugi::xml_node failure =
      root.find_child_by_attribute("testsuite", "name", "ssd_4k_volatile")
          .find_child_by_attribute("testcase", "name", "no_hodgepodge")
          .child("failure");
  EXPECT_STREQ(failure.text().get(), "<trace> ]]> \xEF\xBF\xBD end");
  EXPECT_THAT(failure.attribute("message").value(), HasSubstr("a < b & \"c\" (violated in 3"));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
}

TEST(JsonLines, EveryEventIsOneObject) {
  runner::FailureCase failure = overwrite_failure();
  failure.violation.observed += "\xff and \n more";
  const std::string texts[] = {json_of(full_summary().info),
                               json_of(runner::Progress{1.5, 10, 2, 0, 0}),
                               json_of(failure),
                               json_of(full_summary())};
  const char* events[] = {"run_started", "progressed", "case_kept", "run_ended"};
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(texts[i].find('\n'), std::string::npos);
    const auto json = nlohmann::json::parse(texts[i]);
    EXPECT_EQ(json.at("event"), events[i]);
  }
  const auto kept = nlohmann::json::parse(texts[2]);
  EXPECT_EQ(kept.at("violation").at("property"), "no_hodgepodge");
  EXPECT_EQ(kept.at("seed"), "0x5d1c09e2");
  EXPECT_EQ(kept.at("profile"), "ssd_4k_volatile");
  const auto ended = nlohmann::json::parse(texts[3]);
  EXPECT_EQ(
      ended.at("properties_by_profile").at("ssd_4k_volatile").at("no_hodgepodge").at("violated"),
      3);
  EXPECT_EQ(ended.at("not_explored").size(), 2U);
}

struct Terminal : ::testing::Test {
  std::string told(bool live) {
    ReportOptions options;
    options.live = live;
    auto observers = make_observers(out, options);
    runner::RunInfo info = full_summary().info;
    info.seconds_max = 60;
    observers[0]->run_started(info);
    for (int i = 1; i <= 120; ++i) {
      observers[0]->progressed({i * 0.1, static_cast<std::uint64_t>(i) * 100, 3, 0, 0});
    }
    return out.str();
  }
  std::ostringstream out;
};

TEST_F(Terminal, PlainLinesComeAtMostEveryFiveSeconds) {
  EXPECT_EQ(told(false),
            "engine rock hardened on 11 device profiles\n"
            "seed 0x5d1c09e2    commit 3f2a91c (clean)    1 worker\n"
            "5,000 crash states   1,000/s   5.0 s, 55 s to go   violated 0\n"
            "10,000 crash states   1,000/s   10 s, 50 s to go   violated 0\n");
}

TEST_F(Terminal, MoreThanADayIsNotCountedInHours) {
  ReportOptions options;
  auto observers = make_observers(out, options);
  runner::RunInfo info = full_summary().info;
  info.states_max = 1'000'000'000'000;
  observers[0]->run_started(info);
  observers[0]->progressed({6, 600, 3, 0, 0});
  EXPECT_THAT(out.str(), HasSubstr("6.0 s, more than a day to go"));
}

TEST_F(Terminal, ALiveLineIsRedrawnInPlace) {
  const std::string text = told(true);
  EXPECT_GT(std::count(text.begin(), text.end(), '\r'), 50);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
}

TEST_F(Terminal, ATraceAndTheSummaryFollowOnCleanLines) {
  ReportOptions options;
  options.live = true;
  auto observers = make_observers(out, options);
  observers[0]->progressed({1, 100, 3, 0, 0});
  observers[0]->case_kept(overwrite_failure());
  observers[0]->run_ended(full_summary());
  EXPECT_THAT(out.str(), HasSubstr("\r\x1b[K\nFAIL  no_hodgepodge"));
  EXPECT_THAT(out.str(), HasSubstr(run_summary(full_summary(), false)));
}

TEST(Observers, FilesAreWrittenAndTroubleIsSaid) {
  const auto directory = std::filesystem::temp_directory_path() / "powercut_reports_test";
  std::filesystem::create_directories(directory);
  ReportOptions options;
  options.json = directory / "run.jsonl";
  options.junit = directory / "run.xml";
  std::ostringstream out;
  for (auto& observer : make_observers(out, options)) {
    observer->run_started(full_summary().info);
    observer->case_kept(overwrite_failure());
    observer->run_ended(full_summary());
  }
  const std::string json = read(options.json);
  EXPECT_EQ(std::count(json.begin(), json.end(), '\n'), 3);
  EXPECT_THAT(read(options.junit), HasSubstr("<testsuites name=\"powercut: engine rock"));
  std::filesystem::remove_all(directory);
  std::ostringstream complaints;
  for (auto& observer : make_observers(complaints, options)) {
    observer->run_ended(full_summary());
  }
  EXPECT_THAT(complaints.str(), HasSubstr("run.jsonl cannot be written"));
  EXPECT_THAT(complaints.str(), HasSubstr("run.xml cannot be written"));
}

}  // namespace
}  // namespace reports
