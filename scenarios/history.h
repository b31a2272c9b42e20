#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "faultfs/plan.h"
#include "scenarios/body.h"
#include "scenarios/targets/target.h"

namespace scenarios {

enum class OperationKind { put, purge, purge_all, update, sync, clear };

/// False for what concerns every key.
[[nodiscard]] constexpr bool has_key(OperationKind kind) {
  return kind == OperationKind::put || kind == OperationKind::purge ||
         kind == OperationKind::update;
}

/// One operation a client gave the cache. At a crash point after entry c it was *not started* when
/// `began > c`, *acknowledged* when `acknowledged` and `ended <= c`, else *in flight*.
struct Operation {
  std::uint32_t number = 0;  ///< put#3: position in the history, from 1; a put's PutNumber
  OperationKind kind = OperationKind::put;
  Key key = 0;
  std::uint64_t body_bytes = 0;    ///< put; clear: the new unit (slot) size
  std::uint32_t header_bytes = 0;  ///< put, update: padding asked for
  PutNumber of_put =
      0;  ///< update: the put whose header it replaced, as far as the client knows (0: none known)
  std::uint32_t segment = 0;  ///< power cuts and restarts with an empty log begin a new segment
  std::uint32_t began = 0;    ///< log entries before it began, in its segment
  std::uint32_t ended = 0;    ///< log entries when it was answered (UINT32_MAX: never)
  bool acknowledged = false;  ///< done; false with `ended` set: refused, or (put) aborted
  bool aborted = false;       ///< put: given up by the client before all bytes were sent
  /// Its segment is over, it was answered there (acknowledged, refused or aborted), and all it had
  /// written by then was durable when the power went. False in the last segment: ask the crash
  /// model.
  bool durable_at_cut = false;
};

/// A segment that is over.
struct Segment {
  faultfs::CrashPlan cut;  ///< how it ended
};

/// All the client knows: operations in order of their beginning, over all segments.
struct History {
  std::vector<Operation> operations;
  std::uint32_t segments = 1;
  std::vector<Segment> past;  ///< one for each boundary: `segments` - 1
  /// Geometry when the history began; a `clear` changes the unit to its `body_bytes`, on the same
  /// storage. Capacity is the number of units times `unit_bytes`.
  std::uint64_t capacity_bytes = 0;  ///< what the store can hold, by its geometry; 0: unknown
  std::uint32_t unit_bytes = 0;      ///< allocation unit; 0: unknown
  std::uint32_t unit_overhead = 0;   ///< bytes at the start of every unit that hold no payload; an
                                     ///< object's first unit also holds its key and its header
};

/// What a get told, cut to what can be judged.
struct Reading {
  Key key = 0;
  GetReply::Kind kind = GetReply::Kind::miss;
  std::string detail;
  std::optional<HeaderId> header;  ///< hit: empty when the header is nobody's
  std::uint64_t claimed_bytes = 0;
  std::uint64_t offset_bytes = 0;  ///< of the range asked for
  std::uint64_t served_bytes = 0;
  bool broken_off = false;    ///< the cache told its client that the rest is missing
  bool hung = false;          ///< failed: the answer did not end
  std::vector<Piece> pieces;  ///< of the bytes served
  [[nodiscard]] bool operator==(const Reading&) const = default;
};

/// "hit 64K: [0, 32K) from put#3, [32K, 64K) from put#5"
[[nodiscard]] std::string to_text(const Reading& reading);

}  // namespace scenarios
