#pragma once

/// What inputs are edits of, made by the engine itself: small, because a fuzzer is as fast as what
/// it copies, clears and reads again for each input. A stripe is as small as one may be; it still
/// has two copies of a directory, objects of one and of several fragments, and a log that wrapped.

#include <string>
#include <vector>

#include "engine/cyclone/test_disk.h"
#include "engine/restart/fast_restart.h"
#include "engine/restart/process_memory.h"

namespace engine::fuzz {

using cyclone::Bytes;

/// Bytes, and the places in them where something begins that a reader believes.
struct Edited {
  Bytes bytes;
  std::vector<std::size_t> landmarks;
};

struct Real {
  Real();
  Edited running;                      ///< a disk whose process was killed
  std::vector<std::size_t> documents;  ///< where those of its log begin
  Edited stopped;                      ///< the same after an orderly stop
  Edited stripes;                      ///< a disk of two volumes with two stripes each
  Edited control, image;               ///< what the stop left in shared memory
  Edited segment, pieces;  ///< a control segment of three images, and those, one behind the other
  std::string prefix;      ///< of the names in shared memory
};
/// Made at the first call.
[[nodiscard]] const Real& real();

inline constexpr std::uint64_t disk_bytes = 144ULL << 10U;
inline constexpr std::size_t object_count = 12;
inline constexpr std::size_t piece_count = 3, piece_bytes = 4096;

/// A store that suits `Real`, with some gates off: a bit for each of seven, and one for all of the
/// validator's.
[[nodiscard]] cyclone::Config config_of(std::uint8_t gates);
/// The same for `Real::stripes`.
[[nodiscard]] cyclone::Config striped(cyclone::Config config);
/// Of the only stripe.
[[nodiscard]] const cyclone::StripeGeometry& one_stripe();
/// Of the life that `Real::segment` was left by, and of the next.
[[nodiscard]] restart::StartRequest segment_request();
[[nodiscard]] restart::Binding piece_binding(std::size_t piece);

[[nodiscard]] std::string key_name(std::size_t number);
void put(Store& store, const std::string& key, std::uint64_t version, std::size_t bytes);

}  // namespace engine::fuzz
