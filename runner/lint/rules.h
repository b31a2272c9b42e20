#pragma once

#include <string_view>
#include <vector>

#include "runner/lint/source_tree.h"

namespace runner::lint {

using Check = std::vector<Finding> (*)(const SourceTree&);

/// A rule of the house that a machine can see.
struct Rule {
  std::string_view name;
  std::string_view claim;  ///< one sentence: what is true of a tree without findings
  Check check;
};

/// Every rule, in the order of the files they live in.
[[nodiscard]] const std::vector<Rule>& all_rules();

// include_rules.cc: who may include what.
[[nodiscard]] std::vector<Finding> include_direction(const SourceTree& tree);
[[nodiscard]] std::vector<Finding> third_party(const SourceTree& tree);

// code_rules.cc: what code may call, and how headers and tests are made.
[[nodiscard]] std::vector<Finding> banned_words(const SourceTree& tree);
[[nodiscard]] std::vector<Finding> headers(const SourceTree& tree);
[[nodiscard]] std::vector<Finding> built_sources(const SourceTree& tree);

// text_rules.cc: what any file may say, and where it may stand.
[[nodiscard]] std::vector<Finding> budgets(const SourceTree& tree);
[[nodiscard]] std::vector<Finding> unfinished_words(const SourceTree& tree);
[[nodiscard]] std::vector<Finding> machine_paths(const SourceTree& tree);
[[nodiscard]] std::vector<Finding> readme_headings(const SourceTree& tree);
[[nodiscard]] std::vector<Finding> top_level(const SourceTree& tree);

}  // namespace runner::lint
