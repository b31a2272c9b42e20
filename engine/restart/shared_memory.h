#pragma once

/// The seam under a fast restart: named objects of shared memory, as POSIX has them. They outlive
/// the process that made them and not the machine's power. Errors are errno numbers, because what
/// follows depends on them.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <tl/expected.hpp>

namespace engine::restart {

template <typename T>
using SystemResult = tl::expected<T, int>;

enum class Access : std::uint8_t { read_only, read_write };

enum class LockAnswer : std::uint8_t {
  taken,
  held,         ///< by another process
  unsupported,  ///< this system has no locks on such objects
};

/// Bytes of an object in this process, until it is destroyed.
class Mapping {
 public:
  virtual ~Mapping() = default;
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }
  /// From now on a store into the bytes ends the process. False: the system refused.
  [[nodiscard]] virtual bool make_read_only() = 0;
  /// Asks for large pages. False: not to be had here; nothing is lost by that.
  [[nodiscard]] virtual bool advise_huge_pages() = 0;
  /// Completes the stores made so far as far as the object's kind needs that.
  virtual void settle() = 0;

 protected:
  explicit Mapping(std::span<std::byte> bytes) : bytes_(bytes) {}
  std::span<std::byte> bytes_;
};

/// An open object. A lock taken through it is held until it is destroyed.
class SharedObject {
 public:
  virtual ~SharedObject() = default;
  SharedObject(const SharedObject&) = delete;
  SharedObject& operator=(const SharedObject&) = delete;
  [[nodiscard]] virtual SystemResult<std::uint64_t> size_bytes() = 0;
  [[nodiscard]] virtual LockAnswer lock() = 0;
  /// True where no name leads to the object any more.
  [[nodiscard]] virtual bool unlinked() = 0;
  /// Gives a new object its size. `reserve`: and every page of it, so that no store into it can
  /// fail later.
  [[nodiscard]] virtual SystemResult<void> resize(std::uint64_t size_bytes, bool reserve) = 0;
  [[nodiscard]] virtual SystemResult<std::unique_ptr<Mapping>> map(std::uint64_t size_bytes,
                                                                   Access access) = 0;

 protected:
  SharedObject() = default;
};

/// All named objects of the machine, and the processes that may own them.
class SharedMemory {
 public:
  virtual ~SharedMemory() = default;
  [[nodiscard]] virtual SystemResult<std::unique_ptr<SharedObject>> open(const std::string& name,
                                                                         Access access) = 0;
  /// Fails with EEXIST where there is one of that name. Mode 0600.
  [[nodiscard]] virtual SystemResult<std::unique_ptr<SharedObject>> create(
      const std::string& name) = 0;
  [[nodiscard]] virtual SystemResult<void> unlink(const std::string& name) = 0;
  [[nodiscard]] virtual std::uint32_t own_process() = 0;
  [[nodiscard]] virtual bool alive(std::uint32_t process) = 0;

 protected:
  SharedMemory() = default;
  SharedMemory(const SharedMemory&) = default;
  SharedMemory& operator=(const SharedMemory&) = default;
};

/// The machine's own: shm_open, flock, mmap.
[[nodiscard]] SharedMemory& posix_shared_memory();

/// The system's words for an errno number.
[[nodiscard]] std::string reason(int error_number);

}  // namespace engine::restart
