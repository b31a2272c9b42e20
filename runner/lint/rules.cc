#include "runner/lint/rules.h"

namespace runner::lint {

const std::vector<Rule>& all_rules() {
  static const std::vector<Rule> rules = {
      {"include_direction",
       "A room includes only the rooms below it, by paths from the top.",
       include_direction},
      {"third_party", "Each third-party header is included in its one place.", third_party},
      {"banned_words", "No code uses a word for which the house has a better one.", banned_words},
      {"headers", "A header is guarded, and says what its classes are.", headers},
      {"built_sources", "Every source is named in its room's CMake files.", nullptr, built_sources},
      {"budgets", "Sources have at most 500 lines of at most 100 columns.", budgets},
      {"unfinished_words", "Nothing is marked as left to do or to fill in.", unfinished_words},
      {"machine_paths", "No file names a place on somebody's machine.", machine_paths},
      {"readme_headings", "Every room's README has its three headings.", nullptr, readme_headings},
      {"top_level", "The top level holds the six rooms and little else.", top_level},
  };
  return rules;
}

std::vector<Finding> check(const Rule& rule, const SourceTree& tree) {
  std::vector<Finding> findings;
  if (rule.of_tree != nullptr) {
    rule.of_tree(tree, findings);
    return findings;
  }
  for (const SourceFile& file : tree) {
    rule.of_file(file, findings);
  }
  return findings;
}

}  // namespace runner::lint
