#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fuse3/fuse_lowlevel.h>

#include "faultfs/mount/served.h"
#include "faultfs/tree/tree.h"

namespace faultfs::mount {

/// The inode of the file of marks (tree_mount.h): of no generation.
constexpr fuse_ino_t marks_inode = (fuse_ino_t{1} << 32U) - 1;

/// A directory as it was listed first, for one open descriptor.
struct Listing {
  std::vector<std::pair<std::string, tree::ObjectNumber>> entries;
};

/// What the operations of a mounted tree work on. Belongs to the serving thread.
class TreeFiles : public Served {
 public:
  /// `tree` must outlive it.
  explicit TreeFiles(tree::Tree& tree) : tree_(tree) {}

  [[nodiscard]] fuse_lowlevel_ops operations() const override;
  [[nodiscard]] void* data() override { return this; }
  void begin() override { tree_.on_kill(kill_client); }
  void cut() override {
    tree_.cut_now();
    tree_.on_kill(nullptr);
  }
  void end() override {}

  [[nodiscard]] tree::Tree& tree() { return tree_; }
  /// The power-on an inode belongs to; the root is always of the present one.
  [[nodiscard]] std::uint64_t generation(fuse_ino_t inode) const;
  [[nodiscard]] static tree::ObjectNumber object(fuse_ino_t inode) {
    return static_cast<tree::ObjectNumber>(inode);
  }
  [[nodiscard]] static tree::Place place(fuse_ino_t parent, const char* name) {
    return {object(parent), name};
  }
  /// A buffer of at least `size` bytes, reused by the next call.
  [[nodiscard]] MutableByteView buffer(std::size_t size);
  /// The kernel was told of `inode`; or forgets what it was told so often.
  void looked_up(fuse_ino_t inode) { ++known_[inode]; }
  void forget(fuse_ino_t inode, std::uint64_t times);
  /// Of an open directory. The kernel need not close it before an unmount, so all end with this.
  [[nodiscard]] Listing* open_listing();
  void close_listing(Listing* listing) { listings_.erase(listing); }
  /// Takes bytes written to the file of marks: whole lines become marks.
  void take_marks(std::string_view text);

 private:
  tree::Tree& tree_;
  Bytes buffer_;
  std::unordered_map<fuse_ino_t, std::uint64_t> known_;
  std::unordered_map<Listing*, std::unique_ptr<Listing>> listings_;
  std::string line_;  ///< the mark that is not whole yet
};

[[nodiscard]] TreeFiles& files_of(fuse_req_t request);
[[nodiscard]] inline bool is_marks(fuse_ino_t inode) {
  return inode == marks_inode;
}
[[nodiscard]] struct stat stat_of(tree::ObjectNumber number, const tree::Object& object);
[[nodiscard]] struct stat stat_of_marks();
/// What the kernel is told of an object; an errno where it is not there.
[[nodiscard]] int entry_of(TreeFiles& files,
                           std::uint64_t generation,
                           tree::ObjectNumber number,
                           fuse_entry_param& entry);
/// Answers with `error`, or what the kernel is told of an object.
void reply_entry(fuse_req_t request,
                 int error,
                 std::uint64_t generation,
                 tree::ObjectNumber number);

/// Sets what holds for every open file: its pages stay in the kernel's cache when it is opened
/// again.
void set_flags(fuse_file_info& file, fuse_ino_t inode);

/// Those about names and directories (tree_names.cc), and about bytes (tree_bytes.cc).
void add_name_operations(fuse_lowlevel_ops& ops);
void add_byte_operations(fuse_lowlevel_ops& ops);

}  // namespace faultfs::mount
