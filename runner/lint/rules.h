#pragma once

#include <string_view>
#include <vector>

#include "runner/lint/source_tree.h"

namespace runner::lint {

/// Appends what is wrong in one file.
using FileCheck = void (*)(const SourceFile& file, std::vector<Finding>& findings);
/// Appends what is wrong in the tree as a whole.
using TreeCheck = void (*)(const SourceTree& tree, std::vector<Finding>& findings);

/// A rule of the house that a machine can see: a check of each file, or of the whole tree.
struct Rule {
  std::string_view name;
  std::string_view claim;  ///< one sentence: what is true of a tree without findings
  FileCheck of_file = nullptr;
  TreeCheck of_tree = nullptr;
};

/// Every rule, in the order of the files they live in.
[[nodiscard]] const std::vector<Rule>& all_rules();
[[nodiscard]] std::vector<Finding> check(const Rule& rule, const SourceTree& tree);

// include_rules.cc: who may include what.
void include_direction(const SourceFile& file, std::vector<Finding>& findings);
void third_party(const SourceFile& file, std::vector<Finding>& findings);

// code_rules.cc: what code may call, and how headers and tests are made.
void banned_words(const SourceFile& file, std::vector<Finding>& findings);
void headers(const SourceFile& file, std::vector<Finding>& findings);
void built_sources(const SourceTree& tree, std::vector<Finding>& findings);

// text_rules.cc: what any file may say, and where it may stand.
void budgets(const SourceFile& file, std::vector<Finding>& findings);
void unfinished_words(const SourceFile& file, std::vector<Finding>& findings);
void machine_paths(const SourceFile& file, std::vector<Finding>& findings);
void top_level(const SourceFile& file, std::vector<Finding>& findings);
void readme_headings(const SourceTree& tree, std::vector<Finding>& findings);

}  // namespace runner::lint
