#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "faultfs/mount/mount.h"

namespace faultfs::mount {

constexpr std::uint64_t disk_bytes = 8_MiB;

inline Bytes filled(std::size_t size, std::uint8_t value) {
  return Bytes(size, std::byte{value});
}

struct Free {
  void operator()(char* pages) const { std::free(pages); }
};

/// `size` bytes that begin on a page.
inline std::unique_ptr<char, Free> aligned(std::size_t size) {
  std::unique_ptr<char, Free> pages(static_cast<char*>(std::aligned_alloc(4096, size)));
  std::fill_n(pages.get(), size, 'x');
  return pages;
}

inline std::vector<std::string> lines_of(const WriteLog& log) {
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

inline std::unique_ptr<Device> new_device(std::string_view profile = "ssd_4k_volatile") {
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

/// A device of two disks on a mount of its own.
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

}  // namespace faultfs::mount
