#include "runner/lint/source_tree.h"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>

#include <fmt/format.h>

namespace runner::lint {
namespace {

namespace fs = std::filesystem;

std::string read_whole(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

bool identifier_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

/// Where the token that begins at `at` ends when it is a comment or literal, and how many of its
/// first and last characters stay visible (the quotes of a literal); none for any other token.
struct Hidden {
  std::size_t end = 0;
  std::size_t visible = 0;
};

std::size_t after(std::string_view text, std::string_view what, std::size_t from) {
  const std::size_t found = text.find(what, from);
  return found == std::string_view::npos ? text.size() : found + what.size();
}

std::size_t end_of_quoted(std::string_view text, std::size_t begin) {
  const char quote = text[begin];
  for (std::size_t i = begin + 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == quote || text[i] == '\n') {
      return i + 1;
    }
  }
  return text.size();
}

bool begins_raw_string(std::string_view text, std::size_t at) {
  return text[at] == '"' && at > 0 && text[at - 1] == 'R' &&
         (at == 1 || !identifier_character(text[at - 2]));
}

std::optional<Hidden> hidden_at(std::string_view text, std::size_t at) {
  const std::string_view rest = text.substr(at);
  if (rest.starts_with("//")) {
    return Hidden{std::min(text.find('\n', at), text.size()), 0};
  }
  if (rest.starts_with("/*")) {
    return Hidden{after(text, "*/", at + 2), 0};
  }
  if (begins_raw_string(text, at)) {
    const std::string_view delimiter = rest.substr(1, rest.find('(') - 1);
    return Hidden{after(text, ")" + std::string(delimiter) + '"', at), 1};
  }
  if (text[at] == '"') {
    return Hidden{end_of_quoted(text, at), 1};
  }
  // A quote after a digit or letter separates digits: 1'000.
  if (text[at] == '\'' && (at == 0 || !identifier_character(text[at - 1]))) {
    return Hidden{end_of_quoted(text, at), 1};
  }
  return std::nullopt;
}

std::string code_of(std::string_view text) {
  std::string code(text);
  for (std::size_t at = 0; at < text.size();) {
    const std::optional<Hidden> hidden = hidden_at(text, at);
    if (!hidden) {
      ++at;
      continue;
    }
    for (std::size_t i = at + hidden->visible; i + hidden->visible < hidden->end; ++i) {
      code[i] = text[i] == '\n' ? '\n' : ' ';
    }
    at = hidden->end;
  }
  return code;
}

/// Names of the top level that git does not look at: `.git` and the lines "/name/" or "/prefix*/"
/// of
/// `.gitignore`.
bool ignored(std::string_view name, const std::vector<std::string>& patterns) {
  const auto matches = [name](std::string_view pattern) {
    return pattern.ends_with('*') ? name.starts_with(pattern.substr(0, pattern.size() - 1))
                                  : name == pattern;
  };
  return name == ".git" || std::any_of(patterns.begin(), patterns.end(), matches);
}

std::vector<std::string> ignore_patterns(const fs::path& top) {
  std::vector<std::string> patterns;
  std::ifstream in(top / ".gitignore");
  for (std::string line; std::getline(in, line);) {
    if (line.size() > 2 && line.starts_with('/') && line.ends_with('/')) {
      patterns.push_back(line.substr(1, line.size() - 2));
    }
  }
  return patterns;
}

}  // namespace

std::string to_text(const std::vector<Finding>& findings) {
  std::string text;
  for (const Finding& finding : findings) {
    text += fmt::format("{}:{}: {}\n", finding.path, finding.line, finding.message);
  }
  return text;
}

SourceFile make_file(std::string path, std::string text) {
  std::string code = is_cpp(path) ? code_of(text) : std::string();
  return {std::move(path), std::move(text), std::move(code)};
}

SourceTree read_tree(const fs::path& top) {
  const std::vector<std::string> patterns = ignore_patterns(top);
  SourceTree tree;
  for (auto it = fs::recursive_directory_iterator(top); it != fs::end(it); ++it) {
    if (it.depth() == 0 && ignored(it->path().filename().string(), patterns)) {
      it.disable_recursion_pending();
    } else if (it->is_regular_file()) {
      tree.push_back(make_file(fs::relative(it->path(), top).string(), read_whole(it->path())));
    }
  }
  std::sort(tree.begin(), tree.end(), [](const SourceFile& a, const SourceFile& b) {
    return a.path < b.path;
  });
  return tree;
}

bool is_cpp(std::string_view path) {
  return path.ends_with(".cc") || path.ends_with(".h");
}

bool is_test(std::string_view path) {
  return path.ends_with("_test.cc") || path.ends_with("_test.h");
}

std::string_view room_of(std::string_view path) {
  const std::size_t slash = path.find('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

std::size_t line_at(std::string_view text, std::size_t position) {
  const std::string_view before = text.substr(0, position);
  return 1 + static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n'));
}

std::size_t find_word(std::string_view text, std::string_view word, std::size_t from) {
  for (std::size_t at = text.find(word, from); at != std::string_view::npos;
       at = text.find(word, at + 1)) {
    const std::size_t end = at + word.size();
    const bool begins =
        at == 0 || !identifier_character(text[at - 1]) || !identifier_character(word.front());
    const bool ends = end == text.size() || !identifier_character(text[end]) ||
                      !identifier_character(word.back());
    if (begins && ends) {
      return at;
    }
  }
  return std::string_view::npos;
}

}  // namespace runner::lint
