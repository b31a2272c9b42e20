// Every gate switched off alone must be caught: the proof that the harness detects what it claims.
// Prints the table kept in engine/README.md; POWERCUT_REWRITE=1 rewrites it there.
//
// A gate is searched for as a campaign searches: generated histories, every device profile in turn,
// the same seed for all. Three gates guard against so rare a meeting of accidents that a campaign
// needs minutes; there the test names the story, and the device where only one kind will do. What a
// campaign needs without being told is measured by hand and stands beside the table.
//
// A property that always cries would pass this: so each search is made again with the gate on, for
// as many states, and must find nothing.

#include <stdlib.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "engine/rock/config.h"
#include "runner/campaign.h"

namespace runner {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view table_begin = "<!-- gates -->\n";
constexpr std::string_view table_end = "<!-- /gates -->";
constexpr std::uint64_t states_max = 60000;

/// What the search is told beforehand; empty: nothing.
struct Hint {
  std::string scenario, profile;
};

const std::map<std::string, Hint> hints = {
    {"slot_instance", {"slot_from_before_the_clear", ""}},
    {"slot_header_checksum", {"header_update_over_tombstone", "disk_512_torn"}},
    {"owner_check", {"aborted_upload_lends_its_slot", ""}},
};

class Cases : public Observer {
 public:
  void case_kept(const FailureCase& failure) override { kept.push_back(failure); }
  std::vector<FailureCase> kept;
};

struct Found {
  std::vector<FailureCase> cases;
  std::uint64_t states = 0;
  double seconds = 0;
};

Found search(const std::vector<std::string>& without_gates, const Hint& hint, std::uint64_t most) {
  std::string name = (fs::temp_directory_path() / "powercut-test-XXXXXX").string();
  const fs::path out = mkdtemp(name.data());
  CampaignOptions options;
  options.config.without_gates = without_gates;
  options.seed = 0x6a7e;
  options.states_max = most;
  options.stop_at_first = true;
  options.shrink = false;
  options.jobs = 2;
  options.out = out;
  options.profile = hint.profile;
  if (!hint.scenario.empty()) {
    options.scenario = hint.scenario;
    options.vary_slot = false;  // the story is told in slots of 16K
  }
  Cases cases;
  const auto summary = run_campaign(options, {&cases});
  fs::remove_all(out);
  EXPECT_TRUE(summary) << (summary ? "" : summary.error().message);
  return summary ? Found{cases.kept, summary->states, summary->seconds} : Found{};
}

std::string row_of(const std::string& gate, const Hint& hint, const Found& found) {
  std::string properties;
  for (const FailureCase& each : found.cases) {
    properties += (properties.empty() ? "" : ", ") + each.violation.property;
  }
  std::string told = hint.scenario.empty() ? "nothing" : fmt::format("`{}`", hint.scenario);
  told += hint.profile.empty() ? "" : fmt::format(" on `{}`", hint.profile);
  return fmt::format("| `{}` | {} | {} | {} | {} | {:.1f} |",
                     gate,
                     properties,
                     told,
                     found.cases.front().file.profile,
                     found.states,
                     found.seconds);
}

std::string read(const fs::path& file) {
  std::ifstream stream(file);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

/// The row of `gate` as the README keeps it; empty: there is none.
std::string kept_row(const std::string& readme, const std::string& gate) {
  const auto begin = readme.find(fmt::format("| `{}` | ", gate), readme.find(table_begin));
  return begin == std::string::npos ? "" : readme.substr(begin, readme.find('\n', begin) - begin);
}

void expect_kept(const std::string& readme, const std::string& gate, const Found& found) {
  const std::string kept = kept_row(readme, gate);
  EXPECT_TRUE(std::ranges::any_of(found.cases,
                                  [&kept](const FailureCase& each) {
                                    return kept.find(each.violation.property) != std::string::npos;
                                  }))
      << "engine/README.md says of " << gate << "\n"
      << kept << "\nand it was caught by " << found.cases.front().violation.property;
}

void rewrite(const fs::path& readme, const std::string& table) {
  std::string text = read(readme);
  const auto begin = text.find(table_begin);
  const auto end = text.find(table_end);
  ASSERT_NE(end, std::string::npos) << readme << " has no place for the table";
  text.replace(begin, end + table_end.size() - begin, table);
  std::ofstream(readme) << text;
}

/// The gate's row, or nothing where its absence is not caught.
std::string prove(const std::string& gate, const std::string& readme) {
  const auto told = hints.find(gate);
  const Hint hint = told == hints.end() ? Hint{} : told->second;
  const Found off = search({gate}, hint, states_max);
  if (off.cases.empty()) {
    ADD_FAILURE() << "nothing catches the absence of " << gate;
    return {};
  }
  for (const FailureCase& each : off.cases) {
    EXPECT_EQ(each.reproduced, each.replays) << gate << ": " << each.violation.property;
  }
  const Found on = search({}, hint, off.states);
  EXPECT_EQ(on.states, off.states);
  EXPECT_TRUE(on.cases.empty()) << gate
                                << " is on, and yet: " << on.cases.front().violation.observed;
  if (getenv("POWERCUT_REWRITE") == nullptr) {
    expect_kept(readme, gate, off);
  }
  return row_of(gate, hint, off) + "\n";
}

TEST(Gates, EachSwitchedOffAloneIsCaught) {
  const fs::path readme = fs::path(POWERCUT_SOURCE) / "engine" / "README.md";
  const std::string before = read(readme);
  std::string table = std::string(table_begin) +
                      "| gate off | caught by | told | first on | crash states | seconds |\n"
                      "|---|---|---|---|---|---|\n";
  std::vector<std::string_view> names;
  engine::rock::gate_table.add_switchable_names(names);
  for (const std::string_view name : names) {
    table += prove(std::string(name), before);
  }
  table += table_end;
  std::cout << table << "\n";
  if (getenv("POWERCUT_REWRITE") != nullptr) {
    rewrite(readme, table);
  }
}

}  // namespace
}  // namespace runner
