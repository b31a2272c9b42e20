#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "faultfs/base/bytes.h"

namespace faultfs {

/// Where the bytes of an arena are.
struct ArenaState {
  std::uint64_t memory_bytes = 0;   ///< of the content, in memory
  std::uint64_t spilled_bytes = 0;  ///< of the content, on disk
  std::uint64_t file_bytes = 0;     ///< what these take there, compressed
  std::string trouble;              ///< why it could not spill: all stays in memory then
};

/// The bytes of a write log: they only grow at the end. Above a limit the oldest are compressed and
/// go to a file without a name, and come back when they are looked at. Copies share what is old.
/// One arena belongs to one thread at a time, its copies may belong to others.
class LogArena {
 public:
  LogArena();
  ~LogArena();
  LogArena(const LogArena& other);
  LogArena& operator=(const LogArena& other);
  LogArena(LogArena&& other) noexcept;
  LogArena& operator=(LogArena&& other) noexcept;

  [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }
  /// Puts `data` at the end, in one piece; returns where it begins.
  std::uint64_t add(ByteView data);
  /// The bytes from `at` on, which were added in one piece. Valid until the arena is cleared or
  /// assigned to, or 16 pieces of a part of it that was spilled have been looked at.
  [[nodiscard]] ByteView view(std::uint64_t at, std::uint64_t size_bytes) const;
  /// Forgets all bytes.
  void clear();

  /// From now on keeps about `bytes` in memory, 2 MiB at least; 0: all of them.
  void keep_in_memory(std::uint64_t bytes);
  [[nodiscard]] std::uint64_t kept_in_memory() const { return memory_max_; }
  [[nodiscard]] ArenaState state() const;

  [[nodiscard]] bool operator==(const LogArena& other) const;

 private:
  class Memory;
  class SpillFile;
  struct Part;
  struct Loaded;

  [[nodiscard]] const Part& part_of(std::uint64_t at) const;
  [[nodiscard]] ByteView load(const Part& part) const;
  void open_part(std::uint64_t bytes);
  void keep_spare(std::shared_ptr<Memory> memory);
  void spill_old();
  bool spill(Part& part);

  std::vector<Part> parts_;  ///< in order, without gaps; new bytes go to the last one
  std::uint64_t size_bytes_ = 0;
  std::uint64_t memory_max_ = 0;
  std::uint64_t memory_bytes_ = 0;
  bool sealed_ = false;                         ///< the last part is somebody else's to add to
  std::size_t first_in_memory_ = 0;             ///< parts before it are spilled
  std::shared_ptr<SpillFile> file_;             ///< made when it is first needed
  std::vector<std::shared_ptr<Memory>> spare_;  ///< of parts that went: its pages are there already
  std::string trouble_;
  mutable std::vector<Loaded> loaded_;  ///< parts that came back, oldest first
};

}  // namespace faultfs
