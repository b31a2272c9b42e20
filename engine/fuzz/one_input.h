#pragma once

/// What bytes of a disk or of shared memory can do to whoever reads them: an input is a set of
/// edits of a real disk, a real directory or real shared memory (`Real`), or is the bytes
/// themselves. Whatever it says, reading it must end and stay inside; nothing is asked of the
/// answers here (crash and gate tests do that).
///
/// Input: one byte chooses the part (see `Part`), one a set of gates that are switched off, so that
/// edits get behind checksums, and the rest is edits, or bytes as they are for the parts that
/// decode. An edit is 5 bytes: offset 3 (little-endian), operation 1, value 1. Where bit 7 of the
/// operation is set the offset's two upper bytes choose a landmark (a header, a row, a document)
/// and its lowest counts from there; else it is folded into the part's bytes. What the rest of the
/// operation means is in `edit`.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace engine::fuzz {

enum class Part : std::uint8_t {
  span_header,  ///< decoded as it is, or edits of a real one; what passes is laid out
  document,     ///< decoded as it is, or edits of a real one: header and vector
  image,        ///< edits of a directory: validated; what passes is searched and changed
  disk,         ///< edits of a whole disk: opened, recovered, used, opened again
  resealed,     ///< the same, and the copies' checksums are made to fit
  control,      ///< edits of the control segment: the next life of a store starts
  shared,       ///< edits of the image beside it
  stripes,      ///< edits of a disk of four stripes, whose copies' checksums are made to fit
  segment,      ///< edits of a control segment and its images, without a store
};
inline constexpr std::array<std::string_view, 9> part_names = {"span_header",
                                                               "document",
                                                               "image",
                                                               "disk",
                                                               "resealed",
                                                               "control",
                                                               "shared",
                                                               "stripes",
                                                               "segment"};
inline constexpr unsigned part_count = part_names.size();

void run_one(std::span<const std::byte> input);

}  // namespace engine::fuzz
