#pragma once

/// Kills at a store: the life that runs is over after so many of its stores into shared memory, and
/// what is there then is what the next start finds. Memory is write-protected; a store faults, its
/// page is opened for one instruction (the trap flag), what changed is looked at, and the page is
/// closed again. Nothing in the code that stores knows of it.
///
/// Counted are instructions that change something, in the order in which they are carried out; what
/// caches of processors may do to that order is not modelled, and no kill can show it: all stores
/// of a process that is killed are done or not begun. A store into pages that the cache itself made
/// read-only goes through here, where it would have ended the process.

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

#include "engine/restart/process_memory.h"
#include "faultfs/base/bytes.h"

namespace scenarios {

/// One at a time in a process, on x86-64 and without sanitizers.
class StoreTrap {
 public:
  /// Keeps the reference.
  explicit StoreTrap(engine::restart::ProcessMemory& memory) : memory_(memory) {}
  ~StoreTrap() { disarm(); }
  StoreTrap(const StoreTrap&) = delete;
  StoreTrap& operator=(const StoreTrap&) = delete;
  StoreTrap(StoreTrap&&) = delete;
  StoreTrap& operator=(StoreTrap&&) = delete;

  [[nodiscard]] static bool possible();

  /// Springs after the store number `stores` from now on, 1 the first.
  void arm(std::uint64_t stores);
  /// Does not spring any more, and forgets that it did.
  void disarm();
  [[nodiscard]] bool armed() const { return armed_; }
  [[nodiscard]] bool sprung() const { return sprung_; }

  // Once it has sprung: the store, and all that was in shared memory after it.
  [[nodiscard]] const std::string& object() const { return object_; }
  [[nodiscard]] std::size_t offset() const { return offset_; }
  [[nodiscard]] const std::map<std::string, faultfs::Bytes>& objects() const { return objects_; }

 private:
  friend struct TrapSignals;
  void spring(const std::byte* at);
  void close();

  engine::restart::ProcessMemory& memory_;
  bool armed_ = false, sprung_ = false;
  std::uint64_t stores_left_ = 0;
  std::string object_;
  std::size_t offset_ = 0;
  std::map<std::string, faultfs::Bytes> objects_;
};

}  // namespace scenarios
