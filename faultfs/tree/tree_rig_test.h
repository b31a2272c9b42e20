#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "faultfs/tree/tree.h"

namespace faultfs::tree {

inline ByteView bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

/// A tree, asked by path.
struct Rig {
  explicit Rig(std::string_view promise = "ordered", std::string_view device = "ssd_4k_volatile")
      : tree(*find_tree_profile(device, promise)) {}

  [[nodiscard]] ObjectNumber at(std::string_view path) const { return tree.snapshot().at(path); }
  [[nodiscard]] Place place(std::string_view path) const {
    const std::size_t slash = path.rfind('/');
    const bool top = slash == std::string_view::npos;
    return {top ? root_object : at(path.substr(0, slash)),
            std::string(top ? path : path.substr(slash + 1))};
  }
  int make(std::string_view path, ObjectKind kind) {
    ObjectNumber made = 0;
    return tree.make(tree.generation(), place(path), {.kind = kind, .mode = 0644}, made);
  }
  int create(std::string_view path) { return make(path, ObjectKind::file); }
  int mkdir(std::string_view path) { return make(path, ObjectKind::directory); }
  int link(std::string_view from, std::string_view to) {
    return tree.link(tree.generation(), at(from), place(to));
  }
  int unlink(std::string_view path) { return tree.unlink(tree.generation(), place(path)); }
  int rmdir(std::string_view path) { return tree.remove_directory(tree.generation(), place(path)); }
  int rename(std::string_view from, std::string_view to) {
    return tree.rename(tree.generation(), place(from), place(to), true);
  }
  int write(std::string_view path, std::uint64_t offset, std::string_view text) {
    return tree.write(tree.generation(), at(path), offset, bytes_of(text));
  }
  int truncate(std::string_view path, std::uint64_t length) {
    return tree.truncate(tree.generation(), at(path), length);
  }
  int sync(std::string_view path) { return tree.sync(tree.generation(), at(path)); }

  [[nodiscard]] std::vector<std::string> lines() const {
    const WriteLog log = tree.recording().log;
    std::vector<std::string> found;
    for (std::uint32_t number = 1; number <= log.size(); ++number) {
      const LogEntry& entry = log.entry(number);
      const std::string range = fmt::format(" {} +{}", entry.offset_bytes, entry.size_bytes);
      found.push_back(entry.kind == EntryKind::mark    ? std::string(log.mark_text(number))
                      : entry.kind == EntryKind::flush ? "flush"
                      : entry.kind == EntryKind::write ? "write" + range
                                                       : "discard" + range);
    }
    return found;
  }

  Tree tree;
};

}  // namespace faultfs::tree
