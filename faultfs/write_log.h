#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "faultfs/base/bytes.h"
#include "faultfs/log_arena.h"

namespace faultfs {

/// Which disk of a device, counted from 0.
using DiskNumber = std::uint16_t;

enum class EntryKind : std::uint8_t { write, flush, discard, mark };

/// One completed request, or a mark. Entries are numbered from 1 in completion order; entry n is
/// written `w0001`, and "after w0000" is the start of the log.
struct LogEntry {
  EntryKind kind = EntryKind::write;
  DiskNumber disk = 0;
  bool fua = false;  ///< a write that asked to be durable when it completed
  std::uint32_t issued_after =
      0;  ///< entries completed when the request arrived; a flush covers writes up to it
  std::uint64_t offset_bytes = 0;
  std::uint64_t size_bytes = 0;
  std::uint64_t data_at =
      0;                   ///< where the bytes (write) or the text (mark) begin in the log's arena
  bool dropped = false;    ///< a write or discard that no flush covers: one failed, and with it the
                           ///< write was forgotten (a fault)
  bool on_medium = false;  ///< durable by itself, whatever the device promises: not a write of a
                           ///< client, but the medium gone back to an old version (a fault)
  [[nodiscard]] bool operator==(const LogEntry&) const = default;
};

/// What a device was asked, in completion order, with the bytes. Grows only; entries are immutable
/// (but for `drop` and `settle`).
class WriteLog {
 public:
  /// Number of entries; entry numbers run from 1 to `size()`.
  [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(entries_.size()); }
  [[nodiscard]] const LogEntry& entry(std::uint32_t number) const;
  /// The bytes of a write entry; empty for others. Valid as long as `LogArena::view` says.
  [[nodiscard]] ByteView data(std::uint32_t number) const;
  /// The text of a mark; empty for others.
  [[nodiscard]] std::string_view mark_text(std::uint32_t number) const;

  /// Each appends an entry and returns its number. `issued_after` as in `LogEntry`.
  std::uint32_t add_write(DiskNumber disk,
                          std::uint64_t offset_bytes,
                          ByteView data,
                          bool fua,
                          std::uint32_t issued_after);
  std::uint32_t add_flush(DiskNumber disk, std::uint32_t issued_after);
  std::uint32_t add_discard(DiskNumber disk,
                            std::uint64_t offset_bytes,
                            std::uint64_t size_bytes,
                            std::uint32_t issued_after);
  std::uint32_t add_mark(std::string_view text);
  /// Appends a copy of entry `number` of `other`, which has the same number here.
  void add_like(const WriteLog& other, std::uint32_t number);
  /// From now on no flush covers entry `number`, a write or discard.
  void drop(std::uint32_t number);
  /// Entry `number`, a write, is on the medium by itself.
  void settle(std::uint32_t number);
  /// From now on keeps about `bytes` of the data in memory, and the rest, compressed, in a file
  /// that is gone with the log; 0: all of it. Entries stay in memory: 56 bytes each.
  void keep_in_memory(std::uint64_t bytes) { arena_.keep_in_memory(bytes); }
  [[nodiscard]] std::uint64_t kept_in_memory() const { return arena_.kept_in_memory(); }
  [[nodiscard]] ArenaState arena() const { return arena_.state(); }

  /// Forgets all entries; the next one is number 1.
  void clear();

  [[nodiscard]] bool operator==(const WriteLog& other) const;

  /// Writes or reads the log as one zstd-compressed file. What also stands in `known`, at most 64
  /// MiB that the reader must have as well, costs next to nothing. `load` refuses, with a sentence,
  /// a file that is cut short, of another kind or version, whose checksum is wrong, or that was
  /// written with another `known`.
  [[nodiscard]] Status save(const std::filesystem::path& file, ByteView known = {}) const;
  [[nodiscard]] static Result<WriteLog> load(const std::filesystem::path& file,
                                             ByteView known = {});

 private:
  std::uint32_t add(LogEntry entry, ByteView data);

  std::vector<LogEntry> entries_;
  LogArena arena_;
};

/// "w0118": how entry `number` is written everywhere.
[[nodiscard]] std::string entry_name(std::uint32_t number);

}  // namespace faultfs
