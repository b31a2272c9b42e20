// The structural validator: is this image a directory at all? One for both ways in, a copy read
// from disk and an image found in shared memory.
//
// In a segment of n rows every row is in exactly one place: the root of its bucket (rows 0, 4, 8
// …), in one bucket's chain, or on the free list. From that follow all rules on lists. A walk marks
// each row it reaches and never enters a marked one, so all walks of a segment together take at
// most n steps, whatever the links say.
//
// Two rules differ from the reference. Its limit of 100 rows per chain refused healthy directories;
// the longest legal chain is a root and every row that is no root. And `previous` is looked at on
// empty rows only: elsewhere these bits are tag and flags.
//
// Not looked at: whether a row's document exists (a read finds out), whether rows of the current
// phase lie behind the cursor (the phase rule makes them invalid), and the checksums.
#include "engine/cyclone/validate.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include <fmt/format.h>

#include "engine/cyclone/image.h"
#include "engine/cyclone/row.h"

namespace engine::cyclone {
namespace {

constexpr std::uint32_t sector_bytes_max = 8192;

/// The first check that was asked and not met.
class Fault {
 public:
  explicit Fault(const ImageChecks& checks) : checks_(checks) {}

  /// Notes the fault unless the check is off. True: it is one, stop.
  bool refuse(ImageCheck check, std::uint32_t row, std::uint64_t value) {
    if (!checks_.on(check)) {
      return false;
    }
    found_ = ImageFault{
        check, 0, row, fmt::format("{}: {} (row {})", image_check_name(check), value, row)};
    return true;
  }
  bool refuse_if(bool wrong, ImageCheck check, std::uint64_t value) {
    return wrong && !found_ && refuse(check, 0, value);
  }
  [[nodiscard]] std::optional<ImageFault>& found() { return found_; }

 private:
  const ImageChecks& checks_;
  std::optional<ImageFault> found_;
};

/// The ten bytes of a row in two loads.
class RowWords {
 public:
  RowWords(const std::byte* rows, std::uint32_t row) {
    const std::byte* at = rows + std::size_t{row} * row_bytes;
    std::memcpy(&low_, at, sizeof low_);
    std::memcpy(&high_, at + sizeof low_, sizeof high_);
  }
  [[nodiscard]] std::uint64_t offset_blocks() const {
    return (low_ & 0xffffffU) | std::uint64_t{high_} << 24U;
  }
  [[nodiscard]] bool empty() const { return offset_blocks() == 0; }
  [[nodiscard]] std::uint32_t previous() const {
    return static_cast<std::uint32_t>(low_ >> 32U & 0xffffU);
  }
  [[nodiscard]] std::uint32_t next() const { return static_cast<std::uint32_t>(low_ >> 48U); }

 private:
  std::uint64_t low_ = 0;   // words 0 to 3
  std::uint16_t high_ = 0;  // word 4
};

/// One segment's walks. It is what an attach of a large cache waits for, so rows are read without
/// bounds checks of their own: `bytes` has all rows, and none at or behind `count_` is asked for.
class SegmentWalk {
 public:
  SegmentWalk(std::span<const std::byte> bytes,
              std::uint32_t head,
              const StripeGeometry& geometry,
              Fault& fault)
      : rows_(bytes.data()),
        head_(head),
        count_(geometry.segment_rows()),
        blocks_max_(geometry.data_bytes() / block_bytes),
        fault_(fault),
        reached_(count_) {}

  void run() {
    if (!each_row() && !free_list() && !chains()) {
      static_cast<void>(nobody_left_out());
    }
  }

 private:
  [[nodiscard]] RowWords row_at(std::uint32_t row) const { return {rows_, row}; }
  [[nodiscard]] bool reached(std::uint32_t row) const { return reached_.data()[row] != 0; }
  void reach(std::uint32_t row) { reached_.data()[row] = 1; }

  // Each part returns true where it found a fault.
  bool each_row() {
    if (head_ >= count_ && fault_.refuse(ImageCheck::free_head_range, 0, head_)) {
      return true;
    }
    for (std::uint32_t row = 0; row < count_; ++row) {
      const RowWords words = row_at(row);
      const std::uint64_t blocks = words.offset_blocks();
      if (words.next() >= count_ && fault_.refuse(ImageCheck::next_range, row, words.next())) {
        return true;
      }
      if (blocks == 0 && words.previous() >= count_ &&
          fault_.refuse(ImageCheck::previous_range, row, words.previous())) {
        return true;
      }
      if (blocks > blocks_max_ && fault_.refuse(ImageCheck::offset_behind_end, row, blocks)) {
        return true;
      }
    }
    return false;
  }

  bool free_list() {
    std::uint32_t before = 0;
    for (std::uint32_t row = head_; row != 0;) {
      if (row >= count_ || reached(row)) {
        return fault_.refuse(ImageCheck::free_list_loop, row, before);
      }
      const RowWords words = row_at(row);
      const bool wrong =
          (!words.empty() && fault_.refuse(ImageCheck::free_list_row_in_use, row, before)) ||
          (words.previous() != before && words.empty() &&
           fault_.refuse(ImageCheck::free_list_back_link, row, words.previous())) ||
          (row % bucket_rows == 0 && fault_.refuse(ImageCheck::free_list_holds_root, row, before));
      if (wrong) {
        return true;
      }
      reach(row);
      before = row;
      row = words.next();
    }
    return false;
  }

  bool nobody_left_out() {
    for (auto left = std::find(reached_.begin(), reached_.end(), 0); left != reached_.end();
         left = std::find(left + 1, reached_.end(), 0)) {
      const auto row = static_cast<std::uint32_t>(left - reached_.begin());
      if (fault_.refuse(ImageCheck::row_unreachable, row, row)) {
        return true;
      }
    }
    return false;
  }

  bool chains() {
    constexpr std::uint32_t ahead = 16 * bucket_rows;
    for (std::uint32_t root = 0; root < count_; root += bucket_rows) {
      if (root + ahead < count_) {
        // Where a chain leaves its bucket is anywhere in the segment.
        __builtin_prefetch(rows_ + std::size_t{row_at(root + ahead).next()} * row_bytes);
      }
      if (chain(root)) {
        return true;
      }
    }
    return false;
  }

  bool chain(std::uint32_t root) {
    reach(root);
    const RowWords first = row_at(root);
    if (first.empty()) {
      return first.next() != 0 &&
             fault_.refuse(ImageCheck::empty_root_with_chain, root, first.next());
    }
    const std::uint32_t longest = count_ / bucket_rows * (bucket_rows - 1) + 1;
    std::uint32_t length = 1;
    for (std::uint32_t row = first.next(); row != 0;) {
      const bool again = row >= count_ || row % bucket_rows == 0 || reached(row);
      if (again && fault_.refuse(ImageCheck::chain_row_twice, row, root)) {
        return true;
      }
      if (row >= count_) {
        return false;
      }
      const RowWords words = row_at(row);
      if (words.empty() && fault_.refuse(ImageCheck::chain_row_empty, row, root)) {
        return true;
      }
      if (++length > longest && fault_.refuse(ImageCheck::chain_too_long, row, root)) {
        return true;
      }
      if (length > count_) {  // only where the checks above are off
        return fault_.refuse(ImageCheck::chain_loop, row, root);
      }
      reach(row);
      row = words.next();
    }
    return false;
  }

  const std::byte* rows_;
  std::uint32_t head_;
  std::uint32_t count_;
  std::uint64_t blocks_max_;
  Fault& fault_;
  std::vector<std::uint8_t> reached_;  // 0 or 1; bytes, because bits cost twice the time
};

}  // namespace

std::optional<ImageFault> validate_header(std::span<const std::byte> image,
                                          const StripeGeometry& geometry,
                                          const ImageChecks& checks) {
  using Check = ImageCheck;
  Fault fault(checks);
  const ImageHeader header = load_header(image);
  const ImageFooter footer = load_footer(image.subspan(geometry.footer_at(), store_block_bytes));
  const std::uint64_t low = geometry.data_begin;
  const std::uint64_t high = geometry.end;
  const auto refuse_if = [&fault](bool wrong, Check check, std::uint64_t value) {
    static_cast<void>(fault.refuse_if(wrong, check, value));
  };
  refuse_if(header.magic != image_magic, Check::header_magic, header.magic);
  refuse_if(footer.magic != image_magic, Check::footer_magic, footer.magic);
  refuse_if(header.major < version_major_min, Check::version_too_old, header.major);
  refuse_if(header.major > version_major_max, Check::version_too_new, header.major);
  refuse_if(header.sector_bytes == 0, Check::sector_zero, 0);
  refuse_if(header.sector_bytes > sector_bytes_max, Check::sector_too_large, header.sector_bytes);
  refuse_if(header.phase > 1, Check::phase_range, header.phase);
  refuse_if(header.write_pos < low, Check::write_pos_before_data, header.write_pos);
  refuse_if(header.write_pos > high, Check::write_pos_behind_end, header.write_pos);
  refuse_if(header.last_write_pos < low, Check::last_write_before_data, header.last_write_pos);
  refuse_if(header.last_write_pos > high, Check::last_write_behind_end, header.last_write_pos);
  refuse_if(header.agg_pos < low, Check::agg_pos_before_data, header.agg_pos);
  refuse_if(header.agg_pos > high, Check::agg_pos_behind_end, header.agg_pos);
  refuse_if(header.agg_pos != header.write_pos, Check::agg_pos_open, header.agg_pos);
  return fault.found();
}

std::optional<ImageFault> validate_segment(std::span<const std::byte> image,
                                           const StripeGeometry& geometry,
                                           std::uint32_t segment,
                                           const ImageChecks& checks) {
  Fault fault(checks);
  SegmentWalk(segment_bytes(image, geometry, segment), free_head(image, segment), geometry, fault)
      .run();
  if (fault.found()) {
    fault.found()->segment = segment;
  }
  return fault.found();
}

std::optional<ImageFault> validate_image(std::span<const std::byte> image,
                                         const StripeGeometry& geometry,
                                         const ImageChecks& checks) {
  std::optional<ImageFault> fault = validate_header(image, geometry, checks);
  for (std::uint32_t segment = 0; segment < geometry.segments && !fault; ++segment) {
    fault = validate_segment(image, geometry, segment, checks);
  }
  return fault;
}

}  // namespace engine::cyclone
