// Opening, reading, writing and syncing files of a mounted tree; how is at the head of
// tree_mount.cc.

#include <fcntl.h>
#include <linux/falloc.h>

#include <cerrno>

#include "faultfs/mount/tree_served.h"

namespace faultfs::mount {
namespace {

using tree::Object;
using tree::ObjectNumber;

void open_file(fuse_req_t request, fuse_ino_t inode, fuse_file_info* file) {
  TreeFiles& files = files_of(request);
  Object object;
  const int error =
      is_marks(inode)
          ? 0
          : files.tree().attributes(files.generation(inode), TreeFiles::object(inode), object);
  if (error != 0) {
    fuse_reply_err(request, error);
    return;
  }
  set_flags(*file, inode);
  fuse_reply_open(request, file);
}

void release_file(fuse_req_t request, fuse_ino_t /*inode*/, fuse_file_info* /*file*/) {
  fuse_reply_err(request, 0);
}

void read_file(
    fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset, fuse_file_info* /*file*/) {
  TreeFiles& files = files_of(request);
  std::size_t done = 0;
  const MutableByteView into = files.buffer(size);
  const int error = is_marks(inode) ? 0
                                    : files.tree().read(files.generation(inode),
                                                        TreeFiles::object(inode),
                                                        static_cast<std::uint64_t>(offset),
                                                        into,
                                                        done);
  if (error != 0) {
    fuse_reply_err(request, error);
    return;
  }
  fuse_reply_buf(request, reinterpret_cast<const char*>(into.data()), done);
}

// NOLINTNEXTLINE(readability-function-size): the parameters are libfuse's
void write_file(fuse_req_t request,
                fuse_ino_t inode,
                const char* bytes,
                size_t size,
                off_t offset,
                fuse_file_info* /*file*/) {
  TreeFiles& files = files_of(request);
  int error = 0;
  if (is_marks(inode)) {
    files.take_marks({bytes, size});
  } else {
    error = files.tree().write(files.generation(inode),
                               TreeFiles::object(inode),
                               static_cast<std::uint64_t>(offset),
                               ByteView(reinterpret_cast<const std::byte*>(bytes), size));
  }
  error != 0 ? fuse_reply_err(request, error) : fuse_reply_write(request, size);
}

void sync(fuse_req_t request, fuse_ino_t inode, int /*data_only*/, fuse_file_info* /*file*/) {
  TreeFiles& files = files_of(request);
  const int error =
      is_marks(inode) ? 0 : files.tree().sync(files.generation(inode), TreeFiles::object(inode));
  fuse_reply_err(request, error);
}

// NOLINTNEXTLINE(readability-function-size): the parameters are libfuse's
void allocate(fuse_req_t request,
              fuse_ino_t inode,
              int mode,
              off_t offset,
              off_t length,
              fuse_file_info* /*file*/) {
  TreeFiles& files = files_of(request);
  const std::uint64_t generation = files.generation(inode);
  const ObjectNumber file = TreeFiles::object(inode);
  const auto from = static_cast<std::uint64_t>(offset);
  const auto size = static_cast<std::uint64_t>(length);
  const bool keeps = (mode & FALLOC_FL_KEEP_SIZE) != 0;
  const int what = mode & ~FALLOC_FL_KEEP_SIZE;
  Object object;
  int error = files.tree().attributes(generation, file, object);
  const bool zeroes = what == FALLOC_FL_ZERO_RANGE || (what == FALLOC_FL_PUNCH_HOLE && keeps);
  if (error == 0 && what != 0 && !zeroes) {
    error = EOPNOTSUPP;
  }
  if (error == 0 && zeroes) {
    error = files.tree().punch(generation, file, from, size);
  }
  if (error == 0 && !keeps && from + size > object.length_bytes) {
    error = files.tree().truncate(generation, file, from + size);
  }
  fuse_reply_err(request, error);
}

}  // namespace

void set_flags(fuse_file_info& file, fuse_ino_t inode) {
  file.keep_cache = is_marks(inode) ? 0U : 1U;
  file.direct_io = is_marks(inode) ? 1U : 0U;
  file.noflush = 1;
}

void add_byte_operations(fuse_lowlevel_ops& ops) {
  ops.open = open_file;
  ops.release = release_file;
  ops.read = read_file;
  ops.write = write_file;
  ops.fsync = sync;
  ops.fsyncdir = sync;
  ops.fallocate = allocate;
}

}  // namespace faultfs::mount
