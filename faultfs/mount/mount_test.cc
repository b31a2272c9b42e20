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
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "faultfs/base/random.h"
#include "faultfs/faults/expression.h"
#include "faultfs/mount/mount_rig_test.h"

namespace faultfs::mount {
namespace {

using testing::ElementsAre;
using testing::UnorderedElementsAre;

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
  const File appending(disk(), O_WRONLY | O_APPEND);
  EXPECT_EQ(appending.write(filled(1, 1), 0), -ENOSPC);
  EXPECT_EQ(device_->log_size(), 0U);
  EXPECT_EQ(file.write(filled(512, 1), static_cast<off_t>(disk_bytes) - 100), 100);
  const File direct(disk(), O_RDWR | O_DIRECT);
  const auto pages = aligned(8192);
  EXPECT_EQ(pwrite(direct.number(), pages.get(), 8192, static_cast<off_t>(disk_bytes) - 4096),
            4096);
  EXPECT_EQ(pread(direct.number(), pages.get(), 8192, static_cast<off_t>(disk_bytes) - 4096), 4096);
  EXPECT_EQ(pwrite(direct.number(), pages.get(), 4096, static_cast<off_t>(disk_bytes)), -1);
  EXPECT_EQ(errno, ENOSPC);
  EXPECT_EQ(pread(direct.number(), pages.get(), 4096, static_cast<off_t>(disk_bytes)), 0);
  EXPECT_THAT(lines_of(device_->log()),
              ElementsAre("write disk0 8388508 +100", "write disk0 8384512 +4096"));
}

TEST_F(MountTest, ADirectDurableWriteIsOneRequestAndItsErrorsAreItsOwn) {
  const File file(disk(), O_RDWR | O_DIRECT | O_DSYNC);
  const auto pages = aligned(8192);
  EXPECT_EQ(pwrite(file.number(), pages.get(), 8192, 0), 8192);
  EXPECT_THAT(lines_of(device_->log()), ElementsAre("write disk0 0 +8192 fua"));
  ASSERT_TRUE(device_->add_fault(*faults::parse_expression("eio write nth=1")));
  ASSERT_TRUE(device_->add_fault(*faults::parse_expression("eio flush nth=1")));
  // Nothing is held back: an error of a write is told at the write, one of a flush at the fsync,
  // each once.
  EXPECT_EQ(pwrite(file.number(), pages.get(), 4096, 0), -1);
  EXPECT_EQ(errno, EIO);
  EXPECT_EQ(fsync(file.number()), -1);
  EXPECT_EQ(errno, EIO);
  EXPECT_EQ(fsync(file.number()), 0);
  EXPECT_EQ(pwrite(file.number(), pages.get(), 4096, 0), 4096);
}

TEST_F(MountTest, TheAddressOfADirectBufferIsNotSeen) {
  // A disk would refuse it; the kernel does not tell a FUSE server (operations.cc).
  const File file(disk(), O_RDWR | O_DIRECT);
  const auto pages = aligned(8192);
  EXPECT_EQ(pwrite(file.number(), pages.get() + 1, 4096, 0), 4096);
  EXPECT_EQ(device_->log().entry(1).size_bytes, 4096U);
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

TEST_F(MountTest, WhatWasNeverWrittenIsAHole) {
  const File file(disk(), O_RDWR);
  const int number = file.number();
  const auto size = static_cast<off_t>(disk_bytes);
  EXPECT_EQ(lseek(number, 0, SEEK_HOLE), 0);
  EXPECT_EQ(lseek(number, 0, SEEK_DATA), -1);
  EXPECT_EQ(errno, ENXIO);
  ASSERT_EQ(pwrite(number, "word", 4, 300'000), 4);
  EXPECT_EQ(lseek(number, 0, SEEK_DATA), 299'008) << "the page it lies in";
  EXPECT_EQ(lseek(number, 300'002, SEEK_DATA), 300'002);
  EXPECT_EQ(lseek(number, 300'002, SEEK_HOLE), 303'104);
  EXPECT_EQ(lseek(number, size, SEEK_HOLE), -1);
  EXPECT_EQ(errno, ENXIO);
  device_->cut_now();
  EXPECT_EQ(lseek(number, 0, SEEK_DATA), -1);
  EXPECT_EQ(errno, EIO);
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

}  // namespace
}  // namespace faultfs::mount
