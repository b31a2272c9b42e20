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
#include <array>
#include <atomic>
#include <cerrno>
#include <system_error>
#include <vector>

#include <fmt/format.h>

namespace engine::block {
namespace {

std::string reason(int error_number) {
  return std::generic_category().message(error_number);
}

class FileDevice final : public Device {
 public:
  FileDevice(Descriptor disk, std::uint64_t size_bytes, std::filesystem::path file, bool writable)
      : disk_(std::move(disk)),
        descriptor_(disk_.get()),
        size_bytes_(size_bytes),
        file_(std::move(file)),
        writable_(writable) {}

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

  Descriptor disk_;
  int descriptor_;  // its number
  std::uint64_t size_bytes_;
  std::filesystem::path file_;
  bool writable_;
  std::atomic<bool> has_holes_ = true;  // until the file says that it cannot tell
};

/// Requests of whole blocks, from memory that begins at one; what comes otherwise goes through a
/// buffer. One for each thread.
class DirectDevice final : public Device {
 public:
  DirectDevice(std::unique_ptr<Device> below, std::uint32_t block_bytes)
      : below_(std::move(below)), block_bytes_(block_bytes) {}

  [[nodiscard]] std::uint64_t size_bytes() const override { return below_->size_bytes(); }
  [[nodiscard]] bool takes_many() const override { return true; }
  [[nodiscard]] std::uint32_t cheap_read_bytes() const override {
    return below_->cheap_read_bytes();
  }
  [[nodiscard]] std::uint64_t blank_until(std::uint64_t offset_bytes) override {
    return below_->blank_until(offset_bytes);
  }
  [[nodiscard]] std::uint32_t write_block_bytes() const override { return block_bytes_; }
  [[nodiscard]] Status read(std::uint64_t offset_bytes, std::span<std::byte> into) override {
    if (aligned(offset_bytes, into)) {
      return below_->read(offset_bytes, into);
    }
    const std::uint64_t begin = offset_bytes / block_bytes_ * block_bytes_;
    const std::uint64_t end =
        (offset_bytes + into.size() + block_bytes_ - 1) / block_bytes_ * block_bytes_;
    const auto blocks = buffer(end - begin);
    const Status done = below_->read(begin, blocks);
    if (done) {
      std::copy_n(blocks.begin() + static_cast<std::ptrdiff_t>(offset_bytes - begin),
                  into.size(),
                  into.begin());
    }
    return done;
  }
  [[nodiscard]] Status write(std::uint64_t offset_bytes,
                             std::span<const std::byte> from,
                             WriteMode mode) override {
    if (offset_bytes % block_bytes_ != 0 || from.size() % block_bytes_ != 0) {
      return fail(Trouble::device,
                  fmt::format("a write of {} bytes at offset {} is not one of whole blocks of {}, "
                              "which direct I/O needs",
                              from.size(),
                              offset_bytes,
                              block_bytes_));
    }
    if (aligned(offset_bytes, from)) {
      return below_->write(offset_bytes, from, mode);
    }
    const auto blocks = buffer(from.size());
    std::copy(from.begin(), from.end(), blocks.begin());
    return below_->write(offset_bytes, blocks, mode);
  }
  [[nodiscard]] Status flush() override { return below_->flush(); }
  [[nodiscard]] Status discard(std::uint64_t offset_bytes, std::uint64_t size_bytes) override {
    return below_->discard(offset_bytes, size_bytes);
  }

 private:
  template <typename Byte>
  [[nodiscard]] bool aligned(std::uint64_t offset_bytes, std::span<Byte> bytes) const {
    return offset_bytes % block_bytes_ == 0 && bytes.size() % block_bytes_ == 0 &&
           reinterpret_cast<std::uintptr_t>(bytes.data()) % block_bytes_ == 0;
  }
  [[nodiscard]] std::span<std::byte> buffer(std::uint64_t size_bytes) const {
    thread_local std::vector<std::byte> memory;
    memory.resize(std::max<std::size_t>(memory.size(), size_bytes + block_bytes_));
    const auto address = reinterpret_cast<std::uintptr_t>(memory.data());
    return std::span(memory).subspan((block_bytes_ - address % block_bytes_) % block_bytes_,
                                     size_bytes);
  }

  std::unique_ptr<Device> below_;
  std::uint32_t block_bytes_;
};

/// The least that direct I/O takes here: half a KiB where the device can, else a page; 0: it
/// cannot.
std::uint32_t direct_block(int descriptor) {
  constexpr std::size_t page = 4096;
  alignas(page) std::array<std::byte, page> block;
  for (const std::uint32_t size : {512U, 4096U}) {
    if (::pread(descriptor, block.data() + (size % page), size, size) >= 0) {
      return size;
    }
  }
  return 0;
}

bool is_block_device(const std::filesystem::path& file) {
  struct stat facts = {};
  return ::stat(file.c_str(), &facts) == 0 && S_ISBLK(facts.st_mode);
}

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

Result<Descriptor> open_disk(const std::filesystem::path& file, OpenMode mode, Transfer transfer) {
  const bool writable = mode == OpenMode::read_write;
  const bool direct = transfer == Transfer::direct;
  Descriptor disk(::open(file.c_str(),
                         (writable ? O_RDWR : O_RDONLY) | (direct ? O_DIRECT | O_DSYNC : 0) |
                             (writable && is_block_device(file) ? O_EXCL : 0) | O_CLOEXEC));
  if (!disk && errno == EBUSY) {
    return fail(Trouble::busy,
                fmt::format("{} is in use: something is mounted from it, or another program has it "
                            "for itself",
                            file.string()));
  }
  if (!disk) {
    return fail(
        Trouble::device,
        fmt::format(
            "cannot open {}{}: {}", file.string(), direct ? " for direct I/O" : "", reason(errno)));
  }
  if (writable && ::flock(disk.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    return fail(Trouble::busy,
                fmt::format("{} is in use by another engine; one writer at a time", file.string()));
  }
  return disk;
}

Result<std::unique_ptr<Device>> make_file_device(Descriptor descriptor,
                                                 const std::filesystem::path& file,
                                                 OpenMode mode,
                                                 Transfer transfer) {
  const int number = descriptor.get();
  const auto size_bytes = disk_size(number, file);
  if (!size_bytes) {
    return tl::unexpected(size_bytes.error());
  }
  auto device = std::make_unique<FileDevice>(
      std::move(descriptor), *size_bytes, file, mode == OpenMode::read_write);
  if (transfer == Transfer::cached) {
    return device;
  }
  const std::uint32_t block_bytes = direct_block(number);
  if (block_bytes == 0) {
    return fail(Trouble::device, fmt::format("{} takes no direct I/O", file.string()));
  }
  if (*size_bytes % block_bytes != 0) {
    return fail(
        Trouble::invalid,
        fmt::format("{} holds {} bytes, which are no whole blocks of {}, as direct I/O needs",
                    file.string(),
                    *size_bytes,
                    block_bytes));
  }
  return std::make_unique<DirectDevice>(std::move(device), block_bytes);
}

Result<std::unique_ptr<Device>> open_file_device(const std::filesystem::path& file,
                                                 OpenMode mode,
                                                 Transfer transfer) {
  auto disk = open_disk(file, mode, transfer);
  return disk ? make_file_device(std::move(*disk), file, mode, transfer)
              : tl::unexpected(disk.error());
}

}  // namespace engine::block
