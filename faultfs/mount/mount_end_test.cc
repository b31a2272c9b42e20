// Cuts, kills and the end of a mount: nothing hangs, whoever dies first, and nothing stays.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <set>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "faultfs/base/random.h"
#include "faultfs/mount/attach.h"
#include "faultfs/mount/mount.h"
#include "faultfs/mount/mount_rig_test.h"
#include "faultfs/mount/own_mount.h"

namespace faultfs::mount {
namespace {

using testing::HasSubstr;

TEST_F(MountTest, AfterACutEverythingFailsUntilPowerOn) {
  const File old(disk(), O_RDWR);
  EXPECT_EQ(old.write(filled(4096, 1), 0), 4096);
  device_->cut_at_request(2);
  EXPECT_EQ(old.write(filled(4096, 2), 4096), 4096);
  EXPECT_EQ(fsync(old.number()), -1);
  EXPECT_EQ(errno, EIO);
  Bytes bytes = filled(4096, 0);
  EXPECT_EQ(old.write(bytes, 0), -EIO);
  EXPECT_EQ(old.read(bytes, 0), -EIO);
  EXPECT_EQ(fallocate(old.number(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
  EXPECT_EQ(errno, EIO);
  EXPECT_EQ(File(disk(), O_RDWR).error(), EIO);
  EXPECT_EQ(device_->log_size(), 2U);
}

TEST_F(MountTest, APowerOnSwapsTheBytesAndFencesOldDescriptors) {
  const File old(disk(), O_RDWR);
  EXPECT_EQ(old.write(filled(4096, 1), 0), 4096);
  Image image(disk_bytes);
  image.write(0, filled(4096, 7));
  device_->cut_now();
  device_->power_on({image, Image(1_MiB)});

  Bytes bytes = filled(4096, 0);
  const File fresh(disk(), O_RDWR);
  EXPECT_EQ(fresh.read(bytes, 0), 4096);
  EXPECT_EQ(bytes, filled(4096, 7));
  EXPECT_EQ(old.read(bytes, 0), -EIO);
  EXPECT_EQ(old.write(bytes, 0), -EIO);
  EXPECT_EQ(fsync(old.number()), -1);
  EXPECT_EQ(device_->log_size(), 0U);
  EXPECT_GE(device_->counters().refused_stale, 3U);

  device_->fence();
  EXPECT_EQ(fresh.read(bytes, 0), -EIO);
}

/// Runs `work` in a forked client. Call it while no other thread of this process holds a lock.
template <typename Work>
pid_t start_client(const Work& work) {
  const pid_t child = fork();
  if (child == 0) {
    work();
    _exit(0);
  }
  return child;
}

template <typename Condition>
bool soon(const Condition& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) {
      return false;
    }
    // pause: another process is at work; the deadline bounds the loop
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

TEST_F(MountTest, AKilledClientLeavesAPrefixOfWholeRequests) {
  for (std::uint32_t round = 1; round <= 5; ++round) {
    device_->power_on({Image(disk_bytes), Image(1_MiB)});
    const pid_t client = start_client([&] {
      const File file(disk(), O_RDWR);
      const auto pages = aligned(4_MiB);
      while (pwrite(file.number(), pages.get(), 4_MiB, 0) > 0) {
      }
    });
    ASSERT_TRUE(soon([&] { return device_->log_size() > 4 * round; }));
    kill(client, SIGKILL);
    ASSERT_EQ(waitpid(client, nullptr, 0), client);
    const WriteLog log = device_->log();
    for (std::uint32_t number = 1; number <= log.size(); ++number) {
      EXPECT_EQ(log.entry(number).offset_bytes, (number - 1) % 4 * 1_MiB);
      EXPECT_EQ(log.entry(number).size_bytes, 1_MiB);
    }
    // pause: time for a request that must not come
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    EXPECT_EQ(device_->log_size(), log.size()) << "nothing arrives after its death";
  }
}

/// Ends the mount, and returns how long that took.
double seconds_to_end(std::unique_ptr<Mount>& mount) {
  const auto begin = std::chrono::steady_clock::now();
  mount.reset();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

constexpr double promptly = 1.0;  ///< seconds; below the two after which the watchdog steps in

TEST_F(MountTest, EndsWithFilesOpen) {
  const File file(disk(), O_RDWR);
  EXPECT_LT(seconds_to_end(mount_), promptly);
  EXPECT_TRUE(std::filesystem::is_empty(directory_)) << "nothing is mounted there any more";
  Bytes bytes = filled(10, 1);
  const ssize_t failed = file.write(bytes, 0);
  EXPECT_TRUE(failed == -ENOTCONN || failed == -ECONNABORTED) << failed;
  EXPECT_EQ(device_->log_size(), 0U);
  device_->power_on(device_->snapshot());
  remount();
  EXPECT_EQ(File(disk(), O_RDWR).write(bytes, 0), 10);
}

TEST_F(MountTest, EndsWhileManyClientsWaitInIt) {
  constexpr int clients = 8;
  std::vector<pid_t> children;
  for (int count = 0; count < clients; ++count) {
    children.push_back(start_client([&] {
      const File file(disk(), O_RDWR);
      const Bytes bytes = filled(1_MiB, 3);
      while (file.write(bytes, 0) > 0) {
      }
    }));
  }
  ASSERT_TRUE(soon([&] { return device_->log_size() > 50; }));
  EXPECT_LT(seconds_to_end(mount_), promptly);
  for (const pid_t child : children) {
    int status = -1;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
}

TEST_F(MountTest, EndsWithAStoppedClient) {
  const pid_t client = start_client([&] {
    const File file(disk(), O_RDWR);
    const Bytes bytes = filled(4096, 3);
    ssize_t done = 0;
    while ((done = file.write(bytes, 0)) > 0) {
    }
    _exit(done == -ENOTCONN || done == -ECONNABORTED || done == -EIO ? 0 : 1);
  });
  ASSERT_TRUE(soon([&] { return device_->log_size() > 10; }));
  kill(client, SIGSTOP);
  EXPECT_LT(seconds_to_end(mount_), promptly);
  kill(client, SIGCONT);
  int status = -1;
  EXPECT_EQ(waitpid(client, &status, 0), client);
  EXPECT_EQ(status, 0);
}

TEST_F(MountTest, OneThreadsDurableWritesKeepTheirOrder) {
  constexpr int writes = 100;
  std::vector<std::thread> threads;
  for (off_t writer = 0; writer < 4; ++writer) {
    threads.emplace_back([this, writer] {
      const File file(disk(), O_RDWR | O_DSYNC);
      for (off_t count = 0; count < writes; ++count) {
        EXPECT_EQ(file.write(filled(4096, 1), writer * 1'048'576 + count * 4096), 4096);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  const WriteLog log = device_->log();
  ASSERT_EQ(log.size(), 4U * writes);
  std::array<std::uint64_t, 4> next = {0, 1_MiB, 2_MiB, 3_MiB};
  for (std::uint32_t number = 1; number <= log.size(); ++number) {
    const LogEntry& entry = log.entry(number);
    EXPECT_EQ(entry.offset_bytes, next.at(entry.offset_bytes / 1_MiB));
    next.at(entry.offset_bytes / 1_MiB) += 4096;
    EXPECT_TRUE(entry.fua);
  }
}

TEST_F(MountTest, ThisProcessHoldsNothingInsideItsMount) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const auto target = std::filesystem::read_symlink(entry.path(), gone).string();
    EXPECT_EQ(target.find(directory_.string()), std::string::npos) << target;
    if (target == "/dev/fuse") {
      const int number = std::stoi(entry.path().filename().string());
      EXPECT_EQ(fcntl(number, F_GETFD), FD_CLOEXEC);
    }
  }
}

TEST_F(MountTest, ManyMountsComeAndGo) {
  for (int count = 0; count < 30; ++count) {
    EXPECT_LT(seconds_to_end(mount_), promptly);
    device_->power_on(device_->snapshot());
    remount();
    EXPECT_EQ(File(disk(), O_RDWR).write(filled(1, 1), count), 1);
  }
}

TEST(MountErrorTest, NamesTheDirectoryAndWhatIsAllowed) {
  const std::unique_ptr<Device> device = new_device();
  const auto made = Mount::create(*device, {"/absent/directory", true, -1});
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr("/absent/directory: No such file or directory"));
  EXPECT_THAT(made.error().message, HasSubstr("allowed: an existing empty directory"));
}

// A process that asked its own mount when it was killed could never end.
TEST(OwnMount, IsKnownWithoutAskingItsServer) {
  if (const Status possible = can_mount(); !possible) {
    GTEST_SKIP() << possible.error().message;
  }
  std::string name =
      (std::filesystem::temp_directory_path() / fmt::format("powercut-{}-own-XXXXXX", getpid()))
          .string();
  ASSERT_NE(mkdtemp(name.data()), nullptr);
  const std::uint64_t before = file_system_at(name);
  bool needs_privilege = false;
  const Result<int> fuse = attach({.directory = name}, needs_privilege);
  if (!fuse) {
    std::filesystem::remove(name);
    GTEST_SKIP() << fuse.error().message << ", without fusermount3";
  }
  // Nobody serves it: whoever asks waits until the alarm.
  const pid_t client = start_client([&] {
    alarm(60);
    const std::uint64_t there = file_system_at(name);
    _exit(there != 0 && there != before ? 0 : 1);
  });
  int status = 0;
  EXPECT_EQ(waitpid(client, &status, 0), client);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  const pid_t asking = start_client([&] {
    close(*fuse);  // while it held this and waited, the connection could not end
    struct stat state {};
    stat(name.c_str(), &state);
  });
  EXPECT_NE(detach(name), Detached::failed);
  close(*fuse);
  EXPECT_EQ(waitpid(asking, &status, 0), asking);
  EXPECT_EQ(file_system_at(name), before);
  std::filesystem::remove(name);
}

}  // namespace
}  // namespace faultfs::mount
