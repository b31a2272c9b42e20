#pragma once

#include <mutex>
#include <string>
#include <string_view>

#include "faultfs/tree/tree.h"

namespace faultfs::control {

/// The control language of a directory tree: as that of a device (commands.h), where a tree has the
/// same. The words are explained at the head of tree_commands.cc.
class TreeCommands {
 public:
  /// `tree` must outlive it.
  explicit TreeCommands(tree::Tree& tree) : tree_(tree) {}

  /// "ok …" or "error …"; one line, without the newline.
  [[nodiscard]] std::string answer(std::string_view line);

 private:
  Result<std::string> carry_out(std::string_view verb, std::string_view rest);
  Result<std::string> cut(std::string_view rest);
  Result<std::string> power_on(std::string_view rest);
  [[nodiscard]] std::string status() const;

  tree::Tree& tree_;
  std::mutex mutex_;  ///< one command at a time
};

}  // namespace faultfs::control
