#pragma once

/// For tests and harnesses: a directory image made wrong in one way, so that one check of the
/// validator has to say so first. Everything else in it stays as it was, and works on images in use
/// as well as on empty ones.

#include <optional>
#include <vector>

#include "engine/cyclone/image.h"
#include "engine/cyclone/row.h"
#include "engine/cyclone/validate.h"

namespace engine::cyclone {

/// As another build, or another disk, would have written it: every row has another tag.
inline void make_foreign(std::span<std::byte> image, const StripeGeometry& geometry) {
  for (std::uint32_t segment = 0; segment < geometry.segments; ++segment) {
    SegmentRows rows(segment_bytes(image, geometry, segment));
    for (std::uint32_t at = 0; at < geometry.segment_rows(); ++at) {
      Row row = rows.get(at);
      if (!row.empty()) {
        row.tag ^= 1U;
        rows.set(at, row);
      }
    }
  }
}

/// Segment 0 of an image, and what is free in it.
class WrongSegment {
 public:
  WrongSegment(std::span<std::byte> image, const StripeGeometry& geometry)
      : image_(image), rows_(segment_bytes(image, geometry, 0)) {
    const std::uint32_t count = geometry.segment_rows();
    for (std::uint32_t at = free_head(image, 0); at != 0 && at < count && free_.size() < count;
         at = rows_.next(at)) {
      free_.push_back(static_cast<std::uint16_t>(at));
    }
    for (std::uint32_t root = 0; root < count; root += bucket_rows) {
      const auto at = static_cast<std::uint16_t>(root);
      (rows_.empty(root) ? empty_roots_ : used_roots_).push_back(at);
    }
  }

  /// False: there is nothing in the segment to do it with.
  [[nodiscard]] bool make(ImageCheck check) {
    const bool listed = free_.size() >= 5;
    const bool rooted = !empty_roots_.empty() && empty_roots_.back() != 0;
    switch (check) {
      case ImageCheck::free_head_range:
        set_free_head(image_, 0, 0xffff);
        return true;
      case ImageCheck::next_range:
        return listed && (rows_.set_next(free_[1], 0xfff0), true);
      case ImageCheck::previous_range:
        return listed && (rows_.set_previous(free_[1], 0xfff0), true);
      case ImageCheck::offset_behind_end:
        return offset_behind_end();
      case ImageCheck::free_list_loop:
        return listed && (rows_.set_next(free_[3], free_[0]), true);
      case ImageCheck::free_list_row_in_use:
        return listed && (rows_.set(free_[1], in_use(free_[2])), true);
      case ImageCheck::free_list_back_link:
        return listed && (mix_back_links(), true);
      case ImageCheck::free_list_holds_root:
        return listed && rooted && (free_list_holds_root(), true);
      case ImageCheck::chain_row_twice:
        return listed && (hang(any_root(), free_[1]), true);
      case ImageCheck::chain_row_empty:
        return listed && (take_first(), hang(any_root(), free_[0]), true);
      case ImageCheck::row_unreachable:
        return listed && (take_first(), rows_.set(free_[0], in_use()), true);
      case ImageCheck::empty_root_with_chain:
        if (listed && rooted) {
          take_first();
          rows_.set(free_[0], in_use());
          rows_.set_next(empty_roots_.back(), free_[0]);
        }
        return listed && rooted;
      case ImageCheck::chain_too_long:
      case ImageCheck::chain_loop:
        return listed && (circle(), true);
      default:
        return false;
    }
  }

 private:
  [[nodiscard]] static Row in_use(std::uint16_t next = 0) {
    Row row;
    row.offset_blocks = 9;
    row.next = next;
    return row;
  }
  [[nodiscard]] std::uint16_t any_root() const {
    return used_roots_.empty() ? empty_roots_.back() : used_roots_.front();
  }
  /// Links `row` to the end of the chain of `root`.
  void hang(std::uint16_t root, std::uint16_t row) {
    if (rows_.empty(root)) {
      rows_.set(root, in_use(row));
      return;
    }
    std::uint16_t last = root;
    for (std::size_t steps = 0; rows_.next(last) != 0 && steps < free_limit; ++steps) {
      last = rows_.next(last);
    }
    rows_.set_next(last, row);
  }
  /// Takes the first row off the free list and leaves it empty.
  void take_first() {
    set_free_head(image_, 0, free_[1]);
    rows_.set_previous(free_[1], 0);
    rows_.set(free_[0], Row{});
  }
  [[nodiscard]] bool offset_behind_end() {
    const std::uint16_t root = any_root();
    Row row = rows_.empty(root) ? in_use() : rows_.get(root);
    row.offset_blocks = offset_blocks_max;
    rows_.set(root, row);
    return true;
  }
  void free_list_holds_root() {
    const std::uint16_t root = empty_roots_.back();
    Row row;
    row.previous = free_[1];
    row.next = free_[2];
    rows_.set(root, row);
    rows_.set_next(free_[1], root);
    rows_.set_previous(free_[2], root);
  }
  void mix_back_links() {
    for (std::size_t n = 1; n < free_.size(); ++n) {
      rows_.set_previous(free_[n], free_[(n + 2) % free_.size()]);
    }
  }
  /// Two rows that lead to each other, at the end of a chain.
  void circle() {
    set_free_head(image_, 0, free_[2]);
    rows_.set_previous(free_[2], 0);
    rows_.set(free_[0], in_use(free_[1]));
    rows_.set(free_[1], in_use(free_[0]));
    hang(any_root(), free_[0]);
  }

  static constexpr std::size_t free_limit = 65536;
  std::span<std::byte> image_;
  SegmentRows<std::byte> rows_;
  std::vector<std::uint16_t> free_, empty_roots_, used_roots_;
};

/// Makes `image` wrong for `check`. False, and the image as it was: it has nothing to do it with (a
/// full segment has no free list). Of another format it is all of it, not only the number that says
/// so.
[[nodiscard]] inline bool make_wrong(ImageCheck check,
                                     std::span<std::byte> image,
                                     const StripeGeometry& geometry) {
  ImageHeader header = load_header(image);
  switch (check) {
    case ImageCheck::header_magic:
      header.magic = 0;
      make_foreign(image, geometry);
      break;
    case ImageCheck::footer_magic:
      store<std::uint32_t>(image, geometry.footer_at(), 0);
      make_foreign(image, geometry);
      break;
    case ImageCheck::version_too_old:
      header.major = version_major_min - 1;
      make_foreign(image, geometry);
      break;
    case ImageCheck::version_too_new:
      header.major = version_major_max + 1;
      make_foreign(image, geometry);
      break;
    case ImageCheck::sector_zero:
      header.sector_bytes = 0;
      break;
    case ImageCheck::sector_too_large:
      header.sector_bytes = store_block_bytes + 1;
      break;
    case ImageCheck::phase_range:
      header.phase = 2U | ((header.phase & 1U) ^ 1U);
      break;
    case ImageCheck::write_pos_before_data:
      header.write_pos = header.agg_pos = geometry.data_begin - 1;
      break;
    case ImageCheck::write_pos_behind_end:
      header.write_pos = header.agg_pos = geometry.end + 1;
      break;
    case ImageCheck::last_write_before_data:
      header.last_write_pos = geometry.data_begin - 1;
      break;
    case ImageCheck::last_write_behind_end:
      header.last_write_pos = geometry.end + 1;
      break;
    case ImageCheck::agg_pos_before_data:
      header.agg_pos = geometry.data_begin - 1;
      break;
    case ImageCheck::agg_pos_behind_end:
      header.agg_pos = geometry.end + 1;
      break;
    case ImageCheck::agg_pos_open:
      header.agg_pos = header.write_pos == geometry.end ? geometry.data_begin : geometry.end;
      break;
    default:
      return WrongSegment(image, geometry).make(check);
  }
  store_header(header, image);
  return true;
}

}  // namespace engine::cyclone
