#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "engine/base/gates.h"
#include "engine/cyclone/geometry.h"

namespace engine::cyclone {

/// Every reason to refuse an image, in the order in which they are asked. They are
/// gates: counted, and each can be switched off alone.
enum class ImageCheck : std::uint8_t {
  header_magic,            // g1
  footer_magic,            // g2
  version_too_old,         // g3
  version_too_new,         // g4
  sector_zero,             // v1
  sector_too_large,        // v2
  phase_range,             // v3
  write_pos_before_data,   // v4
  write_pos_behind_end,    // v5
  last_write_before_data,  // v6
  last_write_behind_end,   // v7
  agg_pos_before_data,     // v8
  agg_pos_behind_end,      // v9
  agg_pos_open,            // v10: a data write was under way
  free_head_range,         // v11
  next_range,              // v12
  previous_range,          // v13
  offset_behind_end,       // v14
  free_list_loop,          // v15
  free_list_row_in_use,    // v16
  free_list_back_link,     // v17
  free_list_holds_root,    // v18
  chain_row_twice,         // v19: out of range, a root, or already reached
  chain_row_empty,         // v20
  row_unreachable,         // v21
  chain_too_long,          // v22: longer than 3 · buckets + 1, the longest that is legal
  empty_root_with_chain,   // v23
  chain_loop,              // v24: a walk that went on past every row of the segment
};
inline constexpr GateTable image_check_table(std::to_array<GateRow<ImageCheck>>({
    {ImageCheck::header_magic, "header_magic"},
    {ImageCheck::footer_magic, "footer_magic"},
    {ImageCheck::version_too_old, "version_too_old"},
    {ImageCheck::version_too_new, "version_too_new"},
    {ImageCheck::sector_zero, "sector_zero"},
    {ImageCheck::sector_too_large, "sector_too_large"},
    {ImageCheck::phase_range, "phase_range"},
    {ImageCheck::write_pos_before_data, "write_pos_before_data"},
    {ImageCheck::write_pos_behind_end, "write_pos_behind_end"},
    {ImageCheck::last_write_before_data, "last_write_before_data"},
    {ImageCheck::last_write_behind_end, "last_write_behind_end"},
    {ImageCheck::agg_pos_before_data, "agg_pos_before_data"},
    {ImageCheck::agg_pos_behind_end, "agg_pos_behind_end"},
    {ImageCheck::agg_pos_open, "agg_pos_open"},
    {ImageCheck::free_head_range, "free_head_range"},
    {ImageCheck::next_range, "next_range"},
    {ImageCheck::previous_range, "previous_range"},
    {ImageCheck::offset_behind_end, "offset_behind_end"},
    {ImageCheck::free_list_loop, "free_list_loop"},
    {ImageCheck::free_list_row_in_use, "free_list_row_in_use"},
    {ImageCheck::free_list_back_link, "free_list_back_link"},
    {ImageCheck::free_list_holds_root, "free_list_holds_root"},
    {ImageCheck::chain_row_twice, "chain_row_twice"},
    {ImageCheck::chain_row_empty, "chain_row_empty"},
    {ImageCheck::row_unreachable, "row_unreachable"},
    {ImageCheck::chain_too_long, "chain_too_long"},
    {ImageCheck::empty_root_with_chain, "empty_root_with_chain"},
    {ImageCheck::chain_loop, "chain_loop"},
}));

[[nodiscard]] constexpr std::string_view image_check_name(ImageCheck check) {
  return image_check_table.name(check);
}

/// Which checks are asked. With some off the walks still end, and stay inside the image.
using ImageChecks = GateSet<image_check_table>;

/// Why an image is refused.
struct ImageFault {
  ImageCheck check = ImageCheck::header_magic;
  std::uint32_t segment = 0, row = 0;  ///< of rows and lists; else 0
  std::string text;                    ///< one sentence
};

/// Asks everything of `image`, whose size is `geometry.copy_bytes`: header, footer, every segment.
/// Linear in the image; no walk depends on what the image says. Checksums are not looked at
/// (`sealed` in image.h), nor what the rows point at.
[[nodiscard]] std::optional<ImageFault> validate_image(std::span<const std::byte> image,
                                                       const StripeGeometry& geometry,
                                                       const ImageChecks& checks = {});

/// The parts of it, so that segments can be looked at in parallel.
[[nodiscard]] std::optional<ImageFault> validate_header(std::span<const std::byte> image,
                                                        const StripeGeometry& geometry,
                                                        const ImageChecks& checks = {});
[[nodiscard]] std::optional<ImageFault> validate_segment(std::span<const std::byte> image,
                                                         const StripeGeometry& geometry,
                                                         std::uint32_t segment,
                                                         const ImageChecks& checks = {});

}  // namespace engine::cyclone
