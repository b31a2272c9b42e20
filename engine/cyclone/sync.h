#pragma once

#include <cstdint>

#include "engine/cyclone/core.h"

namespace engine::cyclone {

/// Writes the directory to copy A and copy B in turn, in pieces. The rules are at the head of
/// sync.cc.
class Sync {
 public:
  explicit Sync(Core& core);

  /// Takes a snapshot; the log's buffer is empty. Nothing is written yet.
  void begin();
  /// One write: header, a piece of the rows, or the footer. A refusal ends this sync; the next one
  /// goes to the same copy.
  [[nodiscard]] Status step();
  /// All that is left of the one under way.
  [[nodiscard]] Status finish();
  [[nodiscard]] bool under_way() const { return under_way_; }
  /// The copies are as on the disk; what is loaded has `header.sync_serial`.
  void loaded();
  /// Log bytes that roll-forward from the newest whole copy would have to read.
  [[nodiscard]] std::uint64_t distance() const { return core_.log_bytes - synced_at_; }

 private:
  Core& core_;
  PageBuffer snapshot_;
  bool under_way_ = false;
  std::uint64_t written_ = 0;  // bytes of the snapshot, without the footer
  std::uint64_t snapshot_at_ = 0, synced_at_ = 0;
  std::uint64_t snapshot_dirty_ = 0;
  std::uint64_t whole_serial_ = 0;  // of the newest whole copy
};

}  // namespace engine::cyclone
