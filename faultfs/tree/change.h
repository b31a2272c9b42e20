#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "faultfs/base/result.h"
#include "faultfs/write_log.h"

namespace faultfs::tree {

/// A file, directory or symbolic link, whatever its names are; an inode number. Never used twice.
using ObjectNumber = std::uint32_t;
constexpr ObjectNumber root_object = 1;

enum class ChangeKind : std::uint8_t {
  create,   ///< a new, empty file
  mkdir,    ///< a new, empty directory
  symlink,  ///< a new symbolic link
  link,     ///< one more name of a file
  unlink,   ///< a name of a file or symbolic link is gone
  rmdir,    ///< a directory is gone
  rename,   ///< an object has another name, maybe in another directory, maybe of another object
  length,   ///< a file has another length
  sync,     ///< no change: a directory was synced
  data,     ///< no change: from now on the bytes of a file are those of a disk of the log
};

/// One request to a directory tree that is no write of bytes. Plain data; the fields a kind does
/// not name in `to_text` are empty.
struct Change {
  ChangeKind kind = ChangeKind::create;
  ObjectNumber object = 0;     ///< what is made, named, removed, moved, cut or synced
  ObjectNumber directory = 0;  ///< where
  std::string name = {};
  ObjectNumber to_directory = 0;
  std::string to_name = {};
  ObjectNumber replaced = 0;       ///< rename: what had the name before
  std::uint64_t length_bytes = 0;  ///< length: the new one
  std::uint32_t mode = 0;          ///< create, mkdir: permission bits
  std::string target = {};         ///< symlink
  DiskNumber disk = 0;             ///< data
  [[nodiscard]] bool operator==(const Change&) const = default;
  /// A change of names, with which directories have to do.
  [[nodiscard]] bool renames() const { return kind < ChangeKind::length; }
  /// Something that may be lost.
  [[nodiscard]] bool has_fate() const { return kind <= ChangeKind::length; }
};

/// What the text of a mark that is a change begins with. Other marks never do.
constexpr std::string_view change_prefix = "tree: ";

/// "tree: rename 7 in 1 a%20name to 1 b over 9": the text of a change as a mark of the log.
[[nodiscard]] std::string to_text(const Change& change);

/// Reads such a text, with the prefix. Error: quotes it, and says what was expected.
[[nodiscard]] Result<Change> parse_change(std::string_view text);

}  // namespace faultfs::tree
