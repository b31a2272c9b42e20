#pragma once

/// Two instances of one engine on one disk: what they know of each other, in one object of shared
/// memory, `<prefix>board`.
///
///     magic "PCUTBRD\0", schema u32, ABI hash u64 (as restart/layout.h: both are of one build)
///     two places: process u32, when it started u64, its disk, the socket its clients use
///     who writes u32 (0: nobody, else its place + 1), handoffs u64, takeovers u64
///     256 live stripes (cyclone/live.h), of whoever writes
///
/// The board says who writes; the right to write is the lock on the disk, which the kernel takes
/// from a dead process and from nobody else. So there is no lease that could run out during a long
/// write, and no clock. The number of the store's life (span_header.h) counts the holders: it is
/// raised durably before a new holder's first write.
///
/// Places change only under the object's lock. A place whose process is dead is free.

#include <array>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "engine/base/result.h"
#include "engine/cyclone/config.h"
#include "engine/cyclone/live.h"
#include "engine/restart/shared_memory.h"

namespace engine::handoff {

/// Which disk, whatever its path: st_dev and st_ino, of a block device 0 and st_rdev.
struct DiskIdentity {
  std::uint64_t device = 0, file = 0;
  [[nodiscard]] bool operator==(const DiskIdentity&) const = default;
};
[[nodiscard]] Result<DiskIdentity> identify_disk(const std::filesystem::path& file);

/// One of the two.
struct Instance {
  std::uint32_t process = 0;
  std::string socket;  ///< where its clients reach it; empty: one connected client alone
  bool writes = false;
};

struct BoardLayout;

/// This process's place on the board, until it is destroyed; who leaves last removes the board.
class Board {
 public:
  /// Error: `prefix_word` cannot be a prefix; two living instances are there already, or one of
  /// another build or on another disk (`busy`); or the system refuses.
  [[nodiscard]] static Result<std::unique_ptr<Board>> join(restart::SharedMemory& memory,
                                                           std::string_view prefix_word,
                                                           const DiskIdentity& disk,
                                                           std::string_view socket);
  ~Board();
  Board(const Board&) = delete;
  Board& operator=(const Board&) = delete;
  Board(Board&&) = delete;
  Board& operator=(Board&&) = delete;

  [[nodiscard]] std::span<cyclone::LiveStripe> live() const;
  /// The living process in the other place.
  [[nodiscard]] std::optional<Instance> other() const;
  /// Says that this process writes from now on, or that it does no longer.
  void set_writes(bool writes);
  void count_handoff();
  void count_takeover();

 private:
  Board(restart::SharedMemory& memory, std::string name);
  [[nodiscard]] Result<bool> try_join(const DiskIdentity& disk, std::string_view socket);

  restart::SharedMemory& memory_;
  std::string name_;
  std::unique_ptr<restart::Mapping> mapping_;
  BoardLayout* layout_ = nullptr;
  std::size_t place_ = 0;
};

/// What is on a board, for whoever looks.
struct BoardStatus {
  std::string name;
  bool exists = false;
  std::string wrong;                                 ///< why it cannot be read; empty: it can
  std::array<std::optional<Instance>, 2> instances;  ///< those that live
  std::uint64_t handoffs = 0, takeovers = 0;
};
/// Changes nothing. Error: as for `join`, but never `busy`.
[[nodiscard]] Result<BoardStatus> read_board(restart::SharedMemory& memory,
                                             std::string_view prefix_word);
/// Removes a board on which nobody lives. Its name; empty: there was none. Error: somebody lives
/// there (`busy`).
[[nodiscard]] Result<std::string> remove_board(restart::SharedMemory& memory,
                                               std::string_view prefix_word);

}  // namespace engine::handoff
