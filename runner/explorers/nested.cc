// Recovery writes, and the power may go while it does. Every run of the cache on a crash state
// gives the log of its recovery; that log has crash states of its own, and the recovery from each
// of them has a log again. So an explorer of the history's log is followed, state for state, by one
// of the same kind in the log of the recovery, down to the depth asked for:
//
//     cut       after w0118        the history's log
//     w0112     lost
//     again     cut after w0003    the log of the recovery from that
//     w0002     lost
//     again     cut after w0001    the log of the recovery from *that*
//
// A recovery that wrote nothing has nothing to cut. After a kill only kills come: that the power
// goes in a recovery after a kill is the same as after a power cut that lost nothing.
//
// Where the explorer is `lazy`, a run stands for all states that differ in what it did not read.
// The recovery of each of them writes the same, but a cut inside it may leave a disk on which
// another place is read. So what any of the runs below a state read counts as read by that state,
// and it branches there when they are over.
//
// Where a history has a bound on its states, each recovery gets a share of them (in_recovery_max).
// `random` and `mixed` draw two cuts inside one recovery of three.

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "faultfs/base/random.h"
#include "runner/explorers/explorers.h"

namespace runner::explorers {
namespace {

constexpr std::uint32_t draws_in_recovery = 2, one_recovery_of = 3;

class Nested : public Explorer {
 public:
  Nested(const faultfs::CrashModel& model, ExplorerOptions options)
      : model_(model), depth_(options.depth), options_(std::move(options)) {
    options_.depth = 0;
  }

  faultfs::Status begin() {
    auto explorer = make_explorer(model_, options_);
    if (!explorer) {
      return faultfs::fail(explorer.error().message);
    }
    levels_.push_back({nullptr, std::move(*explorer)});
    return {};
  }

  std::optional<faultfs::CrashPlan> next() override {
    while (true) {
      Level& level = levels_.back();
      const std::size_t depth = levels_.size() - 1;
      const bool bounded =
          depth > 0 && options_.in_recovery_max > 0 &&
          level.given >= std::max(1U, options_.in_recovery_max >> (3 * (depth - 1)));
      auto plan = bounded ? std::nullopt : level.explorer->next();
      cut_short_ = cut_short_ || bounded;
      if (plan) {
        ++level.given;
        level.plan = std::move(*plan);
        return whole_plan();
      }
      if (levels_.size() == 1) {
        return std::nullopt;
      }
      end_level();
    }
  }

  [[nodiscard]] std::vector<faultfs::SectorPlace> undecided() const override {
    std::vector<faultfs::SectorPlace> places;
    for (const Level& level : levels_) {
      const auto open = level.explorer->undecided();
      places.insert(places.end(), open.begin(), open.end());
    }
    std::ranges::sort(places);
    places.erase(std::unique(places.begin(), places.end()), places.end());
    return places;
  }

  void observed(const std::vector<faultfs::SectorPlace>& reads) override {
    recovered(reads, nullptr);
  }

  void recovered(const std::vector<faultfs::SectorPlace>& reads,
                 const std::shared_ptr<Recovery>& recovery) override {
    Level& level = levels_.back();
    level.reads.clear();
    for (Level& each : levels_) {
      note_reads(reads, each);
    }
    if (recovery != nullptr && levels_.size() <= depth_ && changes_disks(*recovery->log) &&
        chosen()) {
      begin_level(recovery);
      return;
    }
    reached_ = reached_ || levels_.size() > depth_;
    settle(level, 0);
    covered_ = levels_.front().covered;
  }

  [[nodiscard]] std::vector<Unexplored> unexplored() const override {
    auto left = levels_.front().explorer->unexplored();
    for (std::size_t at = 1; at < levels_.size(); ++at) {
      left.push_back({"the rest of the cuts inside a recovery", 0});
    }
    if (reached_) {
      left.push_back({fmt::format("cuts inside recoveries more than {} deep", depth_), 0});
    }
    if (cut_short_) {
      left.push_back({fmt::format("cuts inside a recovery beyond its first {}, inside that one's "
                                  "beyond an eighth of that",
                                  options_.in_recovery_max),
                      0});
    }
    if (samples()) {
      left.push_back(
          {fmt::format(
               "all but {} cuts inside one recovery of {}", draws_in_recovery, one_recovery_of),
           0});
    }
    return left;
  }

 private:
  /// An explorer of one log, and the run it waits for.
  struct Level {
    std::shared_ptr<Recovery> recovery;  // of which this is the log; null: the history's
    std::unique_ptr<Explorer> explorer;
    faultfs::CrashPlan plan = {};  // its last one, alone
    /// Those of its undecided sectors that this run or one below it read, first read first.
    std::vector<faultfs::SectorPlace> reads = {};
    double covered = 0;
    std::uint32_t given = 0;
  };

  static void note_reads(const std::vector<faultfs::SectorPlace>& reads, Level& level) {
    auto open = level.explorer->undecided();
    if (open.empty()) {
      return;
    }
    std::ranges::sort(open);
    std::set<faultfs::SectorPlace> known(level.reads.begin(), level.reads.end());
    for (const auto& place : reads) {
      if (std::ranges::binary_search(open, place) && known.insert(place).second) {
        level.reads.push_back(place);
      }
    }
  }

  [[nodiscard]] bool samples() const {
    return options_.name == "random" || options_.name == "mixed";
  }

  /// Whether to go into the recovery at hand.
  bool chosen() {
    ++drawn_;
    return !samples() || faultfs::mix(options_.seed, drawn_) % one_recovery_of == 0;
  }

  [[nodiscard]] faultfs::CrashPlan whole_plan() const {
    faultfs::CrashPlan plan = levels_.front().plan;
    for (std::size_t at = 1; at < levels_.size(); ++at) {
      plan.again.push_back({levels_[at].plan.point, levels_[at].plan.fates});
    }
    return plan;
  }

  void begin_level(const std::shared_ptr<Recovery>& recovery) {
    ExplorerOptions options = options_;
    options.seed = faultfs::mix(options_.seed, drawn_);
    options.weighty.clear();  // entries of the history's log
    options.states_max = samples() ? draws_in_recovery : 0;
    if (levels_.back().plan.point.kind == faultfs::CutKind::kill) {
      options.name = "kills";
    }
    auto explorer = make_explorer(recovery->model, options);
    levels_.push_back({recovery, std::move(*explorer)});
  }

  void end_level() {
    const Level below = std::move(levels_.back());
    levels_.pop_back();
    settle(levels_.back(), below.covered);
    covered_ = levels_.front().covered;
  }

  /// The run of `level` and those inside its recovery, each of which stands for `below` states, are
  /// over.
  void settle(Level& level, double below) {
    const double before = level.explorer->covered();
    level.explorer->observed(level.reads);
    level.covered += (level.explorer->covered() - before) * (1 + below);
  }

  const faultfs::CrashModel& model_;
  std::size_t depth_;
  ExplorerOptions options_;
  std::vector<Level> levels_;
  std::uint64_t drawn_ = 0;
  bool reached_ = false;    // the depth asked for
  bool cut_short_ = false;  // by `in_recovery_max`
};

}  // namespace

faultfs::Result<std::unique_ptr<Explorer>> make_nested(const faultfs::CrashModel& model,
                                                       const ExplorerOptions& options) {
  auto nested = std::make_unique<Nested>(model, options);
  if (auto status = nested->begin(); !status) {
    return faultfs::fail(status.error().message);
  }
  return nested;
}

}  // namespace runner::explorers
