#pragma once

/// Shared memory of one process: objects with names that outlive whatever mapped them and go with
/// the `ProcessMemory`, as those of the machine outlive processes and go with its power. For
/// harnesses that run thousands of lives in one process, and may copy all of it at any time.
///
/// Mappings are pages of their own, so that a store into one that was made read-only ends the
/// process here too. A lock is held by the open object that took it.

#include <map>
#include <mutex>
#include <optional>

#include "engine/restart/shared_memory.h"

namespace engine::restart {

/// What the next requests meet. All of them go on until they are taken back.
struct MemoryFaults {
  int control_open = 0;  ///< errno number of opening an object called "…-control"; 0: it works
  int image_map = 0;     ///< of mapping any other object that exists
  int image_resize = 0;  ///< of giving a new one its size
  LockAnswer lock = LockAnswer::taken;  ///< `taken`: as it is
  bool replaced = false;     ///< whoever opens an object finds it unlinked once it is locked
  std::uint32_t living = 0;  ///< a process that lives beside this one
};

/// Objects of one process.
class ProcessMemory final : public SharedMemory {
 public:
  ProcessMemory();
  ~ProcessMemory() override;
  ProcessMemory(const ProcessMemory&) = delete;
  ProcessMemory& operator=(const ProcessMemory&) = delete;

  MemoryFaults faults;

  // For harnesses that want to see every store.
  /// From now on a store into the bytes of any object faults, or works again.
  void trap_stores(bool on);
  /// The bytes of the object that `address` lies in.
  [[nodiscard]] std::optional<std::span<std::byte>> object_at(const std::byte* address) const;
  /// Names and bytes.
  [[nodiscard]] std::map<std::string, std::span<std::byte>> contents() const;

  [[nodiscard]] SystemResult<std::unique_ptr<SharedObject>> open(const std::string& name,
                                                                 Access access) override;
  [[nodiscard]] SystemResult<std::unique_ptr<SharedObject>> create(
      const std::string& name) override;
  [[nodiscard]] SystemResult<void> unlink(const std::string& name) override;
  [[nodiscard]] std::uint32_t own_process() override;
  [[nodiscard]] bool alive(std::uint32_t process) override;

 private:
  class Pages;
  class Object;
  class View;
  [[nodiscard]] int protection() const;
  std::mutex names_mutex_;  ///< stripes ask for their objects from several threads
  std::map<std::string, std::shared_ptr<Pages>> objects_;
  bool traps_stores_ = false;
};

}  // namespace engine::restart
