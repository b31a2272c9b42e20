#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "faultfs/crash_model.h"
#include "faultfs/read_watch.h"

namespace runner::explorers {

/// The crash states of one power cut as a tree of decisions. A *decision* gives one open unit one
/// of its contents; a node is a list of decisions, and stands for every crash state in which they
/// hold. Expanding a node by the units that a run of it read splits it into the part which that run
/// stands for (these units at their newest content too, all others at any) and a child for every
/// other content of each of them. So the parts of all runs are disjoint, and together they are all
/// states.
class PointTree {
 public:
  struct Decision {
    std::uint32_t unit = 0;
    std::uint32_t option = 0;
  };
  /// Ascending by the order in which they were taken.
  using Node = std::vector<Decision>;

  PointTree(const faultfs::CrashModel& model,
            const faultfs::CrashPoint& point,
            faultfs::EqualContents equal = faultfs::EqualContents::merged);

  [[nodiscard]] const faultfs::CrashPoint& point() const { return point_; }
  /// How many crash states there are, each content of the disks once.
  [[nodiscard]] double states() const { return states_; }
  [[nodiscard]] bool finished() const { return waiting_ == 0; }

  /// A node with `deviations` decisions for another than the newest content, or false.
  [[nodiscard]] bool take(std::size_t deviations, Node& node);
  /// True where a node with `deviations` or fewer waits.
  [[nodiscard]] bool waits_up_to(std::size_t deviations) const;

  /// The plan in which what `node` does not decide is newest.
  [[nodiscard]] faultfs::CrashPlan plan(const Node& node) const;
  /// The sectors `node` leaves open.
  [[nodiscard]] std::vector<faultfs::SectorPlace> undecided(const Node& node) const;

  /// The run of `node` read `reads`, first read first: adds its children, and returns how many
  /// crash states the run stands for.
  double expand(const Node& node, const std::vector<faultfs::SectorPlace>& reads);
  /// As `expand` when nothing is known of the run: it stands for one state.
  double expand_all(const Node& node);

 private:
  double split(Node node, const std::vector<std::uint32_t>& units);
  void lose_part(const faultfs::VolatileWrite& write,
                 std::uint64_t sector,
                 std::vector<bool>& keep) const;
  [[nodiscard]] std::vector<bool> decided(const Node& node) const;
  void add(Node node);

  faultfs::CrashPoint point_;
  std::vector<faultfs::OpenUnit> units_;
  std::vector<faultfs::VolatileWrite> writes_;
  std::uint64_t atomic_sectors_ = 1;
  std::vector<std::deque<Node>> nodes_;  // by deviations
  std::size_t waiting_ = 0;
  double states_ = 1;
};

}  // namespace runner::explorers
