#pragma once

/// What bytes of a disk or of shared memory can do to whoever reads them: an input is a set of
/// edits of a real disk, a real directory or real shared memory, or is the bytes themselves.
/// Whatever it says, reading it must end and stay inside; nothing is asked of the answers here
/// (crash and gate tests do that).
///
/// Input: one byte chooses the part (see `Part`), one a set of gates that are switched off, so that
/// edits get behind checksums, and the rest is edits of 5 bytes (offset 3, little-endian, folded
/// into the part; operation 1; value 1), or bytes as they are for the parts that decode.

#include <cstddef>
#include <cstdint>
#include <span>

namespace engine::fuzz {

enum class Part : std::uint8_t {
  span_header,  ///< decoded as it is, or edits of a real one; what passes is laid out
  document,     ///< decoded as it is, header and vector
  image,        ///< edits of a directory: validated; what passes is searched and changed
  disk,         ///< edits of a whole disk: opened, recovered, used, opened again
  resealed,     ///< the same, and the copies' checksums are made to fit
  control,      ///< edits of the control segment: the next life starts
  shared,       ///< edits of the image beside it
  stripes,      ///< edits of a disk of four stripes, whose copies' checksums are made to fit
};
inline constexpr unsigned part_count = 8;

void run_one(std::span<const std::byte> input);

}  // namespace engine::fuzz
