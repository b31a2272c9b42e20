#pragma once

#include <cstdint>
#include <span>

#include "engine/cyclone/fields.h"
#include "engine/cyclone/geometry.h"

namespace engine::cyclone {

inline constexpr std::uint32_t tag_bits = 12;
inline constexpr std::uint64_t offset_blocks_max = (1ULL << 40U) - 1;

/// One row of the directory, decoded. Empty: `offset_blocks` is 0.
///
/// On disk it is five 16-bit words: offset bits 0–15 · offset bits 16–23, size class, size step ·
/// tag, phase, head, pinned (an empty row: `previous`) · `next` · offset bits 24–39.
struct Row {
  std::uint64_t offset_blocks = 0;  ///< 1: the start of the data area
  std::uint8_t size_class = 0;      ///< 0 … 3
  std::uint8_t size_step = 0;       ///< 0 … 63
  std::uint16_t tag = 0;
  bool phase = false, head = false, pinned = false;
  std::uint16_t next = 0;      ///< of the bucket's chain, or of the free list; 0: the end
  std::uint16_t previous = 0;  ///< empty rows: of the free list

  [[nodiscard]] bool empty() const { return offset_blocks == 0; }
  [[nodiscard]] std::uint64_t data_offset() const { return (offset_blocks - 1) * block_bytes; }
  /// At least the document's length.
  [[nodiscard]] std::uint64_t size_bytes() const {
    return (std::uint64_t{size_step} + 1) * block_bytes << (3U * size_class);
  }
  /// Sets class and step for a document of `bytes`: 1 … 16 MiB.
  void set_size(std::uint64_t bytes) {
    constexpr std::uint64_t steps = 64;
    size_class = 0;
    while (size_class < 3 && bytes > (steps * block_bytes << (3U * size_class))) {
      ++size_class;
    }
    const std::uint64_t unit = std::uint64_t{block_bytes} << (3U * size_class);
    size_step = static_cast<std::uint8_t>((bytes + unit - 1) / unit - 1);
  }
};

/// The rows of one segment inside an image. Indexes are bounded by the caller.
template <typename Byte>
class SegmentRows {
 public:
  explicit SegmentRows(std::span<Byte> bytes) : bytes_(bytes) {}

  [[nodiscard]] std::uint64_t offset_blocks(std::uint32_t row) const {
    return std::uint64_t{word(row, 0)} | std::uint64_t{word(row, 1) & 0xffU} << 16U |
           std::uint64_t{word(row, 4)} << 24U;
  }
  [[nodiscard]] bool empty(std::uint32_t row) const { return offset_blocks(row) == 0; }
  [[nodiscard]] std::uint16_t next(std::uint32_t row) const { return word(row, 3); }
  [[nodiscard]] std::uint16_t previous(std::uint32_t row) const { return word(row, 2); }

  [[nodiscard]] Row get(std::uint32_t at) const {
    Row row;
    row.offset_blocks = offset_blocks(at);
    row.size_class = static_cast<std::uint8_t>(word(at, 1) >> 8U & 3U);
    row.size_step = static_cast<std::uint8_t>(word(at, 1) >> 10U);
    row.next = word(at, 3);
    const std::uint16_t flags = word(at, 2);
    if (row.empty()) {
      row.previous = flags;
      return row;
    }
    row.tag = flags & 0xfffU;
    row.phase = (flags & 0x1000U) != 0;
    row.head = (flags & 0x2000U) != 0;
    row.pinned = (flags & 0x4000U) != 0;
    return row;
  }

  void set(std::uint32_t at, const Row& row) {
    set_word(at, 0, row.offset_blocks & 0xffffU);
    set_word(at,
             1,
             (row.offset_blocks >> 16U & 0xffU) | (std::uint64_t{row.size_class} & 3U) << 8U |
                 std::uint64_t{row.size_step} << 10U);
    set_word(at,
             2,
             row.empty() ? row.previous
                         : (row.tag & 0xfffU) | (row.phase ? 0x1000U : 0U) |
                               (row.head ? 0x2000U : 0U) | (row.pinned ? 0x4000U : 0U));
    set_word(at, 3, row.next);
    set_word(at, 4, row.offset_blocks >> 24U);
  }
  void set_next(std::uint32_t row, std::uint16_t next) { set_word(row, 3, next); }
  void set_previous(std::uint32_t row, std::uint16_t previous) { set_word(row, 2, previous); }

 private:
  [[nodiscard]] std::uint16_t word(std::uint32_t row, std::uint32_t number) const {
    return load<std::uint16_t>(bytes_, std::size_t{row} * row_bytes + 2ULL * number);
  }
  void set_word(std::uint32_t row, std::uint32_t number, std::uint64_t value) {
    store(bytes_, std::size_t{row} * row_bytes + 2ULL * number, static_cast<std::uint16_t>(value));
  }

  std::span<Byte> bytes_;
};

}  // namespace engine::cyclone
