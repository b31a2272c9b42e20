#include "faultfs/mount/attach.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <mutex>
#include <string>
#include <system_error>
#include <vector>

#include <fmt/format.h>

#include "faultfs/base/check.h"
#include "faultfs/mount/mount.h"
#include "faultfs/mount/own_mount.h"

namespace faultfs::mount {
namespace {

constexpr const char* device_path = "/dev/fuse";

std::string reason(int error) {
  return std::generic_category().message(error);
}

Result<int> open_fuse() {
  const int descriptor = open(device_path, O_RDWR | O_CLOEXEC);
  if (descriptor < 0) {
    return fail(fmt::format("{} cannot be opened: {}", device_path, reason(errno)));
  }
  return descriptor;
}

/// Closes a descriptor at the end of a scope.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  Descriptor(Descriptor&&) = delete;
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (number_ >= 0) {
      close(number_);
    }
  }
  [[nodiscard]] int number() const { return number_; }

 private:
  int number_;
};

/// Asks the kernel for a FUSE superblock that is attached nowhere: the whole right to mount is
/// checked, nothing is left behind. 0 or an errno.
int try_superblock(int fuse) {
  const Descriptor context(fsopen("fuse", FSOPEN_CLOEXEC));
  if (context.number() < 0) {
    return errno;
  }
  const std::array<std::array<std::string, 2>, 4> settings = {{
      {"fd", std::to_string(fuse)},
      {"rootmode", "40000"},
      {"user_id", std::to_string(geteuid())},
      {"group_id", std::to_string(getegid())},
  }};
  for (const auto& [key, value] : settings) {
    if (fsconfig(context.number(), FSCONFIG_SET_STRING, key.c_str(), value.c_str(), 0) != 0) {
      return errno;
    }
  }
  return fsconfig(context.number(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0 ? 0 : errno;
}

/// A file system that is mounted nowhere, so that nothing is left if we die now.
Descriptor detached_fusectl() {
  const Descriptor context(fsopen("fusectl", FSOPEN_CLOEXEC));
  if (context.number() < 0 ||
      fsconfig(context.number(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return Descriptor(-1);
  }
  return Descriptor(fsmount(context.number(), FSMOUNT_CLOEXEC, 0));
}

bool write_abort(int connections, std::uint32_t number) {
  const std::string file = std::to_string(number) + "/abort";
  const Descriptor descriptor(openat(connections, file.c_str(), O_WRONLY | O_CLOEXEC));
  return descriptor.number() >= 0 && ::write(descriptor.number(), "1", 1) == 1;
}

struct KeptFromForks {
  std::mutex mutex;
  std::vector<int> descriptors;
};

KeptFromForks& kept() {
  static KeptFromForks all;
  return all;
}

void before_fork() {
  kept().mutex.lock();
}

void after_fork_in_parent() {
  kept().mutex.unlock();
}

void after_fork_in_child() {
  for (const int descriptor : kept().descriptors) {
    close(descriptor);
  }
  kept().mutex.unlock();
}

void watch_forks() {
  const int error = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
  POWERCUT_CHECK(error == 0, "errno {}", error);
}

}  // namespace

void keep_from_forks(int fuse) {
  static std::once_flag once;
  std::call_once(once, watch_forks);
  const std::scoped_lock lock(kept().mutex);
  kept().descriptors.push_back(fuse);
}

void no_more_kept_from_forks(int fuse) {
  const std::scoped_lock lock(kept().mutex);
  std::erase(kept().descriptors, fuse);
}

Result<int> attach(const MountOptions& wanted, bool& needs_privilege) {
  needs_privilege = false;
  Result<int> fuse = open_fuse();
  if (!fuse) {
    return fuse;
  }
  const std::string options = fmt::format("fd={},rootmode=40000,user_id={},group_id={}{}{}",
                                          *fuse,
                                          geteuid(),
                                          getegid(),
                                          wanted.allow_other ? ",allow_other" : "",
                                          wanted.check_permissions ? ",default_permissions" : "");
  constexpr unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOATIME;
  if (::mount("powercut", wanted.directory.c_str(), "fuse.powercut", flags, options.c_str()) != 0) {
    const int error = errno;
    close(*fuse);
    needs_privilege = error == EPERM;
    return fail(
        fmt::format("{}: cannot mount a FUSE device here: {}; allowed: an existing "
                    "directory, with the right to mount (root, or a user namespace)",
                    wanted.directory.string(),
                    reason(error)));
  }
  return fuse;
}

Detached detach(const std::filesystem::path& directory) {
  if (umount2(directory.c_str(), UMOUNT_NOFOLLOW) == 0) {
    return Detached::wholly;
  }
  return umount2(directory.c_str(), UMOUNT_NOFOLLOW | MNT_DETACH) == 0 ? Detached::lazily
                                                                       : Detached::failed;
}

bool abort_connection(std::uint32_t number) {
  const Descriptor fusectl = detached_fusectl();
  if (fusectl.number() >= 0 && write_abort(fusectl.number(), number)) {
    return true;
  }
  const Descriptor mounted(open("/sys/fs/fuse/connections", O_PATH | O_CLOEXEC));
  return mounted.number() >= 0 && write_abort(mounted.number(), number);
}

std::uint64_t file_system_at(const std::filesystem::path& directory) {
  // No attribute is wanted and old ones will do: then the kernel has all it needs.
  struct statx found {};
  const bool there =
      statx(AT_FDCWD, directory.c_str(), AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &found) == 0;
  return there ? makedev(found.stx_dev_major, found.stx_dev_minor) : 0;
}

Status can_mount() {
  const Result<int> opened = open_fuse();
  if (!opened) {
    return fail(opened.error().message);
  }
  const Descriptor fuse(*opened);
  const int error = try_superblock(fuse.number());
  if (error == 0 || error == ENOSYS) {  // ENOSYS: before Linux 5.2; the mount itself will tell
    return {};
  }
  if (error == EPERM && geteuid() != 0 && access("/usr/bin/fusermount3", X_OK) == 0) {
    return {};
  }
  return fail(
      fmt::format("a FUSE device cannot be mounted: {}; needs root, a user namespace, or "
                  "fusermount3 (Debian package fuse3)",
                  reason(error)));
}

}  // namespace faultfs::mount
