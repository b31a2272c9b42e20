#pragma once

#include "engine/cyclone/reader.h"
#include "engine/cyclone/sync.h"

namespace engine::cyclone {

/// Re-indexes the documents written since the loaded copy, some at a time. The rules are at the
/// head of roll_forward.cc.
class RollForward {
 public:
  RollForward(Core& core, Log& log, Reader& reader);

  /// One read of the log. False when its end was found, or cannot be (`lost`).
  [[nodiscard]] bool step();
  /// Documents that were re-indexed, and purges obeyed.
  [[nodiscard]] std::uint64_t documents() const { return documents_; }
  [[nodiscard]] std::uint64_t superseded() const { return superseded_; }
  /// Places that could not be read, tried several times.
  [[nodiscard]] std::uint64_t unreadable() const { return unreadable_; }
  /// Such a place is in the log's way: what was purged or replaced behind it nobody can tell.
  [[nodiscard]] bool lost() const { return unreadable_ > 0; }

 private:
  [[nodiscard]] Status fill(std::uint64_t position);
  [[nodiscard]] std::span<const std::byte> window(std::uint64_t position);
  [[nodiscard]] bool continues(std::uint64_t position, DecodedDocument& decoded);
  [[nodiscard]] bool take_run(std::uint64_t position);
  void index(const DocumentHeader& header, std::uint64_t position);
  void drop_what_ends(const DocumentHeader& header);
  void drop_heads(const Key& key);

  Core& core_;
  Log& log_;
  Reader& reader_;
  PageBuffer buffer_;
  std::uint64_t begin_ = 0, end_ = 0;  // positions the buffer holds
  bool cut_off_ = false;               // a document goes on behind the buffer
  std::uint64_t documents_ = 0, superseded_ = 0, unreadable_ = 0;
  std::vector<Row> rows_;
};

}  // namespace engine::cyclone
