#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "engine/restart/shared_memory.h"

namespace engine::restart {
namespace {

class PosixMapping final : public Mapping {
 public:
  explicit PosixMapping(std::span<std::byte> bytes) : Mapping(bytes) {}
  ~PosixMapping() override { ::munmap(bytes_.data(), bytes_.size()); }
  PosixMapping(const PosixMapping&) = delete;
  PosixMapping& operator=(const PosixMapping&) = delete;
  [[nodiscard]] bool make_read_only() override {
    return ::mprotect(bytes_.data(), bytes_.size(), PROT_READ) == 0;
  }
  [[nodiscard]] bool advise_huge_pages() override {
    return ::madvise(bytes_.data(), bytes_.size(), MADV_HUGEPAGE) == 0;
  }
  void settle() override { static_cast<void>(::msync(bytes_.data(), bytes_.size(), MS_SYNC)); }
};

class PosixObject final : public SharedObject {
 public:
  explicit PosixObject(int descriptor) : descriptor_(descriptor) {}
  ~PosixObject() override { ::close(descriptor_); }
  PosixObject(const PosixObject&) = delete;
  PosixObject& operator=(const PosixObject&) = delete;

  [[nodiscard]] SystemResult<std::uint64_t> size_bytes() override {
    struct stat facts = {};
    if (::fstat(descriptor_, &facts) != 0) {
      return tl::unexpected(errno);
    }
    return static_cast<std::uint64_t>(facts.st_size);
  }
  [[nodiscard]] LockAnswer lock() override {
    while (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      if (errno != EINTR) {
        return errno == EWOULDBLOCK ? LockAnswer::held : LockAnswer::unsupported;
      }
    }
    return LockAnswer::taken;
  }
  [[nodiscard]] bool unlinked() override {
    struct stat facts = {};
    return ::fstat(descriptor_, &facts) == 0 && facts.st_nlink == 0;
  }
  [[nodiscard]] SystemResult<void> resize(std::uint64_t size_bytes, bool reserve) override {
    const auto size = static_cast<off_t>(size_bytes);
    while (::ftruncate(descriptor_, size) != 0) {
      if (errno != EINTR) {
        return tl::unexpected(errno);
      }
    }
    int error_number = reserve ? EINTR : 0;
    while (error_number == EINTR) {
      error_number = ::posix_fallocate(descriptor_, 0, size);
    }
    return error_number == 0 ? SystemResult<void>{} : tl::unexpected(error_number);
  }
  [[nodiscard]] SystemResult<std::unique_ptr<Mapping>> map(std::uint64_t size_bytes,
                                                           Access access) override {
    const int protection = access == Access::read_only ? PROT_READ : PROT_READ | PROT_WRITE;
    void* const bytes = ::mmap(nullptr, size_bytes, protection, MAP_SHARED, descriptor_, 0);
    if (bytes == MAP_FAILED) {
      return tl::unexpected(errno);
    }
    return std::make_unique<PosixMapping>(std::span(static_cast<std::byte*>(bytes), size_bytes));
  }

 private:
  int descriptor_;
};

class PosixMemory final : public SharedMemory {
 public:
  [[nodiscard]] SystemResult<std::unique_ptr<SharedObject>> open(const std::string& name,
                                                                 Access access) override {
    return opened(name, access == Access::read_only ? O_RDONLY : O_RDWR);
  }
  [[nodiscard]] SystemResult<std::unique_ptr<SharedObject>> create(
      const std::string& name) override {
    return opened(name, O_RDWR | O_CREAT | O_EXCL);
  }
  [[nodiscard]] SystemResult<void> unlink(const std::string& name) override {
    return ::shm_unlink(name.c_str()) == 0 ? SystemResult<void>{} : tl::unexpected(errno);
  }
  [[nodiscard]] std::uint32_t own_process() override {
    return static_cast<std::uint32_t>(::getpid());
  }
  [[nodiscard]] bool alive(std::uint32_t process) override {
    const auto id = static_cast<pid_t>(process);
    return id > 0 && (::kill(id, 0) == 0 || errno == EPERM);
  }

 private:
  static SystemResult<std::unique_ptr<SharedObject>> opened(const std::string& name, int flags) {
    // shm_open sets FD_CLOEXEC itself: a child program never holds the lock.
    const int descriptor = ::shm_open(name.c_str(), flags, S_IRUSR | S_IWUSR);
    if (descriptor < 0) {
      return tl::unexpected(errno);
    }
    return std::make_unique<PosixObject>(descriptor);
  }
};

}  // namespace

SharedMemory& posix_shared_memory() {
  static PosixMemory memory;
  return memory;
}

std::string reason(int error_number) {
  return std::generic_category().message(error_number);
}

}  // namespace engine::restart
