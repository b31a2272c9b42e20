#include "engine/block/file_device.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <system_error>

#include <fmt/format.h>

namespace engine::block {
namespace {

std::string reason(int error_number) {
  return std::generic_category().message(error_number);
}

class FileDevice final : public Device {
 public:
  FileDevice(int descriptor, std::uint64_t size_bytes, std::filesystem::path file, bool writable)
      : descriptor_(descriptor),
        size_bytes_(size_bytes),
        file_(std::move(file)),
        writable_(writable) {}
  ~FileDevice() override { ::close(descriptor_); }
  FileDevice(const FileDevice&) = delete;
  FileDevice& operator=(const FileDevice&) = delete;
  FileDevice(FileDevice&&) = delete;
  FileDevice& operator=(FileDevice&&) = delete;

  [[nodiscard]] std::uint64_t size_bytes() const override { return size_bytes_; }

  [[nodiscard]] Status read(std::uint64_t offset_bytes, std::span<std::byte> into) override {
    while (!into.empty()) {
      const ssize_t got =
          ::pread(descriptor_, into.data(), into.size(), static_cast<off_t>(offset_bytes));
      if (got < 0 && errno == EINTR) {
        continue;
      }
      if (got <= 0) {
        return trouble("reading", offset_bytes, got == 0 ? "the file ends there" : reason(errno));
      }
      into = into.subspan(static_cast<std::size_t>(got));
      offset_bytes += static_cast<std::uint64_t>(got);
    }
    return {};
  }

  [[nodiscard]] std::uint64_t blank_until(std::uint64_t offset_bytes) override {
    if (!has_holes_ || offset_bytes >= size_bytes_) {
      return offset_bytes;
    }
    const off_t data = ::lseek(descriptor_, static_cast<off_t>(offset_bytes), SEEK_DATA);
    if (data >= 0) {
      return std::max(offset_bytes, static_cast<std::uint64_t>(data));
    }
    if (errno == ENXIO) {
      return size_bytes_;  // no data up to the end
    }
    has_holes_ = false;  // neither block devices nor every file system can tell
    return offset_bytes;
  }
  [[nodiscard]] bool takes_many() const override { return true; }
  [[nodiscard]] std::uint32_t cheap_read_bytes() const override { return 131072; }

  [[nodiscard]] Status write(std::uint64_t offset_bytes,
                             std::span<const std::byte> from,
                             WriteMode mode) override {
    if (!writable_ || offset_bytes > size_bytes_ || from.size() > size_bytes_ - offset_bytes) {
      return trouble("writing", offset_bytes, writable_ ? "outside the disk" : "opened read-only");
    }
    while (!from.empty()) {
      const ssize_t put = put_some(offset_bytes, from, mode);
      if (put < 0 && errno == EINTR) {
        continue;
      }
      if (put <= 0) {
        return trouble("writing", offset_bytes, put == 0 ? "nothing was taken" : reason(errno));
      }
      from = from.subspan(static_cast<std::size_t>(put));
      offset_bytes += static_cast<std::uint64_t>(put);
    }
    return {};
  }

  [[nodiscard]] Status flush() override {
    if (!writable_) {
      return trouble("flushing", 0, "opened read-only");
    }
    while (::fdatasync(descriptor_) != 0) {
      if (errno != EINTR) {
        return trouble("flushing", 0, reason(errno));
      }
    }
    return {};
  }

  [[nodiscard]] Status discard(std::uint64_t offset_bytes, std::uint64_t size_bytes) override {
    if (!writable_) {
      return trouble("discarding", offset_bytes, "opened read-only");
    }
    while (::fallocate(descriptor_,
                       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                       static_cast<off_t>(offset_bytes),
                       static_cast<off_t>(size_bytes)) != 0) {
      if (errno != EINTR) {
        return trouble("discarding", offset_bytes, reason(errno));
      }
    }
    return {};
  }

 private:
  ssize_t put_some(std::uint64_t offset_bytes, std::span<const std::byte> from, WriteMode mode) {
    const auto offset = static_cast<off_t>(offset_bytes);
    if (mode == WriteMode::cached) {
      return ::pwrite(descriptor_, from.data(), from.size(), offset);
    }
    // iovec has no const form; pwritev2 only reads through it.
    const iovec piece{const_cast<std::byte*>(from.data()), from.size()};
    return ::pwritev2(descriptor_, &piece, 1, offset, RWF_DSYNC);
  }

  [[nodiscard]] tl::unexpected<Error> trouble(std::string_view doing,
                                              std::uint64_t offset_bytes,
                                              std::string_view why) const {
    return fail(Trouble::device,
                fmt::format("{} {} at offset {}: {}", doing, file_.string(), offset_bytes, why));
  }

  int descriptor_;
  std::uint64_t size_bytes_;
  std::filesystem::path file_;
  bool writable_;
  std::atomic<bool> has_holes_ = true;  // until the file says that it cannot tell
};

Result<std::uint64_t> disk_size(int descriptor, const std::filesystem::path& file) {
  struct stat facts = {};
  if (::fstat(descriptor, &facts) != 0) {
    return fail(Trouble::device, fmt::format("{}: {}", file.string(), reason(errno)));
  }
  if (S_ISREG(facts.st_mode)) {
    return static_cast<std::uint64_t>(facts.st_size);
  }
  std::uint64_t size_bytes = 0;
  if (S_ISBLK(facts.st_mode) && ::ioctl(descriptor, BLKGETSIZE64, &size_bytes) == 0) {
    return size_bytes;
  }
  return fail(Trouble::invalid,
              fmt::format("{} is neither a regular file nor a block device", file.string()));
}

}  // namespace

Result<std::unique_ptr<Device>> open_file_device(const std::filesystem::path& file, OpenMode mode) {
  const bool writable = mode == OpenMode::read_write;
  const int descriptor = ::open(file.c_str(), (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
  if (descriptor < 0) {
    return fail(Trouble::device, fmt::format("cannot open {}: {}", file.string(), reason(errno)));
  }
  if (writable && ::flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    ::close(descriptor);
    return fail(Trouble::busy,
                fmt::format("{} is in use by another engine; one writer at a time", file.string()));
  }
  const auto size_bytes = disk_size(descriptor, file);
  if (!size_bytes) {
    ::close(descriptor);
    return tl::unexpected(size_bytes.error());
  }
  return std::make_unique<FileDevice>(descriptor, *size_bytes, file, writable);
}

}  // namespace engine::block
