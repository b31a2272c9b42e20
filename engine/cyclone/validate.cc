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

#include <array>
#include <vector>

#include <fmt/format.h>

#include "engine/cyclone/image.h"
#include "engine/cyclone/row.h"

namespace engine::cyclone {
namespace {

constexpr std::array<std::string_view, image_check_count> names = {
    "header_magic",          "footer_magic",
    "version_too_old",       "version_too_new",
    "sector_zero",           "sector_too_large",
    "phase_range",           "write_pos_before_data",
    "write_pos_behind_end",  "last_write_before_data",
    "last_write_behind_end", "agg_pos_before_data",
    "agg_pos_behind_end",    "agg_pos_open",
    "free_head_range",       "next_range",
    "previous_range",        "offset_behind_end",
    "free_list_loop",        "free_list_row_in_use",
    "free_list_back_link",   "free_list_holds_root",
    "chain_row_twice",       "chain_row_empty",
    "row_unreachable",       "chain_too_long",
    "empty_root_with_chain", "chain_loop"};

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
        check, 0, row, fmt::format("{}: {} (row {})", names.at(index(check)), value, row)};
    return true;
  }
  bool refuse_if(bool wrong, ImageCheck check, std::uint64_t value) {
    return wrong && !found_ && refuse(check, 0, value);
  }
  [[nodiscard]] std::optional<ImageFault>& found() { return found_; }

 private:
  static std::size_t index(ImageCheck check) { return static_cast<std::size_t>(check); }

  const ImageChecks& checks_;
  std::optional<ImageFault> found_;
};

/// One segment's walks.
class SegmentWalk {
 public:
  SegmentWalk(std::span<const std::byte> bytes,
              std::uint32_t head,
              const StripeGeometry& geometry,
              Fault& fault)
      : rows_(bytes),
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
  // Each part returns true where it found a fault.
  bool each_row() {
    if (head_ >= count_ && fault_.refuse(ImageCheck::free_head_range, 0, head_)) {
      return true;
    }
    for (std::uint32_t row = 0; row < count_; ++row) {
      const std::uint64_t blocks = rows_.offset_blocks(row);
      if (rows_.next(row) >= count_ &&
          fault_.refuse(ImageCheck::next_range, row, rows_.next(row))) {
        return true;
      }
      if (blocks == 0 && rows_.previous(row) >= count_ &&
          fault_.refuse(ImageCheck::previous_range, row, rows_.previous(row))) {
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
    for (std::uint32_t row = head_; row != 0; row = rows_.next(row)) {
      if (row >= count_ || reached_[row]) {
        return fault_.refuse(ImageCheck::free_list_loop, row, before);
      }
      const bool wrong =
          (!rows_.empty(row) && fault_.refuse(ImageCheck::free_list_row_in_use, row, before)) ||
          (rows_.previous(row) != before && rows_.empty(row) &&
           fault_.refuse(ImageCheck::free_list_back_link, row, rows_.previous(row))) ||
          (row % bucket_rows == 0 && fault_.refuse(ImageCheck::free_list_holds_root, row, before));
      if (wrong) {
        return true;
      }
      reached_[row] = true;
      before = row;
    }
    return false;
  }

  bool nobody_left_out() {
    for (std::uint32_t row = 0; row < count_; ++row) {
      if (!reached_[row] && fault_.refuse(ImageCheck::row_unreachable, row, row)) {
        return true;
      }
    }
    return false;
  }

  bool chains() {
    for (std::uint32_t root = 0; root < count_; root += bucket_rows) {
      if (chain(root)) {
        return true;
      }
    }
    return false;
  }

  bool chain(std::uint32_t root) {
    reached_[root] = true;
    if (rows_.empty(root)) {
      return rows_.next(root) != 0 &&
             fault_.refuse(ImageCheck::empty_root_with_chain, root, rows_.next(root));
    }
    const std::uint32_t longest = count_ / bucket_rows * (bucket_rows - 1) + 1;
    std::uint32_t length = 1;
    for (std::uint32_t row = rows_.next(root); row != 0; row = rows_.next(row)) {
      const bool again = row >= count_ || row % bucket_rows == 0 || reached_[row];
      if (again && fault_.refuse(ImageCheck::chain_row_twice, row, root)) {
        return true;
      }
      if (row >= count_) {
        return false;
      }
      if (rows_.empty(row) && fault_.refuse(ImageCheck::chain_row_empty, row, root)) {
        return true;
      }
      if (++length > longest && fault_.refuse(ImageCheck::chain_too_long, row, root)) {
        return true;
      }
      if (length > count_) {  // only where the checks above are off
        return fault_.refuse(ImageCheck::chain_loop, row, root);
      }
      reached_[row] = true;
    }
    return false;
  }

  SegmentRows<const std::byte> rows_;
  std::uint32_t head_;
  std::uint32_t count_;
  std::uint64_t blocks_max_;
  Fault& fault_;
  std::vector<bool> reached_;
};

}  // namespace

std::string_view image_check_name(ImageCheck check) {
  return names.at(static_cast<std::size_t>(check));
}

Result<ImageCheck> find_image_check(std::string_view name) {
  for (std::size_t check = 0; check < image_check_count; ++check) {
    if (names.at(check) == name) {
      return static_cast<ImageCheck>(check);
    }
  }
  return fail(Trouble::invalid, fmt::format("'{}' is no check of an image", name));
}

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
