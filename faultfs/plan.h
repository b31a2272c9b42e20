#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "faultfs/base/result.h"

namespace faultfs {

/// What ended the run. power_cut: everything volatile may be lost. kill: the process died,
/// completed writes stay. Both may fall inside a request.
enum class CutKind { power_cut, kill };

/// A crash point: after entry `entry` completed, or inside it (it was in flight). Entry 0 is the
/// start of the log.
struct CrashPoint {
  CutKind kind = CutKind::power_cut;
  std::uint32_t entry = 0;
  bool inside = false;
  [[nodiscard]] bool operator==(const CrashPoint&) const = default;
};

/// What became of a volatile write. Sectors are counted from the first sector the write touches.
enum class FateKind {
  kept,         ///< every sector reached the medium
  lost,         ///< none did
  torn,         ///< the sectors listed did, the others are lost
  garbled,      ///< the sectors listed hold noise, the others are kept
  misdirected,  ///< the bytes went to `to_offset_bytes` of the same disk; their own place is
                ///< untouched
};

struct Fate {
  std::uint32_t write = 0;  ///< entry number
  FateKind kind = FateKind::kept;
  std::vector<std::uint32_t> sectors = {};  ///< torn, garbled: ascending
  std::uint32_t tear_bytes = 0;  ///< torn: when > 0, the sector after the last listed one holds
                                 ///< this many new bytes, then old ones
  std::uint64_t to_offset_bytes = 0;  ///< misdirected: a multiple of the sector size
  [[nodiscard]] bool operator==(const Fate&) const = default;
};

/// One end of power or of the process, and what it left. A volatile write that is not listed is
/// kept.
struct Cut {
  CrashPoint point;
  std::vector<Fate> fates;  ///< ascending by write
  [[nodiscard]] bool operator==(const Cut&) const = default;
};

/// One crash state as data: crash point and fates; and, where the recovery that followed was cut
/// too, the same of its log, and so on. Says nothing about which log it belongs to;
/// `CrashModel::check` says whether it is legal there.
struct CrashPlan {
  CrashPoint point;
  std::vector<Fate> fates;      ///< ascending by write
  std::vector<Cut> again = {};  ///< cuts inside the recovery, each in the recovery from the one
                                ///< before; entries are those of that recovery's own log
  [[nodiscard]] bool operator==(const CrashPlan&) const = default;

  /// Cut number `at`: 0 is the one of the history, the others are those of `again`.
  [[nodiscard]] CrashPoint& point_of(std::size_t at) {
    return at == 0 ? point : again[at - 1].point;
  }
  [[nodiscard]] std::vector<Fate>& fates_of(std::size_t at) {
    return at == 0 ? fates : again[at - 1].fates;
  }
  [[nodiscard]] const std::vector<Fate>& fates_of(std::size_t at) const {
    return at == 0 ? fates : again[at - 1].fates;
  }
  /// Cut number `at` alone.
  [[nodiscard]] CrashPlan alone(std::size_t at) const;
  /// The plan up to its first `count` cuts, at least one.
  [[nodiscard]] CrashPlan first_cuts(std::size_t count) const;
};

/// So many cuts inside recoveries are read.
inline constexpr std::size_t cuts_again_max = 8;

/// "cut after w0118", "kill inside w0118": a crash point in a sentence.
[[nodiscard]] std::string to_text(const CrashPoint& point);

/// "w0115     torn sectors 0-3,6": one line of `plan.txt`, without its newline.
[[nodiscard]] std::string to_text(const Fate& fate);

/// The plan as lines of `plan.txt`, each ended by a newline:
/// ```
/// cut       after w0118        (or: cut inside w0118, kill after w0118, kill inside w0118)
/// w0112     lost
/// w0115     torn sectors 0-3,6
/// w0116     torn sectors 0-1 then 256 bytes
/// w0117     garbled sectors 2
/// w0118     misdirected to 0x8000
/// again     cut after w0003     (the recovery was cut after the third entry of its own log;
/// w0002     lost                what follows are fates in that log)
/// ```
/// An empty list of sectors is written `none`. Sector numbers are below 1048576.
[[nodiscard]] std::string to_text(const CrashPlan& plan);

/// True when `line` is one that `parse_plan_line` reads (its first word is cut, kill, again or
/// wNNNN).
[[nodiscard]] bool is_plan_line(std::string_view line);

/// Adds one line to `plan`; fates go to the last cut that was read. Error: quotes the line, says
/// what was wrong and what is allowed.
[[nodiscard]] Status parse_plan_line(std::string_view line, CrashPlan& plan);

/// Reads a whole text of such lines; exactly one cut or kill line, then any
/// number of again lines, each write once for each cut.
[[nodiscard]] Result<CrashPlan> parse_plan(std::string_view text);

}  // namespace faultfs
