#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "faultfs/crash_model.h"
#include "faultfs/read_watch.h"
#include "runner/recovery.h"

namespace runner {

/// What an explorer left out of one log, in words for the end-of-run lines; empty: nothing.
struct Unexplored {
  std::string what;          ///< "power cuts with more than 2 deviations"
  std::uint64_t states = 0;  ///< how many, where it can be counted; 0: not counted
};

/// Chooses crash states of one log, one after another, as crash plans. Every plan it gives is legal
/// for the model. The same model and seed give the same plans.
class Explorer {
 public:
  virtual ~Explorer() = default;
  /// The next plan; none when it is finished.
  [[nodiscard]] virtual std::optional<faultfs::CrashPlan> next() = 0;
  /// The sectors whose content the last plan left open: those of which `observed` wants to know.
  [[nodiscard]] virtual std::vector<faultfs::SectorPlace> undecided() const { return {}; }
  /// The cache has run on the last plan; `reads` has the sectors of `undecided` that it read, first
  /// read first, and perhaps others.
  virtual void observed(const std::vector<faultfs::SectorPlace>& /*reads*/) { ++covered_; }
  /// As `observed`, and says what the cache wrote while it recovered.
  virtual void recovered(const std::vector<faultfs::SectorPlace>& reads,
                         const std::shared_ptr<Recovery>& /*recovery*/) {
    observed(reads);
  }
  /// How many crash states the runs so far stand for.
  [[nodiscard]] double covered() const { return covered_; }
  /// lazy, exhaustive: the crash points, and those all of whose states have been judged.
  [[nodiscard]] virtual std::uint64_t points() const { return 0; }
  [[nodiscard]] virtual std::uint64_t points_finished() const { return 0; }
  /// What it will not give, even when `next` has come to its end.
  [[nodiscard]] virtual std::vector<Unexplored> unexplored() const = 0;

 protected:
  Explorer() = default;
  Explorer(const Explorer&) = delete;
  Explorer& operator=(const Explorer&) = delete;

  double covered_ = 0;
};

struct ExplorerOptions {
  std::string name = "mixed";  ///< one of `explorer_names`
  std::uint64_t seed = 0;
  std::uint32_t deviations_max = 2;   ///< bounded: k
  std::uint32_t states_max = 0;       ///< random, mixed: how many plans; 0: no end
  std::uint32_t depth = 0;            ///< cuts inside recoveries, so many one inside another
  std::uint32_t in_recovery_max = 0;  ///< cuts inside one recovery, an eighth of that inside one
                                      ///< of its own, and so on; 0: all
  faultfs::EqualContents equal = faultfs::EqualContents::merged;  ///< lazy, exhaustive
  /// lazy, exhaustive: only every `shards`-th entry of the log, from number `shard` on.
  std::uint32_t shard = 0, shards = 1;
  /// random, mixed: entries to cut at more often than at others, in groups that are equals.
  std::vector<std::vector<std::uint32_t>> weighty = {};
};

[[nodiscard]] const std::vector<std::string>& explorer_names();
/// `model` must outlive the explorer. Error: names the word and the allowed ones.
[[nodiscard]] faultfs::Result<std::unique_ptr<Explorer>> make_explorer(
    const faultfs::CrashModel& model, const ExplorerOptions& options);

}  // namespace runner
