// Every gate switched off alone must be caught by the campaign: the proof that the harness detects
// what it claims. Prints the table kept in engine/README.md; POWERCUT_REWRITE=1 rewrites it there.

#include <stdlib.h>

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

class FirstCase : public Observer {
 public:
  void case_kept(const FailureCase& failure) override {
    if (!kept) {
      kept = failure;
    }
  }
  std::optional<FailureCase> kept;
};

struct Row {
  std::string property, profile;
  std::uint64_t states = 0;
  std::size_t commands = 0, fates = 0;
  double seconds = 0;
};

std::optional<Row> detect(const std::string& gate) {
  std::string name = (fs::temp_directory_path() / "powercut-test-XXXXXX").string();
  const fs::path out = mkdtemp(name.data());
  CampaignOptions options;
  options.config.without_gates = {gate};
  options.seed = 0x6a7e;
  options.states_max = 120000;
  options.stop_at_first = true;
  options.jobs = 2;
  options.out = out;
  FirstCase first;
  const auto summary = run_campaign(options, {&first});
  fs::remove_all(out);
  if (!summary || !first.kept) {
    return std::nullopt;
  }
  return Row{first.kept->violation.property,
             first.kept->file.profile,
             summary->states,
             first.kept->file.commands.size(),
             first.kept->file.plan.fates.size(),
             summary->seconds};
}

std::string read(const fs::path& file) {
  std::ifstream stream(file);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

/// The README's rows by gate; each begins "| gate | property |".
std::map<std::string, std::string> kept_rows(const std::string& readme) {
  std::map<std::string, std::string> rows;
  const auto begin = readme.find(table_begin);
  const auto end = readme.find(table_end);
  if (begin == std::string::npos || end == std::string::npos) {
    return rows;
  }
  std::istringstream lines(readme.substr(begin, end - begin));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("| `")) {
      const auto gate_end = line.find('`', 3);
      rows[line.substr(3, gate_end - 3)] = line;
    }
  }
  return rows;
}

TEST(Gates, EachSwitchedOffAloneIsCaught) {
  std::string table(table_begin);
  table +=
      "| gate off | caught by | first on | crash states | seconds, shrinking included | commands, "
      "fates |\n";
  table += "|---|---|---|---|---|---|\n";
  const fs::path readme = fs::path(POWERCUT_SOURCE) / "engine" / "README.md";
  const auto kept = kept_rows(read(readme));
  const bool rewrite = getenv("POWERCUT_REWRITE") != nullptr;
  for (const auto gate : engine::rock::all_gates()) {
    if (!engine::rock::switchable(gate)) {
      continue;
    }
    const std::string name(engine::rock::gate_name(gate));
    const auto row = detect(name);
    EXPECT_TRUE(row.has_value()) << "nothing catches the absence of " << name;
    if (!row) {
      continue;
    }
    table += fmt::format("| `{}` | {} | {} | {} | {:.1f} | {}, {} |\n",
                         name,
                         row->property,
                         row->profile,
                         row->states,
                         row->seconds,
                         row->commands,
                         row->fates);
    if (!rewrite) {
      const auto found = kept.find(name);
      ASSERT_NE(found, kept.end()) << name << " is not in the table of engine/README.md";
      EXPECT_NE(found->second.find(row->property), std::string::npos)
          << name << " is caught by " << row->property << ", but engine/README.md says\n"
          << found->second;
    }
  }
  table += table_end;
  std::cout << table << "\n";
  if (rewrite) {
    std::string text = read(readme);
    const auto begin = text.find(table_begin);
    const auto end = text.find(table_end);
    ASSERT_NE(begin, std::string::npos) << "engine/README.md has no place for the table";
    text.replace(begin, end + table_end.size() - begin, table);
    std::ofstream(readme) << text;
  }
}

}  // namespace
}  // namespace runner
