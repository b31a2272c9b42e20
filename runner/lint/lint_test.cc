// The rules of the house, applied to the tree this was built from.

#include <ostream>
#include <string>

#include <gtest/gtest.h>

#include "runner/lint/rules.h"

namespace runner::lint {

/// What GoogleTest prints for a parameter.
std::ostream& operator<<(std::ostream& out, const Rule& rule) {
  return out << rule.name;
}

namespace {

const SourceTree& tree() {
  static const SourceTree read = read_tree(POWERCUT_SOURCE_DIR);
  return read;
}

class House : public testing::TestWithParam<Rule> {};

TEST_P(House, Holds) {
  const auto findings = check(GetParam(), tree());
  EXPECT_TRUE(findings.empty()) << GetParam().claim << "\n" << to_text(findings);
}

std::string name_of(const testing::TestParamInfo<Rule>& rule) {
  return std::string(rule.param.name);
}

INSTANTIATE_TEST_SUITE_P(Rules, House, testing::ValuesIn(all_rules()), name_of);

TEST(Tree, HoldsAllSixRooms) {
  std::string rooms;
  for (const SourceFile& file : tree()) {
    if (file.path.ends_with("/CMakeLists.txt") &&
        file.path == std::string(room_of(file.path)) + "/CMakeLists.txt") {
      rooms += std::string(room_of(file.path)) + " ";
    }
  }
  EXPECT_EQ(rooms, "engine faultfs properties reports runner scenarios ");
}

}  // namespace
}  // namespace runner::lint
