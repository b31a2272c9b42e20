// The shapes in which a write comes apart. Of n pieces, new are
//
//   prefix   the first half (n / 2)       a write that was under way, in order
//   suffix   the other half               the same, backwards: drives start where the head is
//   hole     all but the third between    several channels, and one that did not get its turn
//   first    the first alone              what a check of "the header is there" falls for
//
//     pieces 0 1 2 3 4 5     prefix 0 1 2 · suffix 3 4 5 · hole 0 1 4 5 · first 0
//
// One piece cannot come apart; two have no middle.

#include "faultfs/tear.h"

#include <algorithm>

namespace faultfs {

namespace {

/// Of `count` pieces those from `begin` to `end`, and those from `begin2` on, are new.
struct NewPieces {
  std::uint64_t begin = 0, end = 0, begin2 = 0, end2 = 0;
};

NewPieces new_pieces(TearShape shape, std::uint64_t count) {
  switch (shape) {
    case TearShape::prefix:
      return {0, count / 2, count, count};
    case TearShape::suffix:
      return {count / 2, count, count, count};
    case TearShape::hole:
      return {0, count / 3, count - count / 3, count};
    case TearShape::first:
      return {0, 1, count, count};
  }
  return {};
}

bool is_too_small(TearShape shape, std::uint64_t count) {
  return count < (shape == TearShape::hole ? 3 : 2);
}

}  // namespace

std::optional<TearShape> find_tear_shape(std::string_view name) {
  if (name == "prefix") {
    return TearShape::prefix;
  }
  if (name == "suffix") {
    return TearShape::suffix;
  }
  if (name == "hole") {
    return TearShape::hole;
  }
  return name == "first" ? std::optional(TearShape::first) : std::nullopt;
}

std::vector<Piece> torn_pieces(TearShape shape,
                               std::uint64_t unit_bytes,
                               std::uint64_t offset_bytes,
                               std::uint64_t size_bytes) {
  if (size_bytes == 0) {
    return {};
  }
  std::uint64_t first = offset_bytes / unit_bytes;
  std::uint64_t last = (offset_bytes + size_bytes - 1) / unit_bytes;
  std::uint64_t count = last - first + 1;
  if (is_too_small(shape, count)) {
    return {};
  }
  auto begin_of = [&](std::uint64_t piece) {
    std::uint64_t at = std::max((first + piece) * unit_bytes, offset_bytes);
    return std::min(at, offset_bytes + size_bytes) - offset_bytes;
  };
  NewPieces fresh = new_pieces(shape, count);
  std::vector<Piece> pieces;
  for (auto [begin, end] : {std::pair(fresh.begin, fresh.end), {fresh.begin2, fresh.end2}}) {
    if (begin < end) {
      pieces.push_back({begin_of(begin), begin_of(end) - begin_of(begin)});
    }
  }
  return pieces;
}

std::optional<Fate> torn_fate(TearShape shape,
                              const VolatileWrite& write,
                              std::uint32_t units_together) {
  std::vector<std::uint32_t> begins;
  for (std::size_t unit = 0; unit < write.unit_begins.size(); unit += units_together) {
    begins.push_back(write.unit_begins[unit]);
  }
  if (is_too_small(shape, begins.size())) {
    return std::nullopt;
  }
  begins.push_back(write.sector_count);
  NewPieces fresh = new_pieces(shape, begins.size() - 1);
  Fate fate;
  fate.write = write.entry;
  fate.kind = FateKind::torn;
  for (std::uint32_t sector = 0; sector < write.sector_count; ++sector) {
    bool kept = (sector >= begins[fresh.begin] && sector < begins[fresh.end]) ||
                (sector >= begins[fresh.begin2] && sector < begins[fresh.end2]);
    if (kept) {
      fate.sectors.push_back(sector);
    }
  }
  return fate;
}

Fate torn_inside(std::uint32_t write, std::uint32_t sector, std::uint32_t bytes) {
  Fate fate;
  fate.write = write;
  fate.kind = FateKind::torn;
  for (std::uint32_t before = 0; before < sector; ++before) {
    fate.sectors.push_back(before);
  }
  fate.tear_bytes = bytes;
  return fate;
}

}  // namespace faultfs
