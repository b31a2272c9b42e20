#pragma once

#include "engine/cyclone/reader.h"
#include "engine/cyclone/writer.h"

namespace engine::cyclone {

/// Carries documents that are worth keeping out of the write cursor's way: pinned ones (by name,
/// `Config::pins`) and hot ones (asked for shortly before, `Config::hit_evacuate_percent`). Each is
/// read, verified and appended again. The rules are at the head of evacuation.cc.
class Evacuation {
 public:
  Evacuation(Core& core, Log& log, Reader& reader, Writer& writer);

  /// To be called before a document of `bytes` is appended: what that and the next ones come near
  /// to is moved. Error: the device refused the write of something moved.
  [[nodiscard]] Status make_way(std::uint64_t bytes);
  /// The cursor is where recovery, or an attached image, left it.
  void restart();

 private:
  [[nodiscard]] std::uint64_t cursor() const;
  [[nodiscard]] std::uint64_t gap() const;
  void scan();
  [[nodiscard]] Status pass(std::uint64_t bytes);
  [[nodiscard]] Status move(const Row& row);
  [[nodiscard]] Result<std::optional<Found>> wanted_head(const Found& found, bool& pinned);
  [[nodiscard]] Result<std::optional<Found>> wanted_fragment(const Found& found, bool& pinned);
  [[nodiscard]] bool may_move(const Found& found, bool pinned);

  Core& core_;
  Log& log_;
  Reader& reader_;
  Writer& writer_;
  std::uint64_t passed_ = 0;  // everything wanted before this place of the data area was moved
  std::uint64_t failed_writes_ = 0;  // of the log, when `passed_` was true
  std::uint64_t scanned_ = 0;        // and before this one the pinned rows are in `core_.wanted`
};

}  // namespace engine::cyclone
