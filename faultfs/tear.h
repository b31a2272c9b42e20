#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "faultfs/crash_model.h"

namespace faultfs {

/// How a write comes apart: which of its pieces are new. Prose: head of tear.cc.
enum class TearShape : std::uint8_t { prefix, suffix, hole, first };

/// "prefix", "suffix", "hole" or "first"; nothing: no such shape.
[[nodiscard]] std::optional<TearShape> find_tear_shape(std::string_view name);

/// Some bytes of a write, counted from its start.
struct Piece {
  std::uint64_t offset_bytes = 0;
  std::uint64_t size_bytes = 0;
  [[nodiscard]] bool operator==(const Piece&) const = default;
};

/// What of a write of `size_bytes` at `offset_bytes` is new, when it comes apart at multiples of
/// `unit_bytes` of the disk: ascending, not all of it. Empty: it is too small for the shape.
[[nodiscard]] std::vector<Piece> torn_pieces(TearShape shape,
                                             std::uint64_t unit_bytes,
                                             std::uint64_t offset_bytes,
                                             std::uint64_t size_bytes);

/// The same of a volatile write, as a fate: apart at its atomic units, or at every
/// `units_together` of them. Nothing: it is too small for the shape.
[[nodiscard]] std::optional<Fate> torn_fate(TearShape shape,
                                            const VolatileWrite& write,
                                            std::uint32_t units_together = 1);

/// A write of which the sectors before `sector` arrived, and `bytes` of that one: for a profile
/// that tears inside a sector.
[[nodiscard]] Fate torn_inside(std::uint32_t write, std::uint32_t sector, std::uint32_t bytes);

}  // namespace faultfs
