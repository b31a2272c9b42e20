// What happens to names and directories of a mounted tree; how is at the head of tree_mount.cc.

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>

#include <cerrno>
#include <map>
#include <memory>
#include <vector>

#include "faultfs/mount/tree_mount.h"
#include "faultfs/mount/tree_served.h"

namespace faultfs::mount {
namespace {

using tree::Object;
using tree::ObjectKind;
using tree::ObjectNumber;

void look_up(fuse_req_t request, fuse_ino_t parent, const char* name) {
  TreeFiles& files = files_of(request);
  if (parent == FUSE_ROOT_ID && std::string_view(name) == marks_file) {
    fuse_entry_param entry{};
    entry.ino = marks_inode;
    entry.attr = stat_of_marks();
    fuse_reply_entry(request, &entry);
    return;
  }
  const std::uint64_t generation = files.generation(parent);
  ObjectNumber found = 0;
  const int error = files.tree().look_up(generation, files.place(parent, name), found);
  reply_entry(request, error, generation, found);
}

void read_link(fuse_req_t request, fuse_ino_t inode) {
  TreeFiles& files = files_of(request);
  Object object;
  const int error =
      files.tree().attributes(files.generation(inode), TreeFiles::object(inode), object);
  error != 0 ? fuse_reply_err(request, error) : fuse_reply_readlink(request, object.target.c_str());
}

/// Makes a new object, and says which.
int make(fuse_req_t request,
         fuse_ino_t parent,
         const char* name,
         tree::NewObject object,
         ObjectNumber& made) {
  TreeFiles& files = files_of(request);
  const fuse_ctx* const client = fuse_req_ctx(request);
  object.mode &= ~static_cast<std::uint32_t>(client->umask);
  object.user = client->uid;
  object.group = client->gid;
  return files.tree().make(files.generation(parent), files.place(parent, name), object, made);
}

void make_and_reply(fuse_req_t request,
                    fuse_ino_t parent,
                    const char* name,
                    const tree::NewObject& object) {
  ObjectNumber made = 0;
  const std::uint64_t generation = files_of(request).generation(parent);
  const int error = make(request, parent, name, object, made);
  reply_entry(request, error, generation, made);
}

void make_node(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, dev_t) {
  if (!S_ISREG(mode)) {
    fuse_reply_err(request, EPERM);
    return;
  }
  make_and_reply(request, parent, name, {.kind = ObjectKind::file, .mode = mode & 07777U});
}

void make_directory(fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode) {
  make_and_reply(request, parent, name, {.kind = ObjectKind::directory, .mode = mode & 07777U});
}

void make_symlink(fuse_req_t request, const char* target, fuse_ino_t parent, const char* name) {
  make_and_reply(request, parent, name, {.kind = ObjectKind::symlink, .target = target});
}

void create_file(
    fuse_req_t request, fuse_ino_t parent, const char* name, mode_t mode, fuse_file_info* file) {
  TreeFiles& files = files_of(request);
  ObjectNumber made = 0;
  fuse_entry_param entry{};
  const std::uint64_t generation = files.generation(parent);
  int error = make(request, parent, name, {.kind = ObjectKind::file, .mode = mode & 07777U}, made);
  error = error != 0 ? error : entry_of(files, generation, made, entry);
  if (error != 0) {
    fuse_reply_err(request, error);
    return;
  }
  set_flags(*file, entry.ino);
  if (fuse_reply_create(request, &entry, file) == 0) {
    files.looked_up(entry.ino);
  }
}

void unlink_file(fuse_req_t request, fuse_ino_t parent, const char* name) {
  TreeFiles& files = files_of(request);
  fuse_reply_err(request, files.tree().unlink(files.generation(parent), files.place(parent, name)));
}

void remove_directory(fuse_req_t request, fuse_ino_t parent, const char* name) {
  TreeFiles& files = files_of(request);
  fuse_reply_err(
      request, files.tree().remove_directory(files.generation(parent), files.place(parent, name)));
}

// NOLINTNEXTLINE(readability-function-size): the parameters are libfuse's
void rename_file(fuse_req_t request,
                 fuse_ino_t parent,
                 const char* name,
                 fuse_ino_t to_parent,
                 const char* to_name,
                 unsigned flags) {
  TreeFiles& files = files_of(request);
  const std::uint64_t generation = files.generation(parent);
  int error = (flags & ~static_cast<unsigned>(RENAME_NOREPLACE)) != 0 ? EINVAL : 0;
  error = error == 0 && files.generation(to_parent) != generation ? EIO : error;
  if (error == 0) {
    error = files.tree().rename(generation,
                                files.place(parent, name),
                                files.place(to_parent, to_name),
                                (flags & RENAME_NOREPLACE) == 0);
  }
  fuse_reply_err(request, error);
}

void link_file(fuse_req_t request, fuse_ino_t inode, fuse_ino_t parent, const char* name) {
  TreeFiles& files = files_of(request);
  const std::uint64_t generation = files.generation(inode);
  const int error =
      is_marks(inode)
          ? EPERM
          : files.tree().link(generation, TreeFiles::object(inode), files.place(parent, name));
  reply_entry(request, error, generation, TreeFiles::object(inode));
}

void open_directory(fuse_req_t request, fuse_ino_t inode, fuse_file_info* file) {
  TreeFiles& files = files_of(request);
  Object object;
  const int error =
      files.tree().attributes(files.generation(inode), TreeFiles::object(inode), object);
  if (error != 0) {
    fuse_reply_err(request, error);
    return;
  }
  Listing* const listing = files.open_listing();
  file->fh = reinterpret_cast<std::uint64_t>(listing);
  if (fuse_reply_open(request, file) != 0) {
    files.close_listing(listing);
  }
}

void release_directory(fuse_req_t request, fuse_ino_t /*inode*/, fuse_file_info* file) {
  files_of(request).close_listing(reinterpret_cast<Listing*>(file->fh));
  fuse_reply_err(request, 0);
}

/// Reads the directory anew when a program begins from the front.
int refresh(TreeFiles& files, fuse_ino_t inode, Listing& listing) {
  std::map<std::string, ObjectNumber> entries;
  Object object;
  const std::uint64_t generation = files.generation(inode);
  const ObjectNumber number = TreeFiles::object(inode);
  int error = files.tree().attributes(generation, number, object);
  error = error != 0 ? error : files.tree().list(generation, number, entries);
  if (error == 0) {
    listing.entries = {{".", number}, {"..", object.parent}};
    listing.entries.insert(listing.entries.end(), entries.begin(), entries.end());
  }
  return error;
}

void list(fuse_req_t request, fuse_ino_t inode, size_t size, off_t offset, fuse_file_info* file) {
  TreeFiles& files = files_of(request);
  Listing& listing = *reinterpret_cast<Listing*>(file->fh);
  const int error = offset == 0 ? refresh(files, inode, listing) : 0;
  if (error != 0) {
    fuse_reply_err(request, error);
    return;
  }
  std::vector<char> bytes(size);
  std::size_t used = 0;
  for (auto at = static_cast<std::size_t>(offset); at < listing.entries.size(); ++at) {
    const auto& [name, number] = listing.entries[at];
    Object object;
    if (files.tree().attributes(files.generation(inode), number, object) != 0) {
      continue;  // it went since
    }
    const struct stat state = stat_of(number, object);
    const std::size_t need = fuse_add_direntry(request,
                                               bytes.data() + used,
                                               size - used,
                                               name.c_str(),
                                               &state,
                                               static_cast<off_t>(at + 1));
    if (need > size - used) {
      break;
    }
    used += need;
  }
  fuse_reply_buf(request, bytes.data(), used);
}

}  // namespace

void add_name_operations(fuse_lowlevel_ops& ops) {
  ops.lookup = look_up;
  ops.readlink = read_link;
  ops.mknod = make_node;
  ops.mkdir = make_directory;
  ops.symlink = make_symlink;
  ops.unlink = unlink_file;
  ops.rmdir = remove_directory;
  ops.rename = rename_file;
  ops.link = link_file;
  ops.create = create_file;
  ops.opendir = open_directory;
  ops.releasedir = release_directory;
  ops.readdir = list;
}

}  // namespace faultfs::mount
