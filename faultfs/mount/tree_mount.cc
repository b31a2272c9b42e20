// How a program's system calls become requests to a tree.
//
//   open, lookup …    an inode number of the kernel is the number of an object and the generation
//                     of the tree: after the next power-on everything that was opened or looked up
//                     before fails with EIO, for ever; paths lead to the new tree, since the kernel
//                     keeps no name (timeout 0).
//   write             through the kernel's page cache, at once (no write-back cache): a write of a
//                     program is a request, cut into pieces of 1 MiB, each a tear point. O_APPEND
//                     and O_TRUNC (a truncation after the open) are the kernel's work.
//   fsync, fdatasync  the kernel sends what mmap left dirty, then the sync. O_SYNC and O_DSYNC
//                     writes arrive as the write and then the sync, with a crash point between.
//   fsync(directory)  a sync of the directory.
//   mmap              shared and private. What is written by it comes as writes of whole pages when
//                     the program asks (msync, fsync), unmaps, or the kernel likes: such requests
//                     stand in the log at places that are not the same in every run.
//   flock, fcntl      locks are the kernel's own, and never come here.
//   rename            also with RENAME_NOREPLACE; RENAME_EXCHANGE is EINVAL.
//   unlink            of an open file: it lives until the last close.
//   fallocate         allocation grows the length; punch hole is one request, zero range is one;
//                     all else EOPNOTSUPP.
//   syncfs, sync      send what is dirty, and no sync: FUSE has none. Programs that count on them
//                     are seen to lose data.
//   mknod             regular files only, else EPERM. Extended attributes: EOPNOTSUPP.
//
// After a cut, what the page cache holds can still be read by who has it open or mapped; everything
// else is EIO. `.powercut-marks` in the root (tree_mount.h) takes marks.

#include "faultfs/mount/tree_mount.h"

#include <algorithm>
#include <ctime>

#include "faultfs/mount/tree_served.h"

namespace faultfs::mount {
namespace {

using tree::Object;
using tree::ObjectKind;
using tree::ObjectNumber;

constexpr unsigned generation_shift = 32;
constexpr blksize_t block_bytes = 4096;

void initialize(void* /*files*/, fuse_conn_info* connection) {
  // A write-back cache would merge and reorder what is to be recorded. Only the kernel changes
  // files, so its cache need not be checked against their times.
  connection->want &= ~static_cast<unsigned>(
      FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
      FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_AUTO_INVAL_DATA |
      FUSE_CAP_READDIRPLUS | FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS);
  connection->max_write = 1024UL * 1024UL;
}

void forget_one(fuse_req_t request, fuse_ino_t inode, std::uint64_t times) {
  files_of(request).forget(inode, times);
  fuse_reply_none(request);
}

void forget_many(fuse_req_t request, std::size_t count, fuse_forget_data* forgets) {
  for (std::size_t at = 0; at < count; ++at) {
    files_of(request).forget(forgets[at].ino, forgets[at].nlookup);
  }
  fuse_reply_none(request);
}

void reply_attributes(fuse_req_t request, int error, fuse_ino_t inode) {
  TreeFiles& files = files_of(request);
  Object object;
  if (error == 0 && !is_marks(inode)) {
    error = files.tree().attributes(files.generation(inode), TreeFiles::object(inode), object);
  }
  if (error != 0) {
    fuse_reply_err(request, error);
    return;
  }
  const struct stat state =
      is_marks(inode) ? stat_of_marks() : stat_of(TreeFiles::object(inode), object);
  fuse_reply_attr(request, &state, 0);
}

void get_attributes(fuse_req_t request, fuse_ino_t inode, fuse_file_info* /*file*/) {
  reply_attributes(request, 0, inode);
}

tree::NewAttributes wanted_of(const struct stat& state, int which) {
  tree::NewAttributes wanted;
  if ((which & FUSE_SET_ATTR_MODE) != 0) {
    wanted.mode = state.st_mode;
  }
  if ((which & FUSE_SET_ATTR_UID) != 0) {
    wanted.user = state.st_uid;
  }
  if ((which & FUSE_SET_ATTR_GID) != 0) {
    wanted.group = state.st_gid;
  }
  if ((which & FUSE_SET_ATTR_MTIME_NOW) != 0) {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    wanted.changed = now;
  } else if ((which & FUSE_SET_ATTR_MTIME) != 0) {
    wanted.changed = state.st_mtim;
  }
  return wanted;
}

void set_attributes(
    fuse_req_t request, fuse_ino_t inode, struct stat* state, int which, fuse_file_info* /*file*/) {
  TreeFiles& files = files_of(request);
  int error = 0;
  if (!is_marks(inode)) {
    const std::uint64_t generation = files.generation(inode);
    const ObjectNumber object = TreeFiles::object(inode);
    if ((which & FUSE_SET_ATTR_SIZE) != 0) {
      error = files.tree().truncate(generation, object, static_cast<std::uint64_t>(state->st_size));
    }
    if (error == 0) {
      error = files.tree().set_attributes(generation, object, wanted_of(*state, which));
    }
  }
  reply_attributes(request, error, inode);
}

void state_of_files(fuse_req_t request, fuse_ino_t /*inode*/) {
  struct statvfs state {};
  state.f_bsize = block_bytes;
  state.f_frsize = block_bytes;
  state.f_blocks = tree::file_bytes_max / block_bytes;
  state.f_bfree = state.f_blocks;
  state.f_bavail = state.f_blocks;
  state.f_namemax = 255;
  fuse_reply_statfs(request, &state);
}

}  // namespace

TreeFiles& files_of(fuse_req_t request) {
  auto& files = *static_cast<TreeFiles*>(fuse_req_userdata(request));
  files.tree().client_is(fuse_req_ctx(request)->pid);
  return files;
}

struct stat stat_of(ObjectNumber number, const Object& object) {
  struct stat state {};
  state.st_ino = number;
  state.st_mode = object.mode | (object.kind == ObjectKind::file        ? S_IFREG
                                 : object.kind == ObjectKind::directory ? S_IFDIR
                                                                        : S_IFLNK);
  state.st_nlink = object.links;
  state.st_uid = object.user;
  state.st_gid = object.group;
  const std::uint64_t length =
      object.kind == ObjectKind::symlink ? object.target.size() : object.length_bytes;
  state.st_size = static_cast<off_t>(length);
  state.st_blocks = static_cast<blkcnt_t>((length + 511) / 512);
  state.st_blksize = block_bytes;
  state.st_mtim = object.changed;
  state.st_atim = object.changed;
  state.st_ctim = object.changed;
  return state;
}

struct stat stat_of_marks() {
  Object object;
  object.mode = 0666;
  object.links = 1;
  return stat_of(0, object);
}

int entry_of(TreeFiles& files,
             std::uint64_t generation,
             ObjectNumber number,
             fuse_entry_param& entry) {
  Object object;
  const int error = files.tree().attributes(generation, number, object);
  if (error == 0) {
    entry.ino = (generation << generation_shift) | number;
    entry.attr = stat_of(number, object);
  }
  return error;
}

void reply_entry(fuse_req_t request, int error, std::uint64_t generation, ObjectNumber number) {
  TreeFiles& files = files_of(request);
  fuse_entry_param entry{};
  error = error != 0 ? error : entry_of(files, generation, number, entry);
  if (error != 0) {
    fuse_reply_err(request, error);
  } else if (fuse_reply_entry(request, &entry) == 0) {
    files.looked_up(entry.ino);
  }
}

std::uint64_t TreeFiles::generation(fuse_ino_t inode) const {
  return inode == FUSE_ROOT_ID ? tree_.generation() : inode >> generation_shift;
}

MutableByteView TreeFiles::buffer(std::size_t size) {
  buffer_.resize(std::max(buffer_.size(), size));
  return MutableByteView(buffer_).first(size);
}

Listing* TreeFiles::open_listing() {
  auto listing = std::make_unique<Listing>();
  Listing* const key = listing.get();
  listings_.emplace(key, std::move(listing));
  return key;
}

void TreeFiles::forget(fuse_ino_t inode, std::uint64_t times) {
  const auto place = known_.find(inode);
  if (place == known_.end() || (place->second -= std::min(times, place->second)) > 0) {
    return;
  }
  known_.erase(place);
  if (generation(inode) == tree_.generation()) {
    tree_.forget(object(inode));
  }
}

void TreeFiles::take_marks(std::string_view text) {
  line_ += text;
  for (std::size_t end = 0; (end = line_.find('\n')) != std::string::npos;) {
    if (end > 0) {
      tree_.mark(std::string_view(line_).substr(0, end));
    }
    line_.erase(0, end + 1);
  }
}

fuse_lowlevel_ops TreeFiles::operations() const {
  fuse_lowlevel_ops ops{};
  ops.init = initialize;
  ops.forget = forget_one;
  ops.forget_multi = forget_many;
  ops.getattr = get_attributes;
  ops.setattr = set_attributes;
  ops.statfs = state_of_files;
  add_name_operations(ops);
  add_byte_operations(ops);
  return ops;
}

Result<std::unique_ptr<Mount>> mount_tree(tree::Tree& tree, const MountOptions& options) {
  MountOptions checked = options;
  checked.check_permissions = true;
  return serve(std::make_unique<TreeFiles>(tree), checked);
}

}  // namespace faultfs::mount
