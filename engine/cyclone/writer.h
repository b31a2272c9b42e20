#pragma once

#include "engine/cyclone/log.h"
#include "engine/cyclone/sync.h"

namespace engine::cyclone {

/// The log and the directory syncs in step: keeps what roll-forward needs from being overwritten.
class Writer {
 public:
  Writer(Core& core, Log& log, Sync& sync) : core_(core), log_(log), sync_(sync) {}

  /// Appends a document and, of a fragment that is new, its row. Returns its offset.
  [[nodiscard]] Result<std::uint64_t> append(const DocumentHeader& header,
                                             std::span<const std::byte> meta,
                                             std::span<const std::byte> content);
  /// Everything appended is durable. Moves a directory sync that is due on by one write.
  [[nodiscard]] Status flush();
  /// One whole directory sync, from now.
  [[nodiscard]] Status sync();

 private:
  [[nodiscard]] Status keep_distance(std::uint64_t coming_bytes);

  Core& core_;
  Log& log_;
  Sync& sync_;
};

/// Log bytes between two directory syncs of a stripe: a quarter of a lap, less on large stripes.
[[nodiscard]] std::uint64_t sync_distance(const StripeGeometry& geometry, const Config& config);
/// Never more than this lies between the newest whole copy's cursor and the log's end.
[[nodiscard]] std::uint64_t lap_limit(const StripeGeometry& geometry);

}  // namespace engine::cyclone
