// When may a store that is a circular log forget? When the log came round: it forgets what was
// written longest ago, and nothing else. So the harness counts, from the client's operations alone,
// how many bytes the store can have written since a put began:
//
// - a put writes its body in documents of at most a fragment's content, each with a header and
//   rounded to whole sectors, and one document more for its head; a small body goes with the head;
// - a header update writes a head, and a body that was in the head once more; a purge one document;
// - an operation counts whole from its beginning, an upload that was open when the put began counts
//   whole as written after it, and one that was given up counts as if it had been finished;
// - where there are several logs, an operation counts for the one that has its key, a purge of
//   everything for each;
// - where keys share heads as alternates of one object, whatever writes a head writes what the
//   others have in it too, and one body that was in it as a document more; a head whose texts may
//   not have fitted one document may have dropped any of them;
// - at the wrap less than a document stays unused, and a lap may hold two wraps' leftovers.
//
// A put is certainly there while that is less than the data area, and while fewer documents were
// written since than the directory has rows for, whatever their keys. What an object's own later
// header updates do not refresh is its body: an object is as old as its put.
//
// A log that keeps pinned and hot objects (`pinned`, `hot`) writes more than its clients ask for:
// what it moves out of the cursor's way. It moves an object once while the cursor goes round, and
// counts by wraps, so a lap sees twice what is pinned, and for hot ones twice an eighth of the data
// area. What is pinned is there whatever is written, where twice that fits into the half of the
// data area that pins may use (engine/cyclone/evacuation.cc), what hot ones may use aside.
//
// Example: a data area of 900 KiB; put k1 of 64K, then 700 KiB of other puts: k1 must be a hit. A
// store that forgets everything fails at the first cut.
#include "properties/log_demand.h"

#include <algorithm>

namespace properties {
namespace {

using scenarios::Operation;
using scenarios::OperationKind;

/// Key, header without padding, and what the store adds to them in a head.
constexpr std::uint64_t metadata_bytes_max = 400;

}  // namespace

LogDemand::LogDemand(const scenarios::TargetConfig& config, const scenarios::LogGeometry& geometry)
    : config_(config), geometry_(geometry), totals_(geometry.logs), pinned_(geometry.logs) {}

LogDemand::Cost LogDemand::own_cost_of(const Operation& operation) const {
  const std::uint64_t overhead = geometry_.fragment_overhead_bytes;
  const std::uint64_t head = metadata_bytes_max + operation.header_bytes + overhead;
  switch (operation.kind) {
    case OperationKind::put: {
      if (operation.body_bytes + metadata_bytes_max + operation.header_bytes <=
          geometry_.fragment_bytes) {
        return {operation.body_bytes + head, 1};
      }
      const std::uint64_t fragments =
          (operation.body_bytes + geometry_.fragment_bytes - 1) / geometry_.fragment_bytes;
      return {operation.body_bytes + fragments * overhead + head, fragments + 1};
    }
    case OperationKind::update:
      return {head + geometry_.fragment_bytes + overhead, 2};
    case OperationKind::purge:
    case OperationKind::purge_all:
      return {head, 0};
    default:
      return {};
  }
}

LogDemand::HeadShares LogDemand::shares_of(scenarios::Key key) const {
  HeadShares sum;
  for (const Share& share : shares_) {
    if (share.key / geometry_.alternates != key / geometry_.alternates) {
      continue;
    }
    const std::uint64_t bytes = metadata_bytes_max + share.header_bytes;
    sum.all_bytes += bytes;
    sum.others_bytes += share.key == key ? 0 : bytes;
    sum.body_bytes = std::max(sum.body_bytes, share.body_bytes);
  }
  return sum;
}

LogDemand::Cost LogDemand::cost_of(const Operation& operation) const {
  Cost cost = own_cost_of(operation);
  if (geometry_.alternates > 1 && scenarios::has_key(operation.kind)) {
    const HeadShares shares = shares_of(operation.key);
    cost.bytes += shares.others_bytes + shares.body_bytes + geometry_.fragment_overhead_bytes;
    cost.rows += operation.kind == OperationKind::purge ? 1 : 2;
  }
  return cost;
}

void LogDemand::expect(const Operation& operation) {
  if (geometry_.alternates == 1 || !scenarios::has_key(operation.kind)) {
    return;
  }
  auto at = std::find_if(shares_.begin(), shares_.end(), [&operation](const Share& share) {
    return share.key == operation.key;
  });
  if (at == shares_.end()) {
    at = shares_.insert(at, Share{operation.key, 0, 0});
  }
  at->header_bytes = std::max<std::uint64_t>(at->header_bytes, operation.header_bytes);
  const std::uint64_t body = operation.kind == OperationKind::put ? operation.body_bytes : 0;
  at->body_bytes = std::max(at->body_bytes, body <= geometry_.fragment_bytes ? body : 0);
}

void LogDemand::add(const Operation& operation, std::size_t log, bool open) {
  const Cost own = cost_of(operation);
  if (scenarios::has_key(operation.kind) && is_pinned(operation.key)) {
    Pinned& pinned = pinned_[log];
    Cost& largest = operation.kind == OperationKind::update ? pinned.updates[operation.key]
                                                            : pinned.puts[operation.key];
    largest.bytes = std::max(largest.bytes, own.bytes);
    pinned.rows += own.rows;
  }
  Cost before = totals_[log];
  for (const Begun& each : begun_) {
    before.bytes -= each.open && each.log == log ? each.own.bytes : 0;
    before.rows -= each.open && each.log == log ? each.own.rows : 0;
  }
  begun_.push_back({operation.number, operation.key, log, before, own, open});
  totals_[log].bytes += own.bytes;
  totals_[log].rows += own.rows;
}

void LogDemand::begin(const Operation& operation) {
  if (operation.kind == OperationKind::clear) {
    const auto unit = static_cast<std::uint32_t>(operation.body_bytes);
    geometry_ = scenarios::log_geometry(config_, unit).value_or(scenarios::LogGeometry{});
    return;
  }
  if (operation.kind == OperationKind::purge_all) {
    for (std::size_t log = 0; log < totals_.size(); ++log) {
      add(operation, log, false);
    }
    return;
  }
  const std::size_t log = geometry_.log_of(operation.key);
  if (log >= totals_.size()) {
    totals_.resize(log + 1);
    pinned_.resize(log + 1);
  }
  add(operation, log, operation.kind == OperationKind::put);
}

void LogDemand::end(const Operation& operation) {
  for (Begun& each : begun_) {
    if (each.open && each.put == operation.number) {
      each.open = false;
      each.stays = is_pinned(each.key) && holds_by_age(each);
    }
  }
}

std::uint64_t LogDemand::pinned_bytes(std::size_t log) const {
  std::uint64_t bytes = 0;
  for (const auto* costs : {&pinned_[log].puts, &pinned_[log].updates}) {
    for (const auto& [key, cost] : *costs) {
      bytes += cost.bytes;
    }
  }
  return bytes;
}

/// Of one lap.
std::uint64_t LogDemand::moved_bytes_max(std::size_t log) const {
  return 2 * pinned_bytes(log) + (config_.hot_percent > 0 ? geometry_.data_bytes / 4 : 0);
}

bool LogDemand::pins_fit(std::size_t log) const {
  const std::uint64_t hot = config_.hot_percent > 0 ? geometry_.data_bytes / 8 : 0;
  return 2 * pinned_bytes(log) + hot <= geometry_.data_bytes / 2 &&
         2 * pinned_[log].rows <= geometry_.rows;
}

bool LogDemand::holds_by_age(const Begun& begun) const {
  const std::uint64_t unused = 2 * (geometry_.fragment_bytes + geometry_.fragment_overhead_bytes);
  const Cost& total = totals_[begun.log];
  return total.bytes - begun.before.bytes + unused + moved_bytes_max(begun.log) <=
             geometry_.data_bytes &&
         total.rows - begun.before.rows + pinned_[begun.log].rows <= geometry_.rows;
}

bool LogDemand::holds(scenarios::PutNumber put) const {
  const auto at = std::find_if(
      begun_.begin(), begun_.end(), [put](const Begun& each) { return each.put == put; });
  if (at == begun_.end() ||
      (geometry_.alternates > 1 && shares_of(at->key).all_bytes > geometry_.fragment_bytes)) {
    return false;
  }
  return holds_by_age(*at) || (at->stays && pins_fit(at->log));
}

std::optional<LogDemand> log_demand_at(const scenarios::Recording& recording,
                                       const faultfs::CrashPoint& point) {
  const auto geometry = scenarios::log_geometry(recording.config);
  if (!geometry) {
    return std::nullopt;
  }
  const scenarios::History& history = recording.history;
  LogDemand demand(recording.config, *geometry);
  for (const Operation& operation : history.operations) {
    demand.expect(operation);
  }
  // In the order of their beginnings; an upload is open for whatever began before it ended.
  std::vector<const Operation*> open;
  for (const Operation& operation : history.operations) {
    const OperationState state = state_at(operation, point, history.segments - 1);
    if (state == OperationState::not_started) {
      continue;
    }
    std::erase_if(open, [&](const Operation* earlier) {
      const bool over = earlier->segment < operation.segment || earlier->ended <= operation.began;
      if (over) {
        demand.end(*earlier);
      }
      return over;
    });
    demand.begin(operation);
    open.push_back(&operation);
  }
  return demand;
}

void release_lapped_by_traffic(const std::vector<scenarios::Operation>& traffic,
                               LogDemand demand,
                               std::vector<KeyAnswers>& answers) {
  for (const Operation& operation : traffic) {
    demand.expect(operation);
  }
  for (const Operation& operation : traffic) {
    demand.begin(operation);
    demand.end(operation);
  }
  for (KeyAnswers& key : answers) {
    key.must = demand.holds(key.must) ? key.must : 0;
  }
}

}  // namespace properties
