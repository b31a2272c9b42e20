// Shows every rule firing on a planted file, and not firing on its nearest lawful neighbour.

#include "runner/lint/rules.h"

#include <ostream>
#include <set>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace runner::lint {
namespace {

using testing::HasSubstr;

/// A file that breaks a rule, what is said of it, and one that does not.
struct Planted {
  std::string rule;
  std::string path;
  std::string text;
  std::string said;
  std::string lawful_path;
  std::string lawful_text;
};

std::ostream& operator<<(std::ostream& out, const Planted& planted) {
  return out << planted.rule << " on " << planted.path;
}

/// A tree that breaks no rule, with `path` replaced or added.
SourceTree tree_with(const std::string& path, const std::string& text) {
  SourceTree tree;
  for (const char* room : {"engine", "faultfs", "scenarios", "properties", "runner", "reports"}) {
    const std::string name = std::string(room) + "/README.md";
    if (name != path) {
      tree.push_back(make_file(name, "# R\n## What it is\n## What it may include\n## Decisions\n"));
    }
    const std::string build = std::string(room) + "/CMakeLists.txt";
    tree.push_back(make_file(
        build,
        "a.cc b_test.cc c_bench.cc generate.cc child.cc session.cc main.cc command_line.cc"));
  }
  tree.push_back(make_file(path, text));
  return tree;
}

std::string repeated(const std::string& line, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count; ++i) {
    text += line;
  }
  return text;
}

/// The word without its gap: this file, too, may not hold what is forbidden.
std::string closed(std::string word) {
  word.erase(word.find('^'), 1);
  return word;
}

std::vector<Planted> include_cases() {
  return {
      {"include_direction",
       "engine/a.cc",
       "#include \"faultfs/device.h\"\n",
       "engine/a.cc:1: includes \"faultfs/device.h\"; files under engine/ may include only engine/",
       "engine/a.cc",
       "#include \"engine/store.h\"\n// #include \"faultfs/device.h\"\n"},
      {"include_direction",
       "faultfs/a.cc",
       "#include \"engine/store.h\"\n",
       "may include only faultfs/",
       "faultfs/a.cc",
       "#include <vector>\n"},
      {"include_direction",
       "engine/a.cc",
       "\n#include \"store.h\"\n",
       "engine/a.cc:2: includes \"store.h\"",
       "scenarios/a.cc",
       "#include \"engine/store.h\"\n#include \"faultfs/device.h\"\n"},
      {"include_direction",
       "scenarios/a.cc",
       "#include \"runner/observer.h\"\n",
       "may include only scenarios/, engine/, faultfs/",
       "runner/a.cc",
       "#include \"scenarios/history.h\"\n"},
      {"include_direction",
       "properties/a.cc",
       "#include \"engine/store.h\"\n",
       "may include only properties/, scenarios/",
       "properties/a.cc",
       "#include \"scenarios/history.h\"\n"},
      {"include_direction",
       "runner/a.cc",
       "#include \"reports/reports.h\"\n",
       "files under runner/ may include only",
       "runner/main.cc",
       "#include \"reports/reports.h\"\n"},
      {"include_direction",
       "reports/a.cc",
       "#include \"engine/store.h\"\n",
       "may include only reports/, runner/",
       "reports/a.cc",
       "#include \"runner/observer.h\"\n"},
  };
}

std::vector<Planted> third_party_cases() {
  return {
      {"third_party",
       "faultfs/a.cc",
       "#include <fuse3/fuse_lowlevel.h>\n",
       "use faultfs/mount/mount.h",
       "faultfs/mount/session.cc",
       "#include <fuse3/fuse_lowlevel.h>\n"},
      {"third_party",
       "runner/a.cc",
       "#include <boost/process.hpp>\n",
       "use scenarios/process/child.h",
       "scenarios/process/child.cc",
       "#include <boost/process.hpp>\n"},
      {"third_party",
       "runner/a.cc",
       "#include <rapidcheck.h>\n",
       "use scenarios/generate.h",
       "runner/b_test.cc",
       "#include <rapidcheck/gtest.h>\n"},
      {"third_party",
       "engine/a.cc",
       "#include <gtest/gtest.h>\n",
       "GoogleTest belongs to tests",
       "engine/b_test.cc",
       "#include <gtest/gtest.h>\n"},
      {"third_party",
       "engine/a.cc",
       "#include <benchmark/benchmark.h>\n",
       "*bench.cc",
       "engine/c_bench.cc",
       "#include <benchmark/benchmark.h>\n"},
  };
}

std::vector<Planted> word_cases() {
  return {
      {"banned_words",
       "runner/a.cc",
       "int x = rand();\n",
       "runner/a.cc:1: uses `rand(`: draw from faultfs/base/random.h",
       "runner/a.cc",
       "int operand(int);  // rand()\nconst char* text = \"rand()\";\n"},
      {"banned_words",
       "scenarios/a.cc",
       "std::random_device device;\n",
       "comes from --seed",
       "runner/command_line.cc",
       "std::random_device device;\n"},
      {"banned_words",
       "runner/a.cc",
       "const auto seed = std::time(nullptr);\n",
       "comes from --seed",
       "runner/a.cc",
       "const double time = elapsed_time(nullptr);\n"},
      {"banned_words",
       "engine/rock/a.cc",
       "#include <chrono>\n",
       "a verdict may not depend on time",
       "engine/service/a.cc",
       "#include <chrono>\n"},
      {"banned_words",
       "runner/a.cc",
       "std::system(\"ls\");\n",
       "uses `system(`",
       "runner/a.cc",
       "int file_system(int);\n"},
      {"banned_words",
       "runner/b_test.cc",
       "void f() {\n  std::this_thread::sleep_for(1s);\n}\n",
       "runner/b_test.cc:2: uses `sleep_for(`: wait for the condition itself",
       "runner/b_test.cc",
       "void f() {\n  // pause: the loop around it is bounded\n  "
       "std::this_thread::sleep_for(1s);\n}\n"},
      {"banned_words",
       "faultfs/a.cc",
       "assert(x);\n",
       "use POWERCUT_CHECK",
       "faultfs/a.cc",
       "static_assert(x);\nPOWERCUT_CHECK(x);\n"},
      {"banned_words",
       "faultfs/b_test.cc",
       "GTEST_SKIP();\n",
       "say why",
       "faultfs/b_test.cc",
       "GTEST_SKIP() << why;\n"},
      {"banned_words",
       "faultfs/a.cc",
       "auto s = R\"x(rand())x\"; int c = '\\''; int n = 1'000; rand ();\nrand();\n",
       "faultfs/a.cc:2: uses `rand(`",
       "faultfs/a.cc",
       "auto s = R\"x(rand())x\"; int c = '\"'; int n = 1'000; /* rand() */\n"},
  };
}

std::vector<Planted> file_cases() {
  return {
      {"headers",
       "engine/x.h",
       "/// Text.\n",
       "without `#pragma once`",
       "engine/x.h",
       "#pragma once\n/// Text.\n"},
      {"headers",
       "engine/x.h",
       "#pragma once\n/// A.\nclass A {\n};\n\nclass B : A {\n};\n",
       "engine/x.h:6: a class without a `///` line",
       "engine/x.h",
       "#pragma once\n/// A.\nclass A {\n};\nclass B;\n"},
      {"headers",
       "engine/x.h",
       "#pragma once\nint f();\n",
       "without a single `///`",
       "engine/x.h",
       "#pragma once\n/// F.\nint f();\n"},
      {"built_sources",
       "engine/rock/lost_test.cc",
       "int x;\n",
       "engine/rock/lost_test.cc:1: no CMake file of its room names it",
       "engine/rock/a.cc",
       "int x;\n"},
  };
}

std::vector<Planted> text_cases() {
  return {
      {"budgets",
       "engine/a.cc",
       repeated("int x;\n", 501),
       "engine/a.cc:501: 501 lines; split it at 500",
       "engine/a.cc",
       repeated("int x;\n", 500)},
      {"budgets",
       "engine/a.cc",
       "\n//" + repeated("x", 99) + "\n",
       "engine/a.cc:2: 101 columns",
       "engine/a.cc",
       "//" + repeated("\xC3\xA9", 98) + "\n"},
      {"unfinished_words",
       "engine/a.cc",
       closed("// T^ODO: later\n"),
       "finish it, or open an issue",
       "engine/a.cc",
       closed("// T^ODOS is a word\n")},
      {"unfinished_words",
       "engine/CMakeLists.txt",
       closed("# F^IXME\n"),
       "engine/CMakeLists.txt:1:",
       "engine/a.cc",
       "int fix_me;\n"},
      {"unfinished_words",
       "engine/a.cc",
       closed("// Copyright [y^yyy] somebody\n"),
       "finish it",
       "LICENSE",
       closed("Copyright [y^yyy]\n")},
      {"machine_paths",
       "README.md",
       closed("see /h^ome/me/x\n"),
       "a place on one machine",
       "README.md",
       "see build/x\n"},
      {"machine_paths",
       "engine/a.cc",
       closed("// /w^ork/x\n"),
       "engine/a.cc:1:",
       "engine/a.cc",
       "// rework/x\n"},
      {"readme_headings",
       "engine/README.md",
       "# Engine\n## What it is\n## Decisions\n",
       "lacks one of the headings",
       "engine/README.md",
       "# Engine\n## What it is\n### More\n## What it may include\n## Decisions\n"},
      {"readme_headings",
       "engine/README.md",
       "# Engine\n## Decisions\n## What it may include\n## What it is\n",
       "in this order",
       "engine/a.cc",
       "int x;\n"},
      {"top_level", "docs/a.md", "x\n", "stands outside the six rooms", ".ci/run", "x\n"},
      {"top_level", "Makefile", "x\n", "stands outside the six rooms", "LICENSE", "x\n"},
  };
}

std::vector<Planted> all_cases() {
  std::vector<Planted> cases = include_cases();
  for (const auto& more : {third_party_cases(), word_cases(), file_cases(), text_cases()}) {
    cases.insert(cases.end(), more.begin(), more.end());
  }
  return cases;
}

const Rule& rule_called(const std::string& name) {
  for (const Rule& rule : all_rules()) {
    if (rule.name == name) {
      return rule;
    }
  }
  ADD_FAILURE() << "no rule is called " << name;
  return all_rules().front();
}

class PlantedRule : public testing::TestWithParam<Planted> {};

TEST_P(PlantedRule, FiresOnItAndNotOnItsNeighbour) {
  const Planted& planted = GetParam();
  const Rule& rule = rule_called(planted.rule);
  const auto found = check(rule, tree_with(planted.path, planted.text));
  ASSERT_EQ(found.size(), 1U) << to_text(found);
  EXPECT_THAT(to_text(found), HasSubstr(planted.said));
  EXPECT_EQ(to_text(check(rule, tree_with(planted.lawful_path, planted.lawful_text))), "");
}

std::string name_of(const testing::TestParamInfo<Planted>& planted) {
  return planted.param.rule + "_" + std::to_string(planted.index);
}

INSTANTIATE_TEST_SUITE_P(All, PlantedRule, testing::ValuesIn(all_cases()), name_of);

TEST(Rules, EachHasAPlantedCase) {
  std::set<std::string> planted;
  for (const Planted& one : all_cases()) {
    planted.insert(one.rule);
  }
  std::set<std::string> existing;
  for (const Rule& rule : all_rules()) {
    existing.emplace(rule.name);
  }
  EXPECT_EQ(planted, existing);
}

TEST(Rules, ReadmeThatIsMissingIsFound) {
  EXPECT_THAT(to_text(check(rule_called("readme_headings"), {})),
              HasSubstr("engine/README.md:1: is missing"));
}

TEST(SourceFile, HidesCommentsAndLiteralsFromItsCode) {
  const SourceFile file = make_file("a.cc", "f(\"a\\\"b\", 'c'); /* d\ne */ g(1'0); // h\ni");
  EXPECT_EQ(file.code, "f(\"    \", ' ');     \n     g(1'0);     \ni");
}

TEST(SourceFile, HidesRawStringsWhole) {
  const SourceFile file = make_file("a.cc", "x = R\"y(a\"b)\" c)y\"; d");
  EXPECT_EQ(file.code, "x = R\"           \"; d");
}

TEST(FindWord, TakesWholeIdentifiersOnly) {
  EXPECT_EQ(find_word("operand(x) rand(y)", "rand(", 0), 11U);
  EXPECT_EQ(find_word("rand_r(x)", "rand", 0), std::string::npos);
}

}  // namespace
}  // namespace runner::lint
