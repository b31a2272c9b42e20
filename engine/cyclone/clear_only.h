#pragma once

#include <optional>

#include "engine/cyclone/log.h"

namespace engine::cyclone {

/// Recovery as the reference does it: nothing is re-indexed; what may have been overwritten since
/// the copy is deleted. For the preset; its holes are described at the head of clear_only.cc.
class ClearOnly {
 public:
  explicit ClearOnly(Core& core);

  /// Deletes rows. The highest serial of a directory sync seen goes into the header.
  void run();
  [[nodiscard]] std::uint64_t cleared() const { return cleared_; }

 private:
  /// The header of the document at `position`; none where there is no document.
  [[nodiscard]] std::optional<DocumentHeader> look(std::uint64_t position);
  [[nodiscard]] bool lapped();
  [[nodiscard]] bool follows(const std::optional<DocumentHeader>& document) const;
  [[nodiscard]] std::uint64_t find_stop(bool& wrapped);
  void clear_range(std::uint64_t begin, std::uint64_t end);
  void clear_all();

  Core& core_;
  std::uint64_t serial_ = 0;      // of the copy
  std::uint64_t last_sync_ = 0;   // sync serial of the last document accepted
  std::uint64_t last_write_ = 0;  // and its number
  std::uint64_t cleared_ = 0;
};

}  // namespace engine::cyclone
