#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "faultfs/write_log.h"

namespace faultfs {

/// One sector of one disk, counted from 0.
struct SectorPlace {
  DiskNumber disk = 0;
  std::uint64_t sector = 0;
  [[nodiscard]] auto operator<=>(const SectorPlace&) const = default;  // NOLINT: no pointer
};

/// Notes which of the sectors it was told of are read before their content is overwritten, in the
/// order of their first reads. A sector that is overwritten whole without having been read is
/// dropped: what it held can no longer matter. One overwritten in part counts as read.
///
/// Not thread-safe; the device holds its lock around it.
class ReadWatch {
 public:
  explicit ReadWatch(std::uint32_t sector_bytes) : sector_bytes_(sector_bytes) {}

  /// Forgets everything and waits for `places`. The same places again cost what was forgotten
  /// since.
  void arm(std::shared_ptr<const std::vector<SectorPlace>> places);
  /// True where some sector is still waited for.
  [[nodiscard]] bool waits() const { return waiting_ > 0; }

  void on_read(DiskNumber disk, std::uint64_t offset_bytes, std::uint64_t size_bytes);
  void on_write(DiskNumber disk, std::uint64_t offset_bytes, std::uint64_t size_bytes);

  /// The first page in [offset, end) that holds a sector still waited for; `end` where there is
  /// none. Whether that page is blank may depend on what the sector holds.
  [[nodiscard]] std::uint64_t quiet_until(DiskNumber disk,
                                          std::uint64_t offset_bytes,
                                          std::uint64_t end_bytes) const;

  /// The sectors read so far, first read first.
  [[nodiscard]] const std::vector<SectorPlace>& reads() const { return reads_; }

 private:
  [[nodiscard]] bool forget(DiskNumber disk, std::uint64_t sector);

  std::uint32_t sector_bytes_;
  std::vector<std::vector<bool>> waited_;  // by disk and sector
  std::shared_ptr<const std::vector<SectorPlace>> places_;
  std::vector<SectorPlace> reads_;
  std::vector<SectorPlace> overwritten_;  // without having been read
  std::size_t waiting_ = 0;
};

}  // namespace faultfs
