// A user without rights, in a user namespace, mounts disks and trees.

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "faultfs/device.h"
#include "faultfs/mount/mount.h"
#include "faultfs/mount/tree_mount.h"
#include "runner/sandbox.h"
#include "runner/worker_lines_test.h"

namespace runner {
namespace {

using faultfs::Result;

/// In a sandbox of root's: makes /dev/fuse one that all may open, as most machines have it, and
/// becomes nobody.
bool become_a_user() {
  const std::filesystem::path nodes = "/mnt";
  const std::filesystem::path node = nodes / "fuse";
  return mount("nodes", nodes.c_str(), "tmpfs", 0, nullptr) == 0 &&
         mknod(node.c_str(), S_IFCHR, makedev(10, 229)) == 0 && chmod(node.c_str(), 0666) == 0 &&
         mount(node.c_str(), "/dev/fuse", nullptr, MS_BIND, nullptr) == 0 && setgid(65534) == 0 &&
         setuid(65534) == 0 && prctl(PR_SET_DUMPABLE, 1) == 0;  // as after a login
}

/// What a sandbox is good for: a device is mounted in it, and keeps what is written.
std::string try_device(const Sandbox& sandbox) {
  auto device = faultfs::Device::create(faultfs::all_profiles().front(), {{"disk0", 1UL << 20}});
  auto mount = faultfs::mount::Mount::create(**device, {sandbox.mount_directory, true, -1});
  if (!mount) {
    return mount.error().message;
  }
  const int disk = open((sandbox.mount_directory / "disk0").c_str(), O_RDWR | O_CLOEXEC);
  return pwrite(disk, "x", 1, 0) == 1 && (*device)->log_size() == 1 ? "works" : "does not work";
}

/// The same with a directory tree.
std::string try_tree(const Sandbox& sandbox) {
  faultfs::tree::Tree tree(*faultfs::tree::find_tree_profile("ssd_4k_volatile", "ordered"));
  auto mount = faultfs::mount::mount_tree(tree, {.directory = sandbox.mount_directory});
  if (!mount) {
    return mount.error().message;
  }
  const std::string name = sandbox.mount_directory / "a";
  const int file = open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  const bool written = pwrite(file, "x", 1, 0) == 1 && fsync(file) == 0;
  close(file);
  const bool renamed = rename(name.c_str(), (name + "b").c_str()) == 0;
  return written && renamed && tree.log_size() == 6 ? "works" : "does not work";
}

TEST(UserNamespace, NeedsNoRootAndMountsWithoutIt) {
  if (const faultfs::Status possible = can_sandbox(); !possible) {
    GTEST_SKIP() << possible.error().message;
  }
  if (geteuid() != 0 || access("/dev/fuse", F_OK) != 0) {
    GTEST_SKIP() << "root and /dev/fuse are needed to make a user without rights";
  }
  Result<Worker> worker = start_worker({}, [](const Result<Sandbox>&, int descriptor) {
    if (!become_a_user()) {
      say(descriptor, fmt::format("not possible: errno {}", errno));
      return 1;
    }
    Result<Worker> inner = start_worker({}, [](const Result<Sandbox>& sandbox, int ours) {
      say(ours,
          !sandbox ? sandbox.error().message
                   : fmt::format("disks: {}, tree: {}", try_device(*sandbox), try_tree(*sandbox)));
      return sandbox && sandbox->user_namespace ? 0 : 1;
    });
    say(descriptor, line_from(inner->descriptor()));
    return inner->wait().code;
  });
  ASSERT_TRUE(worker);
  EXPECT_EQ(line_from(worker->descriptor()), "disks: works, tree: works");
  EXPECT_EQ(worker->wait(), WorkerEnd{});
}

}  // namespace
}  // namespace runner
