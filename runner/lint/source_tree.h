#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace runner::lint {

/// A file of the tree: its path from the top ("engine/store.h"), and what stands in it.
struct SourceFile {
  std::string path;
  std::string text;
  /// C++ only: `text` with comments and the insides of literals blanked, so that a word found here
  /// is code. Same length, same lines. Empty for other files.
  std::string code;
};

using SourceTree = std::vector<SourceFile>;

/// A place where a rule is broken, and what to do about it.
struct Finding {
  std::string path;
  std::size_t line = 1;
  std::string message;
};

/// "engine/store.h:12: …", one line per finding.
[[nodiscard]] std::string to_text(const std::vector<Finding>& findings);

/// A file with its `code` filled in; used by `read_tree` and by tests that plant files.
[[nodiscard]] SourceFile make_file(std::string path, std::string text);

/// Every file below `top` that could be committed, in order of path: not what `.gitignore` names at
/// the top level (it may only hold such lines), not `.git`.
[[nodiscard]] SourceTree read_tree(const std::filesystem::path& top);

[[nodiscard]] bool is_cpp(std::string_view path);
[[nodiscard]] bool is_test(std::string_view path);

/// "engine" of "engine/rock/store.h"; empty for a file of the top level.
[[nodiscard]] std::string_view room_of(std::string_view path);

/// The line (from 1) that holds `position` of `text`.
[[nodiscard]] std::size_t line_at(std::string_view text, std::size_t position);

/// Where `word` stands in `text` from `from` on, not as a part of a longer identifier; npos:
/// nowhere.
[[nodiscard]] std::size_t find_word(std::string_view text, std::string_view word, std::size_t from);

}  // namespace runner::lint
