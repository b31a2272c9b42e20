#pragma once

#include <string_view>
#include <vector>

namespace scenarios {

/// A file of this folder, compiled in: its name without `.scenario`, and its text. The story is in
/// lines that begin with '#'; every other line that is not empty is a command.
struct NamedText {
  std::string_view name;
  std::string_view text;
};

/// In the order of their names.
[[nodiscard]] const std::vector<NamedText>& named_texts();

}  // namespace scenarios
