#pragma once

#include <sys/types.h>

#include <cstdint>
#include <ctime>
#include <map>
#include <string>
#include <string_view>

#include "faultfs/image.h"
#include "faultfs/tree/change.h"

namespace faultfs::tree {

enum class ObjectKind : std::uint8_t { file, directory, symlink };

/// One object of a tree, with its bytes or entries.
struct Object {
  ObjectKind kind = ObjectKind::file;
  std::uint32_t mode = 0644;  ///< permission bits
  uid_t user = 0;
  gid_t group = 0;
  timespec changed = {};  ///< when the content was changed last
  std::uint32_t links = 0;
  std::uint64_t length_bytes = 0;                 ///< of a file
  Image bytes = Image();                          ///< of a file: at least its length
  std::map<std::string, ObjectNumber> entries{};  ///< of a directory
  ObjectNumber parent = 0;                        ///< of a directory
  std::string target{};                           ///< of a symbolic link
};

/// A directory tree at one moment: objects by number, the root always among them. A copy shares the
/// bytes of files (copy on write).
struct TreeState {
  std::map<ObjectNumber, Object> objects;
  ObjectNumber next = root_object + 1;  ///< the number that the next new object gets

  /// An empty directory that belongs to this process's user.
  TreeState();
  /// Null: there is no such object.
  [[nodiscard]] Object* find(ObjectNumber number);
  [[nodiscard]] const Object* find(ObjectNumber number) const;
  /// The object that `path` ("a/b", "" is the root) names; 0: none.
  [[nodiscard]] ObjectNumber at(std::string_view path) const;
  /// Every name of the tree with its object, as "a/b", in order; the root is not among them.
  [[nodiscard]] std::map<std::string, ObjectNumber> paths() const;
  /// The bytes of file `number`.
  [[nodiscard]] std::string content(ObjectNumber number) const;
};

/// What may hold the bytes of a file: lengths above it are refused with EFBIG.
constexpr std::uint64_t file_bytes_max = std::uint64_t{1} << 36U;

/// Gives `file` room for `length_bytes`; what is new reads as zeros.
void make_room(Object& file, std::uint64_t length_bytes);

/// Does what `change` says, as far as the objects it names are there: in a crash state, some may
/// not be. Names only; the length of a file is `length_bytes`, its bytes are left alone.
void apply(const Change& change, TreeState& tree);

/// Removes every object that cannot be reached from the root, and counts the links of the others.
void drop_unreachable(TreeState& tree);

}  // namespace faultfs::tree
