#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "faultfs/crash_model.h"
#include "faultfs/tree/tree.h"

namespace faultfs::tree {

/// A request whose fate is open at a crash point.
struct OpenRequest {
  enum class Kind : std::uint8_t { bytes, length, names };
  Kind kind = Kind::bytes;
  std::uint32_t entry = 0;
  bool in_flight = false;
  VolatileWrite write;               ///< bytes: its sectors
  std::vector<std::uint32_t> needs;  ///< names: the open ones without which it cannot be kept
  std::uint32_t steps = 0;  ///< length: how many sectors it grows by, at each of which it may stop;
                            ///< below 2: it arrives whole or not
};

/// What a cut may leave of a directory tree, for one recording; prose of the model is at the head
/// of tree_model.cc. The fates of a plan are those of writes as `CrashModel` knows them, and of
/// changes: kept, lost, and for a length that grows, torn (the first sectors by which it grew were
/// kept).
///
/// Keeps a reference: `recording` must outlive it and not change. Not thread-safe.
class TreeModel {
 public:
  /// `check_recording` says whether `recording` is one.
  explicit TreeModel(const Recording& recording);
  ~TreeModel();
  TreeModel(const TreeModel&) = delete;
  TreeModel& operator=(const TreeModel&) = delete;

  [[nodiscard]] const TreeProfile& profile() const { return recording_.profile; }
  [[nodiscard]] const WriteLog& log() const { return recording_.log; }

  /// The requests whose fate is open at `point`, ascending. A discard that belongs to a truncation
  /// is not among them: it shares the fate of the length before it.
  [[nodiscard]] std::vector<OpenRequest> open_requests(const CrashPoint& point) const;

  /// Ok when `plan` is one that this tree may show. Error: names the request and the reason.
  [[nodiscard]] Status check(const CrashPlan& plan) const;

  /// The tree as `plan` leaves it. `plan` must pass `check`.
  [[nodiscard]] TreeState build(const CrashPlan& plan);

  /// Entry `number` in words: "rename a.tmp to a", "write a 0x1000 4K". Files have the name they
  /// had then. Empty for what no user asked for.
  [[nodiscard]] const std::string& text(std::uint32_t number) const;

  /// The entries at which a run can end: the start (0), and behind each request of the program,
  /// with the marks that follow it.
  [[nodiscard]] std::vector<std::uint32_t> crash_entries() const;

 private:
  struct Facts;
  [[nodiscard]] Status check_change(const CrashPlan& plan, const Fate& fate) const;
  [[nodiscard]] CrashPlan data_plan(const CrashPlan& plan) const;
  void settle_lengths(const CrashPlan& plan, TreeState& tree) const;

  const Recording& recording_;
  std::unique_ptr<Facts> facts_;
};

/// Ok when every change of the log can be read and happens to something that is there. For
/// recordings from files; those of a `Tree` always are.
[[nodiscard]] Status check_recording(const Recording& recording);

}  // namespace faultfs::tree
