#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engine/cyclone/geometry.h"
#include "engine/cyclone/key.h"
#include "engine/cyclone/live.h"
#include "engine/cyclone/row.h"

namespace engine::cyclone {

/// Which rows count: those of the current phase lie before the write head, those of the phase
/// before it at or behind. Offsets in bytes of the data area.
struct Window {
  bool phase = false;
  std::uint64_t head = 0;

  [[nodiscard]] bool holds(const Row& row) const {
    return row.phase == phase ? row.data_offset() < head : row.data_offset() >= head;
  }
};

/// How a full segment makes room.
enum class Eviction { oldest, every_tenth };

/// The rows of one stripe, in an image that its owner keeps (image.h). Every walk is bounded by the
/// segment; a segment whose links make no sense is emptied.
class Directory {
 public:
  Directory(std::span<std::byte> image, const StripeGeometry& geometry, Eviction eviction);

  /// From now on every change is told to `live`, for other processes.
  void tell(LiveStripe& live) { live_ = &live; }
  /// From now on this is the directory of another process, which may change it at any time.
  void follow(const LiveStripe& live) { followed_ = &live; }
  /// How often what was looked for changed for so long that nothing was found.
  [[nodiscard]] std::uint64_t unstable_looks() const { return unstable_looks_; }

  /// The rows that may be `key`'s: its bucket's, with its tag, in the window, newest insert last.
  void candidates(const Key& key, const Window& window, std::vector<Row>& into) const;
  /// Adds `row` (tag and links are set here). Evicts where the segment is full.
  void insert(const Key& key, Row row, const Window& window);
  /// Removes the row of `key` that points at `offset_blocks`. False where there is none.
  bool erase(const Key& key, std::uint64_t offset_blocks);
  /// Removes every row that `unwanted`; in the whole directory, linear.
  std::uint64_t erase_if(const std::function<bool(const Row&)>& unwanted);
  /// Calls `each(segment, row number, row)` for every row in use that a chain reaches.
  void for_each(const std::function<void(std::uint32_t, std::uint32_t, const Row&)>& each) const;

  /// Rows that a full segment gives up at once.
  [[nodiscard]] static std::uint32_t eviction_batch(const StripeGeometry& geometry) {
    return geometry.segment_rows() / 32 + 1;
  }
  [[nodiscard]] std::uint64_t evictions() const { return evictions_; }
  [[nodiscard]] std::uint64_t segments_emptied() const { return emptied_; }

 private:
  using Rows = SegmentRows<std::byte>;
  struct Bucket {
    std::uint32_t segment = 0, root = 0;
  };
  [[nodiscard]] Bucket bucket_of(const Key& key) const;
  [[nodiscard]] Rows rows(std::uint32_t segment) const;
  [[nodiscard]] bool usable(std::uint32_t row) const {
    return row < geometry_.segment_rows() && row % bucket_rows != 0;
  }

  [[nodiscard]] std::uint32_t take_free(const Bucket& bucket);
  [[nodiscard]] bool unlink_free(std::uint32_t segment, std::uint32_t row);
  void give_free(std::uint32_t segment, std::uint32_t row);
  void erase_row(const Bucket& bucket, std::uint32_t before, std::uint32_t row);
  void walk(const Key& key, const Window& window, std::vector<Row>& into) const;
  std::uint64_t clean(std::uint32_t segment, const std::function<bool(const Row&)>& unwanted);
  std::uint64_t clean_bucket(const Bucket& bucket, const std::function<bool(const Row&)>& unwanted);
  void evict(std::uint32_t segment, const Window& window);
  void empty(std::uint32_t segment);

  std::span<std::byte> image_;
  const StripeGeometry& geometry_;
  Eviction eviction_;
  std::uint64_t evictions_ = 0, emptied_ = 0;
  LiveStripe* live_ = nullptr;
  const LiveStripe* followed_ = nullptr;
  mutable std::uint64_t unstable_looks_ = 0;
};

}  // namespace engine::cyclone
