#include "runner/explorers/point_tree.h"

#include <algorithm>

#include "runner/explorers/draw.h"

namespace runner::explorers {
namespace {

std::size_t deviations_of(const PointTree::Node& node) {
  return static_cast<std::size_t>(std::ranges::count_if(
      node, [](const PointTree::Decision& decision) { return decision.option != 0; }));
}

bool holds(const faultfs::OpenUnit& unit, const faultfs::SectorPlace& place) {
  return unit.disk == place.disk && place.sector >= unit.first_sector &&
         place.sector < unit.first_sector + unit.sector_count;
}

}  // namespace

PointTree::PointTree(const faultfs::CrashModel& model,
                     const faultfs::CrashPoint& point,
                     faultfs::EqualContents equal)
    : point_(point),
      writes_(model.volatile_writes(point)),
      atomic_sectors_(model.profile().atomic_write_bytes / model.profile().sector_bytes) {
  if (point.kind == faultfs::CutKind::power_cut) {
    units_ = model.open_units(point, equal);
  }
  for (const auto& unit : units_) {
    states_ *= static_cast<double>(unit.options.size());
  }
  add({});
}

void PointTree::add(Node node) {
  const std::size_t deviations = deviations_of(node);
  nodes_.resize(std::max(nodes_.size(), deviations + 1));
  nodes_[deviations].push_back(std::move(node));
  ++waiting_;
}

bool PointTree::take(std::size_t deviations, Node& node) {
  if (deviations >= nodes_.size() || nodes_[deviations].empty()) {
    return false;
  }
  node = std::move(nodes_[deviations].front());
  nodes_[deviations].pop_front();
  --waiting_;
  return true;
}

bool PointTree::waits_up_to(std::size_t deviations) const {
  for (std::size_t at = 0; at <= deviations && at < nodes_.size(); ++at) {
    if (!nodes_[at].empty()) {
      return true;
    }
  }
  return false;
}

/// The part of `write` in the atomic unit of `sector` is lost.
void PointTree::lose_part(const faultfs::VolatileWrite& write,
                          std::uint64_t sector,
                          std::vector<bool>& keep) const {
  for (std::size_t part = 0; part < keep.size(); ++part) {
    const std::uint64_t begin = write.first_sector + write.unit_begins[part];
    keep[part] = keep[part] && begin / atomic_sectors_ != sector / atomic_sectors_;
  }
}

faultfs::CrashPlan PointTree::plan(const Node& node) const {
  faultfs::CrashPlan plan{point_, {}};
  for (const auto& write : writes_) {
    std::vector<bool> keep(write.unit_begins.size(), true);
    bool all = true;
    for (const Decision& decision : node) {
      const auto& unit = units_[decision.unit];
      const auto& lost = unit.options[decision.option];
      if (unit.disk != write.disk || !std::ranges::binary_search(lost, write.entry)) {
        continue;
      }
      lose_part(write, unit.first_sector, keep);
      all = false;
    }
    if (!all) {
      plan.fates.push_back(by_units(write, keep));
    }
  }
  return plan;
}

std::vector<bool> PointTree::decided(const Node& node) const {
  std::vector<bool> decided(units_.size());
  for (const Decision& decision : node) {
    decided[decision.unit] = true;
  }
  return decided;
}

std::vector<faultfs::SectorPlace> PointTree::undecided(const Node& node) const {
  const std::vector<bool> done = decided(node);
  std::vector<faultfs::SectorPlace> places;
  for (std::size_t unit = 0; unit < units_.size(); ++unit) {
    for (std::uint32_t i = 0; !done[unit] && i < units_[unit].sector_count; ++i) {
      places.push_back({units_[unit].disk, units_[unit].first_sector + i});
    }
  }
  return places;
}

double PointTree::expand(const Node& node, const std::vector<faultfs::SectorPlace>& reads) {
  std::vector<bool> done = decided(node);
  std::vector<std::uint32_t> read;
  for (const auto& place : reads) {
    // Units are ascending by place.
    const auto unit = std::ranges::upper_bound(units_, place, {}, [](const auto& each) {
      return faultfs::SectorPlace{each.disk, each.first_sector};
    });
    if (unit == units_.begin() || !holds(*std::prev(unit), place)) {
      continue;
    }
    const auto number = static_cast<std::uint32_t>(std::prev(unit) - units_.begin());
    if (!done[number]) {
      done[number] = true;
      read.push_back(number);
    }
  }
  return split(node, read);
}

double PointTree::expand_all(const Node& node) {
  const std::vector<bool> done = decided(node);
  std::vector<std::uint32_t> open;
  for (std::uint32_t unit = 0; unit < units_.size(); ++unit) {
    if (!done[unit]) {
      open.push_back(unit);
    }
  }
  return split(node, open);
}

/// Of the children, those of what was read last wait first: recovery reads what says that an object
/// is there, whose loss makes a miss, and reads that come after it are of what is served.
double PointTree::split(Node node, const std::vector<std::uint32_t>& units) {
  std::vector<Node> children;
  for (const std::uint32_t unit : units) {
    for (std::uint32_t option = 1; option < units_[unit].options.size(); ++option) {
      Node child = node;
      child.push_back({unit, option});
      children.push_back(std::move(child));
    }
    node.push_back({unit, 0});
  }
  for (auto child = children.rbegin(); child != children.rend(); ++child) {
    add(std::move(*child));
  }
  const std::vector<bool> done = decided(node);
  double covered = 1;
  for (std::size_t unit = 0; unit < units_.size(); ++unit) {
    covered *= done[unit] ? 1.0 : static_cast<double>(units_[unit].options.size());
  }
  return covered;
}

}  // namespace runner::explorers
