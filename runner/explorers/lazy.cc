// Nothing about an undecided sector is fixed until the restarted cache reads it.
//
// A run begins with every undecided unit at its newest content. The device notes which undecided
// units the cache reads before it overwrites them. Whatever the other units held, this run would
// have been the same, so it stands for all these crash states at once; each unit that was read is a
// place where another content might have led elsewhere, and becomes a branch (point_tree.h). When
// no branch is left, every crash state of that point has been judged, each class of states that the
// cache cannot tell apart by one run.
//
//     8 volatile writes, a recovery that reads the headers of 3 and nothing else:
//     256 crash states, at most 8 runs, each standing for 32
//
// Branches are taken in order of their deviations (units that do not hold their newest content),
// over all crash points: stopped anywhere, it has judged all states with at most k deviations. Two
// things come out of turn: the end of the log with at most one deviation comes first, because most
// is volatile there and most has been overwritten; and kills, which lose nothing that had
// completed, come after what has no deviation.
// Each run is a legal crash state whatever the cache does; that it stands for others supposes that
// the same bytes lead to the same run, which holds for the engine and nearly for other caches.
//
// `exhaustive` is the same tree without looking: each run stands for itself.

#include <algorithm>
#include <memory>

#include <fmt/format.h>

#include "runner/explorers/explorers.h"
#include "runner/explorers/point_tree.h"

namespace runner::explorers {
namespace {

class Lazy : public Explorer {
 public:
  Lazy(const faultfs::CrashModel& model, bool looks, const ExplorerOptions& options)
      : model_(model), looks_(looks), equal_(options.equal) {
    std::uint32_t number = 0;
    for (const std::uint32_t entry : crash_entries(model.log())) {
      if (number++ % options.shards == options.shard) {
        add_point(entry);
      }
    }
    trees_.resize(points_.size());
    finished_.resize(points_.size());
    left_ = points_.size();
  }

  std::optional<faultfs::CrashPlan> next() override {
    if (tree_ != nullptr) {
      observed(tree_->undecided(node_));  // nobody told what it read: it may have been anything
    }
    node_.clear();
    if (auto plan = next_at_the_end()) {
      return plan;
    }
    while (deviations_ == 0 || left_ > 0 || next_kill_ < kills_.size()) {
      if (deviations_ > 0 && next_kill_ < kills_.size()) {
        tree_ = nullptr;
        return kills_[next_kill_++];
      }
      for (; at_ < points_.size(); ++at_) {
        tree_ = tree(at_);
        if (tree_ != nullptr && tree_->take(deviations_, node_)) {
          return tree_->plan(node_);
        }
      }
      at_ = 0;
      ++deviations_;
    }
    tree_ = nullptr;
    return std::nullopt;
  }

  [[nodiscard]] std::vector<faultfs::SectorPlace> undecided() const override {
    return tree_ != nullptr && looks_ ? tree_->undecided(node_)
                                      : std::vector<faultfs::SectorPlace>();
  }

  void observed(const std::vector<faultfs::SectorPlace>& reads) override {
    if (tree_ == nullptr) {
      ++covered_;  // a kill
      return;
    }
    covered_ += looks_ ? tree_->expand(node_, reads) : tree_->expand_all(node_);
    if (tree_->finished()) {
      trees_[number_].reset();
      finished_[number_] = true;
      --left_;
    }
    tree_ = nullptr;
  }

  [[nodiscard]] std::uint64_t points() const override { return points_.size(); }
  [[nodiscard]] std::uint64_t points_finished() const override { return points_.size() - left_; }

  [[nodiscard]] std::vector<Unexplored> unexplored() const override {
    std::vector<Unexplored> left;
    if (next_kill_ < kills_.size()) {
      left.push_back({"kills inside requests and after them", kills_.size() - next_kill_});
    }
    if (left_ > 0) {
      left.push_back(
          {fmt::format("crash states with {} or more deviations at {} of {} crash points",
                       deviations_,
                       left_,
                       points_.size()),
           0});
    }
    const auto& profile = model_.profile();
    if (profile.tears_inside_sector) {
      left.push_back({"tears inside a sector", 0});
    }
    if (profile.lost_content == faultfs::LostContent::garbage) {
      left.push_back({"noise in sectors of writes that were kept", 0});
    }
    if (profile.misdirects) {
      left.push_back({"misdirected writes", 0});
    }
    return left;
  }

 private:
  /// After every request; inside a write only where its completion makes it durable, because
  /// otherwise the state after it has the same contents and a client that knows no less.
  void add_point(std::uint32_t entry) {
    const faultfs::CrashPoint after{faultfs::CutKind::power_cut, entry, false};
    const auto open = model_.volatile_writes(after);
    const bool durable = open.empty() || open.back().entry != entry;
    const faultfs::EntryKind kind = model_.log().entry(entry).kind;
    if (durable && (kind == faultfs::EntryKind::write || kind == faultfs::EntryKind::discard)) {
      points_.push_back({faultfs::CutKind::power_cut, entry, true});
    }
    points_.push_back(after);
    for (std::uint32_t pages = 1; pages <= pages_inside(model_.log(), entry); ++pages) {
      kills_.push_back(kill_inside(model_, entry, pages));
    }
    kills_.push_back({{faultfs::CutKind::kill, entry, false}, {}});
  }

  /// The last crash point with at most one deviation.
  std::optional<faultfs::CrashPlan> next_at_the_end() {
    while (end_deviations_ <= 1 && !points_.empty()) {
      tree_ = tree(points_.size() - 1);
      if (tree_ != nullptr && tree_->take(end_deviations_, node_)) {
        return tree_->plan(node_);
      }
      ++end_deviations_;
    }
    return std::nullopt;
  }

  /// The tree of point `number`, made when it is first asked for; null when it is finished.
  PointTree* tree(std::size_t number) {
    number_ = number;
    if (trees_[number] == nullptr && !finished_[number]) {
      trees_[number] = std::make_unique<PointTree>(model_, points_[number], equal_);
    }
    return trees_[number].get();
  }

  const faultfs::CrashModel& model_;
  bool looks_;
  faultfs::EqualContents equal_;
  std::vector<faultfs::CrashPlan> kills_;
  std::vector<faultfs::CrashPoint> points_;
  std::vector<std::unique_ptr<PointTree>> trees_;  // null: not made yet, or finished
  std::vector<bool> finished_;
  std::size_t next_kill_ = 0, at_ = 0, deviations_ = 0, end_deviations_ = 0;
  std::size_t left_ = 0;    // trees that are not finished
  std::size_t number_ = 0;  // of `tree_`
  PointTree* tree_ = nullptr;
  PointTree::Node node_;
};

}  // namespace

std::unique_ptr<Explorer> make_lazy(const faultfs::CrashModel& model,
                                    const ExplorerOptions& options) {
  return std::make_unique<Lazy>(model, true, options);
}

std::unique_ptr<Explorer> make_exhaustive(const faultfs::CrashModel& model,
                                          const ExplorerOptions& options) {
  return std::make_unique<Lazy>(model, false, options);
}

}  // namespace runner::explorers
