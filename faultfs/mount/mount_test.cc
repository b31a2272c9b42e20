// The device through the kernel: what programs do becomes what the model says.

#include "faultfs/mount/mount.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
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

namespace faultfs::mount {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

constexpr std::uint64_t disk_bytes = 8_MiB;

Bytes filled(std::size_t size, std::uint8_t value) {
  return Bytes(size, std::byte{value});
}

struct Free {
  void operator()(char* pages) const { std::free(pages); }
};

/// `size` bytes that begin on a page.
std::unique_ptr<char, Free> aligned(std::size_t size) {
  std::unique_ptr<char, Free> pages(static_cast<char*>(std::aligned_alloc(4096, size)));
  std::fill_n(pages.get(), size, 'x');
  return pages;
}

std::vector<std::string> lines_of(const WriteLog& log) {
  std::vector<std::string> lines;
  for (std::uint32_t number = 1; number <= log.size(); ++number) {
    const LogEntry& entry = log.entry(number);
    switch (entry.kind) {
      case EntryKind::write:
        lines.push_back(fmt::format("write disk{} {} +{}{}",
                                    entry.disk,
                                    entry.offset_bytes,
                                    entry.size_bytes,
                                    entry.fua ? " fua" : ""));
        break;
      case EntryKind::flush:
        lines.push_back(fmt::format("flush disk{}", entry.disk));
        break;
      case EntryKind::discard:
        lines.push_back(
            fmt::format("discard disk{} {} +{}", entry.disk, entry.offset_bytes, entry.size_bytes));
        break;
      case EntryKind::mark:
        lines.push_back("mark " + std::string(log.mark_text(number)));
        break;
    }
  }
  return lines;
}

std::unique_ptr<Device> new_device(std::string_view profile = "ssd_4k_volatile") {
  auto device = Device::create(*find_profile(profile), {{"disk0", disk_bytes}, {"disk1", 1_MiB}});
  return std::move(*device);
}

/// A descriptor of a file in the mount, closed with the test.
class File {
 public:
  File(const std::filesystem::path& path, int flags)
      : number_(open(path.c_str(), flags | O_CLOEXEC)) {
    error_ = number_ < 0 ? errno : 0;
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (number_ >= 0) {
      close(number_);
    }
  }
  [[nodiscard]] int number() const { return number_; }
  [[nodiscard]] int error() const { return error_; }

  /// Bytes written, or -errno.
  [[nodiscard]] ssize_t write(const Bytes& bytes, off_t offset) const {
    const ssize_t done = pwrite(number_, bytes.data(), bytes.size(), offset);
    return done < 0 ? -errno : done;
  }
  /// Bytes read, or -errno.
  [[nodiscard]] ssize_t read(Bytes& bytes, off_t offset) const {
    const ssize_t done = pread(number_, bytes.data(), bytes.size(), offset);
    return done < 0 ? -errno : done;
  }

 private:
  int number_;
  int error_;
};

class MountTest : public testing::Test {
 protected:
  void SetUp() override {
    const Status possible = can_mount();
    if (!possible) {
      GTEST_SKIP() << possible.error().message;
    }
    std::string name =
        (std::filesystem::temp_directory_path() / fmt::format("powercut-{}-mount-XXXXXX", getpid()))
            .string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
    device_ = new_device();
    remount();
  }

  void TearDown() override {
    mount_.reset();
    if (!directory_.empty()) {
      std::filesystem::remove(directory_);
    }
  }

  void remount() {
    auto made = Mount::create(*device_, {directory_, true, -1});
    ASSERT_TRUE(made) << made.error().message;
    mount_ = std::move(*made);
  }

  [[nodiscard]] std::filesystem::path disk(int number = 0) const {
    return directory_ / fmt::format("disk{}", number);
  }

  std::filesystem::path directory_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<Mount> mount_;
};

TEST_F(MountTest, WritesSyncsAndDurableWritesAreLoggedAsModelled) {
  {
    const File plain(disk(), O_RDWR);
    const File durable(disk(), O_RDWR | O_DSYNC);
    const File synced(disk(1), O_RDWR | O_SYNC);
    EXPECT_EQ(plain.write(filled(4096, 1), 0), 4096);
    EXPECT_EQ(durable.write(filled(4096, 2), 4096), 4096);
    EXPECT_EQ(synced.write(filled(100, 3), 7), 100);
    Bytes bytes = filled(512, 4);
    const iovec part{bytes.data(), bytes.size()};
    EXPECT_EQ(pwritev2(plain.number(), &part, 1, 8192, RWF_DSYNC), 512);
    EXPECT_EQ(fsync(plain.number()), 0);
    device_->mark("between");
    EXPECT_EQ(fdatasync(synced.number()), 0);
  }  // closing sends nothing
  EXPECT_THAT(lines_of(device_->log()),
              ElementsAre("write disk0 0 +4096",
                          "write disk0 4096 +4096 fua",
                          "write disk1 7 +100 fua",
                          "write disk0 8192 +512 fua",
                          "flush disk0",
                          "mark between",
                          "flush disk1"));
}

TEST_F(MountTest, ALargeWriteArrivesInPieces) {
  const File file(disk(), O_RDWR);
  const auto pages = aligned(4_MiB);
  EXPECT_EQ(pwrite(file.number(), pages.get(), 4_MiB, 0), static_cast<ssize_t>(4_MiB));
  EXPECT_THAT(lines_of(device_->log()),
              ElementsAre("write disk0 0 +1048576",
                          "write disk0 1048576 +1048576",
                          "write disk0 2097152 +1048576",
                          "write disk0 3145728 +1048576"));
  // A buffer that does not begin on a page: a piece ends inside a sector.
  EXPECT_EQ(pwrite(file.number(), pages.get() + 1, 2_MiB, 0), static_cast<ssize_t>(2_MiB));
  EXPECT_EQ(device_->log().entry(5).size_bytes, 1_MiB - 1);
}

/// The same random requests, once as calls of the device, once as system calls.
class Requests {
 public:
  explicit Requests(std::uint64_t seed) : random_(seed) {}

  void next() {
    disk = static_cast<DiskNumber>(random_.below(2));
    kind = random_.below(8);
    const std::uint64_t sectors = (disk == 0 ? disk_bytes : 1_MiB) / 4096;
    const std::uint64_t first = random_.below(sectors);
    offset = first * 4096;
    bytes = filled((1 + random_.below(std::min<std::uint64_t>(sectors - first, 64))) * 4096,
                   static_cast<std::uint8_t>(random_.next()));
  }

  DiskNumber disk = 0;
  std::uint64_t kind = 0;
  std::uint64_t offset = 0;
  Bytes bytes;

 private:
  Random random_;
};

int call(Device& device, const Requests& request) {
  switch (request.kind) {
    case 0:
      return device.flush(1, request.disk);
    case 1:
      return device.discard(1, request.disk, request.offset, request.bytes.size());
    default:
      return device.write(1, request.disk, request.offset, request.bytes, request.kind == 2);
  }
}

int call(const File& plain, const File& durable, const Requests& request) {
  const auto offset = static_cast<off_t>(request.offset);
  switch (request.kind) {
    case 0:
      return fsync(plain.number());
    case 1:
      return fallocate(plain.number(),
                       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                       offset,
                       static_cast<off_t>(request.bytes.size()));
    default:
      return (request.kind == 2 ? durable : plain).write(request.bytes, offset) > 0 ? 0 : 1;
  }
}

TEST_F(MountTest, TheLogIsTheSameAsInMemory) {
  constexpr int requests = 300;
  const std::unique_ptr<Device> memory = new_device();
  const std::array<File, 2> plain = {File(disk(0), O_RDWR), File(disk(1), O_RDWR)};
  const std::array<File, 2> durable = {File(disk(0), O_RDWR | O_DSYNC),
                                       File(disk(1), O_RDWR | O_DSYNC)};
  Requests request(0x5eed);
  for (int count = 0; count < requests; ++count) {
    request.next();
    EXPECT_EQ(call(*memory, request), 0);
    EXPECT_EQ(call(plain.at(request.disk), durable.at(request.disk), request), 0);
  }
  EXPECT_EQ(lines_of(memory->log()), lines_of(device_->log()));
  EXPECT_TRUE(memory->log() == device_->log()) << "same lines, other bytes";
  EXPECT_EQ(device_->log_size(), static_cast<std::uint32_t>(requests));
  for (std::size_t number = 0; number < 2; ++number) {
    EXPECT_TRUE(memory->snapshot()[number].same_bytes(device_->snapshot()[number]));
  }
}

TEST_F(MountTest, ReadsShowWhatWasWrittenAndEndAtTheEnd) {
  const File file(disk(), O_RDWR);
  EXPECT_EQ(file.write(filled(100, 9), static_cast<off_t>(disk_bytes) - 100), 100);
  Bytes bytes = filled(4096, 0);
  EXPECT_EQ(file.read(bytes, static_cast<off_t>(disk_bytes) - 150), 150);
  EXPECT_EQ(bytes[49], std::byte{0});
  EXPECT_EQ(bytes[50], std::byte{9});
  EXPECT_EQ(file.read(bytes, static_cast<off_t>(disk_bytes)), 0);
  Bytes large = filled(3_MiB, 1);
  EXPECT_EQ(file.read(large, 0), static_cast<ssize_t>(3_MiB));
  EXPECT_TRUE(
      std::all_of(large.begin(), large.end(), [](std::byte b) { return b == std::byte{0}; }));
}

TEST_F(MountTest, NothingFitsBehindTheEnd) {
  const File file(disk(), O_RDWR);
  EXPECT_EQ(file.write(filled(512, 1), static_cast<off_t>(disk_bytes)), -ENOSPC);
  EXPECT_EQ(file.write(filled(512, 1), static_cast<off_t>(disk_bytes) - 100), -ENOSPC);
  const File appending(disk(), O_WRONLY | O_APPEND);
  EXPECT_EQ(appending.write(filled(1, 1), 0), -ENOSPC);
  EXPECT_EQ(device_->log_size(), 0U);
}

TEST_F(MountTest, DirectIoMustBeAligned) {
  const File file(disk(), O_RDWR | O_DIRECT);
  alignas(4096) static std::array<std::byte, 8192> buffer{};
  EXPECT_EQ(pwrite(file.number(), buffer.data(), 4096, 4096), 4096);
  EXPECT_EQ(pread(file.number(), buffer.data(), 8192, 4096), 8192);
  for (const auto& [size, offset] : {std::pair(512, 0), std::pair(4096, 512), std::pair(100, 0)}) {
    EXPECT_EQ(pwrite(file.number(), buffer.data(), static_cast<std::size_t>(size), offset), -1);
    EXPECT_EQ(errno, EINVAL);
    EXPECT_EQ(pread(file.number(), buffer.data(), static_cast<std::size_t>(size), offset), -1);
    EXPECT_EQ(errno, EINVAL);
  }
  EXPECT_EQ(device_->log_size(), 1U);
}

TEST_F(MountTest, HolesAreDiscardsAndZeroRangesAreWrites) {
  const File file(disk(), O_RDWR);
  const int number = file.number();
  EXPECT_EQ(fallocate(number, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 8192), 0);
  EXPECT_EQ(fallocate(number, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 0, 2'097'152 + 4096), 0);
  EXPECT_EQ(fallocate(number, 0, 0, 4096), 0) << "a disk's space exists";
  EXPECT_EQ(fallocate(number, FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(disk_bytes) + 1), -1);
  EXPECT_EQ(errno, ENOSPC);
  EXPECT_EQ(fallocate(number, FALLOC_FL_COLLAPSE_RANGE, 0, 4096), -1);
  EXPECT_EQ(errno, EOPNOTSUPP);
  EXPECT_THAT(lines_of(device_->log()),
              ElementsAre("discard disk0 4096 +8192",
                          "write disk0 0 +1048576",
                          "write disk0 1048576 +1048576",
                          "write disk0 2097152 +4096"));
}

TEST_F(MountTest, TheDisksAreFilesOfFixedSize) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
    names.insert(fmt::format("{} {}", entry.path().filename().string(), entry.file_size()));
  }
  EXPECT_THAT(names, UnorderedElementsAre("disk0 8388608", "disk1 1048576"));

  EXPECT_EQ(truncate(disk().c_str(), static_cast<off_t>(disk_bytes)), 0);
  EXPECT_EQ(truncate(disk().c_str(), 4096), -1);
  EXPECT_EQ(errno, EPERM);
  {
    const File emptied(disk(), O_RDWR | O_CREAT | O_TRUNC);
    EXPECT_EQ(emptied.error(), 0);
  }
  EXPECT_EQ(std::filesystem::file_size(disk()), disk_bytes);

  EXPECT_EQ(File(directory_ / "new", O_RDWR | O_CREAT).error(), EPERM);
  EXPECT_EQ(File(directory_ / "absent", O_RDWR).error(), ENOENT);
  EXPECT_EQ(unlink(disk().c_str()), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(rename(disk().c_str(), (directory_ / "other").c_str()), -1);
  EXPECT_EQ(mkdir((directory_ / "folder").c_str(), 0755), -1);
  EXPECT_EQ(device_->log_size(), 0U);
}

TEST_F(MountTest, AttributesAreAccepted) {
  EXPECT_EQ(chmod(disk().c_str(), 0640), 0);
  EXPECT_EQ(chown(disk().c_str(), 13, 14), 0);
  const std::array<timespec, 2> times = {timespec{1, 2}, timespec{3, 4}};
  EXPECT_EQ(utimensat(AT_FDCWD, disk().c_str(), times.data(), 0), 0);
  struct stat state {};
  ASSERT_EQ(stat(disk().c_str(), &state), 0);
  EXPECT_EQ(state.st_mode, static_cast<mode_t>(S_IFREG | 0640));
  EXPECT_EQ(state.st_uid, 13U);
  EXPECT_EQ(state.st_gid, 14U);
  EXPECT_EQ(state.st_mtim.tv_sec, 3);
  EXPECT_EQ(state.st_blksize, 4096);
  struct statvfs room {};
  ASSERT_EQ(statvfs(directory_.c_str(), &room), 0);
  EXPECT_EQ(room.f_frsize * room.f_blocks, disk_bytes + 1_MiB);
}

TEST_F(MountTest, AnotherUserMayOpenADisk) {
  const pid_t child = fork();
  if (child == 0) {
    const bool other = setgid(65534) == 0 && setuid(65534) == 0;
    const File file(disk(), O_RDWR);
    _exit(other && file.write(filled(10, 1), 0) == 10 ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  if (geteuid() != 0) {
    GTEST_SKIP() << "only root can become another user";
  }
  EXPECT_EQ(status, 0);
}

TEST_F(MountTest, AnswersHowLargeABlockDeviceItWouldBe) {
  const File file(disk(), O_RDONLY);
  std::uint64_t size = 0;
  EXPECT_EQ(ioctl(file.number(), BLKGETSIZE64, &size), 0);
  EXPECT_EQ(size, disk_bytes);
  EXPECT_EQ(ioctl(file.number(), BLKSSZGET, &size), -1);
  EXPECT_EQ(errno, ENOTTY);
}

TEST_F(MountTest, SharedMappingsAreRefusedPrivateOnesSeeASwap) {
  const File file(disk(), O_RDWR);
  EXPECT_EQ(mmap(nullptr, 4096, PROT_READ, MAP_SHARED, file.number(), 0), MAP_FAILED);
  EXPECT_EQ(errno, ENODEV);
  EXPECT_EQ(file.write(filled(4096, 5), 0), 4096);
  const auto first_byte = [&] {
    const File fresh(disk(), O_RDONLY);
    void* mapped = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, fresh.number(), 0);
    EXPECT_NE(mapped, MAP_FAILED);
    const std::byte byte = *static_cast<std::byte*>(mapped);
    munmap(mapped, 4096);
    return byte;
  };
  EXPECT_EQ(first_byte(), std::byte{5});
  device_->power_on({Image(disk_bytes), Image(1_MiB)});
  EXPECT_EQ(first_byte(), std::byte{0});
}

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

}  // namespace
}  // namespace faultfs::mount
