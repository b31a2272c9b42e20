// How a program's system calls become device requests.
//
//   open              gets the device's present generation; after the next power-on (or fence)
//                     everything through this descriptor fails with EIO, for ever. EIO while cut.
//   write             one device write per FUSE WRITE. The kernel cuts a write of more than 1 MiB
//                     into pieces of 1 MiB, each sent after the reply to the one before (in
//                     parallel for io_uring and libaio), so one write of a program is several log
//                     entries: each boundary is a tear point. One that crosses the end is short,
//                     one behind it ENOSPC, as with a block device.
//   O_DSYNC, O_SYNC,  with direct I/O the kernel sends no FSYNC for them: the flags on the WRITE
//   RWF_DSYNC         are all there is, and make it FUA.
//   fsync, fdatasync  device flush. sync_file_range and syncfs send nothing at all. Neither does
//                     close (FOPEN_NOFLUSH).
//   O_DIRECT          offset and length must be multiples of the sector, else EINVAL as from a
//                     disk. The kernel hides the buffer's address; a misaligned buffer shows only
//                     as a piece with an odd length.
//   fallocate         punch hole: discard; zero range: writes of zeros; plain allocation inside the
//                     disk: nothing to do; all else EOPNOTSUPP.
//   truncate          the size is fixed: the present size and 0 (O_TRUNC) change nothing, another
//                     is EPERM. chmod, chown and utimens are accepted and kept until the unmount.
//   lseek             SEEK_DATA and SEEK_HOLE: what was never written is a hole.
//   mmap              MAP_SHARED is refused by the kernel (ENODEV).
//
// A request that a fault makes wait leaves the serving thread (waiting_room.h), so others overtake
// it. The pieces of a zero range do not wait. The kernel sends a write to a disk when the one
// before is answered, unless the device had a fault when the disk was opened: then writes overtake
// a write, too (and threads that write and sync wait longer for each other).
//
// Not modelled: a request counts as issued when the serving thread takes it up, not when the kernel
// queued it; so an fsync that overlaps a write of another thread covers it if the write came first.
// An fd-wide O_SYNC on fallocate is not passed on by the kernel and not seen.

#include "faultfs/mount/operations.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/fuse.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>

namespace faultfs::mount {
namespace {

constexpr double for_ever_seconds = 1e8;
constexpr std::uint64_t piece_bytes = 1024UL * 1024UL;

DiskFiles& files_of(fuse_req_t request) {
  return *static_cast<DiskFiles*>(fuse_req_userdata(request));
}

void initialize(void* /*files*/, fuse_conn_info* connection) {
  // Splicing harms reads; a write-back cache would merge and reorder what is to be recorded; atomic
  // O_TRUNC would make the kernel believe the disk became empty.
  connection->want &=
      ~static_cast<unsigned>(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
                             FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_ATOMIC_O_TRUNC);
  connection->max_write = piece_bytes;
}

void refuse_change(fuse_req_t request) {
  fuse_reply_err(request, EPERM);
}

void look_up(fuse_req_t request, fuse_ino_t parent, const char* name) {
  DiskFiles& files = files_of(request);
  fuse_entry_param entry{};
  entry.entry_timeout = for_ever_seconds;
  entry.attr_timeout = for_ever_seconds;
  entry.ino = parent == FUSE_ROOT_ID ? files.find(name) : 0;
  if (entry.ino != 0) {
    entry.attr = *files.attributes(entry.ino);
  }
  fuse_reply_entry(request, &entry);  // inode 0: the name does not exist, and never will
}

void get_attributes(fuse_req_t request, fuse_ino_t inode, fuse_file_info* /*file*/) {
  const struct stat* attributes = files_of(request).attributes(inode);
  if (attributes == nullptr) {
    fuse_reply_err(request, ENOENT);
    return;
  }
  fuse_reply_attr(request, attributes, for_ever_seconds);
}

void set_times(struct stat& attributes, const struct stat& wanted, int which) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if ((which & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW)) != 0) {
    attributes.st_atim = (which & FUSE_SET_ATTR_ATIME_NOW) != 0 ? now : wanted.st_atim;
  }
  if ((which & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW)) != 0) {
    attributes.st_mtim = (which & FUSE_SET_ATTR_MTIME_NOW) != 0 ? now : wanted.st_mtim;
  }
}

void set_attributes(fuse_req_t request,
                    fuse_ino_t inode,
                    struct stat* wanted,
                    int which,
                    fuse_file_info* /*file*/) {
  struct stat* attributes = files_of(request).attributes(inode);
  if (attributes == nullptr) {
    fuse_reply_err(request, ENOENT);
    return;
  }
  if ((which & FUSE_SET_ATTR_SIZE) != 0 && wanted->st_size != 0 &&
      wanted->st_size != attributes->st_size) {
    fuse_reply_err(request, EPERM);
    return;
  }
  if ((which & FUSE_SET_ATTR_MODE) != 0) {
    attributes->st_mode = (attributes->st_mode & S_IFMT) | (wanted->st_mode & ~mode_t{S_IFMT});
  }
  if ((which & FUSE_SET_ATTR_UID) != 0) {
    attributes->st_uid = wanted->st_uid;
  }
  if ((which & FUSE_SET_ATTR_GID) != 0) {
    attributes->st_gid = wanted->st_gid;
  }
  set_times(*attributes, *wanted, which);
  fuse_reply_attr(request, attributes, for_ever_seconds);
}

void open_disk(fuse_req_t request, fuse_ino_t inode, fuse_file_info* /*file*/) {
  DiskFiles& files = files_of(request);
  if (inode < DiskFiles::first_disk || inode > files.last()) {
    fuse_reply_err(request, EISDIR);
    return;
  }
  if (files.device().is_cut()) {
    fuse_reply_err(request, EIO);
    return;
  }
  // Made by hand because libfuse 3.14 has no field for parallel direct writes.
  fuse_open_out reply{};
  reply.fh = files.device().generation();
  reply.open_flags = FOPEN_DIRECT_IO | FOPEN_NOFLUSH;
  if (!files.device().faults().empty()) {
    reply.open_flags |= FOPEN_PARALLEL_DIRECT_WRITES;
  }
  const iovec part{&reply, sizeof reply};
  fuse_reply_iov(request, &part, 1);
}

void release_disk(fuse_req_t request, fuse_ino_t /*inode*/, fuse_file_info* /*file*/) {
  fuse_reply_err(request, 0);
}

bool misaligned(const DiskFiles& files, std::uint64_t size, off_t offset, int flags) {
  const auto at = static_cast<std::uint64_t>(offset);
  return (flags & O_DIRECT) != 0 &&
         (at % files.sector_bytes() != 0 || size % files.sector_bytes() != 0);
}

Request asked(fuse_req_t request, RequestKind kind, fuse_ino_t inode, const fuse_file_info& file) {
  Request asked;
  asked.kind = kind;
  asked.disk = DiskFiles::disk(inode);
  asked.generation = file.fh;
  asked.client = fuse_req_ctx(request)->pid;
  return asked;
}

/// Carries the request out, now or when it may, and answers it.
void serve(fuse_req_t request, const Request& asked) {
  DiskFiles& files = files_of(request);
  const Arrival arrival = files.device().arrive(asked);
  if (arrival.waits()) {
    files.waiting_room().enter(request, asked, arrival);
    return;
  }
  const bool reads = asked.kind == RequestKind::read;
  const MutableByteView into = reads ? files.buffer(asked.size_bytes) : MutableByteView();
  reply(request, asked, files.device().carry_out(asked, into), into);
}

void read_disk(
    fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset, fuse_file_info* file) {
  DiskFiles& files = files_of(request);
  if (misaligned(files, size, offset, file->flags)) {
    fuse_reply_err(request, EINVAL);
    return;
  }
  const auto from = static_cast<std::uint64_t>(offset);
  const std::uint64_t end = files.size_bytes(inode);
  const std::uint64_t length = from >= end ? 0 : std::min<std::uint64_t>(size, end - from);
  if (length == 0) {
    fuse_reply_buf(request, nullptr, 0);
    return;
  }
  Request read = asked(request, RequestKind::read, inode, *file);
  read.offset_bytes = from;
  read.size_bytes = length;
  serve(request, read);
}

// NOLINTNEXTLINE(readability-function-size): the parameters are libfuse's
void write_disk(fuse_req_t request,
                fuse_ino_t inode,
                const char* bytes,
                size_t size,
                off_t offset,
                fuse_file_info* file) {
  DiskFiles& files = files_of(request);
  if (misaligned(files, size, offset, file->flags)) {
    fuse_reply_err(request, EINVAL);
    return;
  }
  Request write = asked(request, RequestKind::write, inode, *file);
  write.offset_bytes = static_cast<std::uint64_t>(offset);
  const std::uint64_t end = files.size_bytes(inode);
  size = write.offset_bytes < end ? std::min<std::uint64_t>(size, end - write.offset_bytes) : size;
  write.size_bytes = size;
  write.bytes = ByteView(reinterpret_cast<const std::byte*>(bytes), size);
  write.fua = (file->flags & (O_DSYNC | O_SYNC)) != 0;
  serve(request, write);
}

/// The first byte from `from` on that lies in a hole (`wanted` true) or outside of holes.
int find_edge(DiskFiles& files,
              fuse_ino_t inode,
              const fuse_file_info& file,
              bool wanted,
              std::uint64_t& at) {
  const std::uint64_t end = files.size_bytes(inode);
  int error = 0;
  while (error == 0 && at < end) {
    std::uint64_t blank = at;
    error = files.device().blank_until(file.fh, DiskFiles::disk(inode), at, blank);
    const bool in_hole = blank > at;
    if (in_hole == wanted) {
      break;
    }
    at = in_hole ? blank : std::min(end, (at / Image::page_bytes + 1) * Image::page_bytes);
  }
  return error;
}

/// A hole is what was never written; behind the end lies another one.
void seek_disk(
    fuse_req_t request, fuse_ino_t inode, off_t offset, int whence, fuse_file_info* file) {
  DiskFiles& files = files_of(request);
  const std::uint64_t end = files.size_bytes(inode);
  auto at = static_cast<std::uint64_t>(offset);
  const int error = at < end ? find_edge(files, inode, *file, whence == SEEK_HOLE, at) : ENXIO;
  if (error != 0 || (whence == SEEK_DATA && at == end)) {
    fuse_reply_err(request, error != 0 ? error : ENXIO);
    return;
  }
  fuse_reply_lseek(request, static_cast<off_t>(at));
}

void sync_disk(fuse_req_t request, fuse_ino_t inode, int /*data_only*/, fuse_file_info* file) {
  serve(request, asked(request, RequestKind::flush, inode, *file));
}

int write_zeros(DiskFiles& files,
                const fuse_file_info& file,
                DiskNumber disk,
                std::uint64_t offset,
                std::uint64_t size) {
  const MutableByteView zeros = files.buffer(std::min(size, piece_bytes));
  std::fill(zeros.begin(), zeros.end(), std::byte{0});
  for (std::uint64_t done = 0; done < size; done += piece_bytes) {
    const ByteView piece = zeros.first(std::min(size - done, piece_bytes));
    const Request write{
        RequestKind::write, disk, offset + done, piece.size(), piece, false, file.fh, 0};
    const Outcome outcome = files.device().carry_out(write);
    if (outcome.error != 0 || outcome.size_bytes < piece.size()) {
      return outcome.error == 0 ? EIO : outcome.error;
    }
  }
  return 0;
}

int allocate(
    DiskFiles& files, fuse_ino_t inode, int mode, std::uint64_t offset, std::uint64_t size) {
  const bool plain = mode == 0 || mode == FALLOC_FL_KEEP_SIZE;
  if (!plain) {
    return EOPNOTSUPP;
  }
  const std::uint64_t end = files.size_bytes(inode);
  return offset <= end && size <= end - offset ? 0 : ENOSPC;
}

// NOLINTNEXTLINE(readability-function-size): the parameters are libfuse's
void allocate_disk(fuse_req_t request,
                   fuse_ino_t inode,
                   int mode,
                   off_t offset,
                   off_t length,
                   fuse_file_info* file) {
  DiskFiles& files = files_of(request);
  const auto from = static_cast<std::uint64_t>(offset);
  const auto size = static_cast<std::uint64_t>(length);
  const DiskNumber disk = DiskFiles::disk(inode);
  if (mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)) {
    Request discard = asked(request, RequestKind::discard, inode, *file);
    discard.offset_bytes = from;
    discard.size_bytes = size;
    serve(request, discard);
    return;
  }
  int error = 0;
  if ((mode & ~FALLOC_FL_KEEP_SIZE) == FALLOC_FL_ZERO_RANGE) {
    error = write_zeros(files, *file, disk, from, size);
  } else {
    error = allocate(files, inode, mode, from, size);
  }
  fuse_reply_err(request, error);
}

// NOLINTNEXTLINE(readability-function-size): the parameters are libfuse's
void control_disk(fuse_req_t request,
                  fuse_ino_t inode,
                  unsigned command,
                  void* /*argument*/,
                  fuse_file_info* /*file*/,
                  unsigned /*flags*/,
                  const void* /*in*/,
                  size_t /*in_bytes*/,
                  size_t out_bytes) {
  // BLKSSZGET and BLKDISCARD do not encode their size, so the kernel gives no room for an answer.
  if (command != BLKGETSIZE64 || out_bytes != sizeof(std::uint64_t)) {
    fuse_reply_err(request, ENOTTY);
    return;
  }
  const std::uint64_t size = files_of(request).size_bytes(inode);
  fuse_reply_ioctl(request, 0, &size, sizeof size);
}

void list_root(
    fuse_req_t request, fuse_ino_t /*inode*/, size_t size, off_t offset, fuse_file_info* /*file*/) {
  DiskFiles& files = files_of(request);
  std::vector<char> entries(size);
  std::size_t used = 0;
  for (auto at = static_cast<std::size_t>(offset); at <= files.last(); ++at) {
    // Positions 0 and 1 are the dots, from 2 on position and inode are the same number.
    const bool dot = at < DiskFiles::first_disk;
    const std::string name = dot ? std::string(at + 1, '.') : files.name(at);
    const std::size_t need = fuse_add_direntry(request,
                                               entries.data() + used,
                                               size - used,
                                               name.c_str(),
                                               files.attributes(dot ? FUSE_ROOT_ID : at),
                                               static_cast<off_t>(at + 1));
    if (need > size - used) {
      break;
    }
    used += need;
  }
  fuse_reply_buf(request, entries.data(), used);
}

void sync_root(fuse_req_t request, fuse_ino_t, int, fuse_file_info*) {
  fuse_reply_err(request, 0);
}

void state_of_files(fuse_req_t request, fuse_ino_t /*inode*/) {
  DiskFiles& files = files_of(request);
  struct statvfs state {};
  state.f_bsize = files.sector_bytes();
  state.f_frsize = files.sector_bytes();
  for (fuse_ino_t inode = DiskFiles::first_disk; inode <= files.last(); ++inode) {
    state.f_blocks += files.size_bytes(inode) / files.sector_bytes();
    ++state.f_files;
  }
  state.f_bfree = state.f_blocks;  // room of the disks themselves: programs ask before they use it
  state.f_bavail = state.f_blocks;
  state.f_namemax = 255;
  fuse_reply_statfs(request, &state);
}

/// Whoever tries to change the set of disks.
void refuse_changes(fuse_lowlevel_ops& ops) {
  ops.mknod = [](fuse_req_t request, fuse_ino_t, const char*, mode_t, dev_t) {
    refuse_change(request);
  };
  ops.mkdir = [](fuse_req_t request, fuse_ino_t, const char*, mode_t) { refuse_change(request); };
  ops.unlink = [](fuse_req_t request, fuse_ino_t, const char*) { refuse_change(request); };
  ops.rmdir = [](fuse_req_t request, fuse_ino_t, const char*) { refuse_change(request); };
  ops.symlink = [](fuse_req_t request, const char*, fuse_ino_t, const char*) {
    refuse_change(request);
  };
  ops.rename = [](fuse_req_t request, fuse_ino_t, const char*, fuse_ino_t, const char*, unsigned) {
    refuse_change(request);
  };
  ops.link = [](fuse_req_t request, fuse_ino_t, fuse_ino_t, const char*) {
    refuse_change(request);
  };
  ops.create = [](fuse_req_t request, fuse_ino_t, const char*, mode_t, fuse_file_info*) {
    refuse_change(request);
  };
}

}  // namespace

DiskFiles::DiskFiles(Device& device)
    : device_(&device),
      sector_bytes_(device.profile().sector_bytes),
      disks_(device.disks()),
      waiting_room_(device) {
  struct stat common {};
  common.st_uid = geteuid();
  common.st_gid = getegid();
  clock_gettime(CLOCK_REALTIME, &common.st_mtim);
  common.st_atim = common.st_mtim;
  common.st_ctim = common.st_mtim;
  common.st_blksize = static_cast<blksize_t>(sector_bytes_);
  struct stat root = common;
  root.st_ino = FUSE_ROOT_ID;
  root.st_mode = S_IFDIR | 0755;
  root.st_nlink = 2;
  attributes_.push_back(root);
  for (const DiskSpec& disk : disks_) {
    struct stat file = common;
    file.st_ino = FUSE_ROOT_ID + attributes_.size();
    file.st_mode = S_IFREG | 0666;  // a cache may run as a user of its own
    file.st_nlink = 1;
    file.st_size = static_cast<off_t>(disk.size_bytes);
    file.st_blocks = static_cast<blkcnt_t>(disk.size_bytes / 512);
    attributes_.push_back(file);
  }
}

fuse_ino_t DiskFiles::find(std::string_view name) const {
  const auto found = std::find_if(
      disks_.begin(), disks_.end(), [&](const DiskSpec& disk) { return disk.name == name; });
  return found == disks_.end() ? 0 : first_disk + static_cast<fuse_ino_t>(found - disks_.begin());
}

const std::string& DiskFiles::name(fuse_ino_t inode) const {
  return disks_.at(disk(inode)).name;
}

std::uint64_t DiskFiles::size_bytes(fuse_ino_t inode) const {
  return disks_.at(disk(inode)).size_bytes;
}

struct stat* DiskFiles::attributes(fuse_ino_t inode) {
  return inode >= FUSE_ROOT_ID && inode <= last() ? &attributes_[inode - FUSE_ROOT_ID] : nullptr;
}

MutableByteView DiskFiles::buffer(std::size_t size_bytes) {
  if (buffer_.size() < size_bytes) {
    buffer_.resize(size_bytes);
  }
  return MutableByteView(buffer_).first(size_bytes);
}

fuse_lowlevel_ops operations() {
  fuse_lowlevel_ops ops{};
  ops.init = initialize;
  ops.lookup = look_up;
  ops.getattr = get_attributes;
  ops.setattr = set_attributes;
  ops.open = open_disk;
  ops.release = release_disk;
  ops.read = read_disk;
  ops.write = write_disk;
  ops.lseek = seek_disk;
  ops.fsync = sync_disk;
  ops.fallocate = allocate_disk;
  ops.ioctl = control_disk;
  ops.readdir = list_root;
  ops.fsyncdir = sync_root;
  ops.statfs = state_of_files;
  refuse_changes(ops);
  return ops;
}

}  // namespace faultfs::mount
