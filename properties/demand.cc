// When may a cache evict? Only when what its clients asked it to hold does not fit. The harness
// counts that itself, in allocation units of the store's geometry, from the client's operations
// alone:
//
// - a stored object takes its body, header and key, in whole units;
// - an upload takes all its units from its beginning, and the version it replaces stays until it is
//   acknowledged;
// - a header update takes one spare unit, more where the header is long, for as long as the version
//   lives;
// - a purge frees at once, and units in quarantine (freed, not yet flushed) do not count, because
//   the store flushes when it needs them;
// - after a power cut a key may hold the largest version it ever had.
//
// Where the store has several disks this is counted for each by itself: an object has one home.
//
// While that demand never exceeded the capacity, no eviction is lawful. Afterwards anything stored
// up to the last moment of excess may be gone, whatever the policy; what was stored after it may
// not. The very last put is always safe, because nothing after it asked for room.
//
// Example: 8 units; put k1 of 5 units, put k1 again: 10 units while both versions are there, so k1
// may be evicted, but only until the second put ended: its end is after the last excess.
//
// Where a lost write destroys what its sector held and units are smaller than a sector, the loss of
// a unit's neighbour destroys the unit, however durable it was: nothing is safe there.
//
// (A store that is one circular log forgets by age: log_demand.cc.)
//
// Not counted: fragmentation (units are interchangeable in the stores we know) and bytes a store
// keeps for itself beyond `unit_overhead`, except a fixed allowance for key and header.
#include "properties/demand.h"

#include <algorithm>

#include "properties/log_demand.h"
#include "scenarios/targets/log_geometry.h"

namespace properties {
namespace {

using scenarios::Operation;
using scenarios::OperationKind;

/// Key, header without padding, and whatever the store adds to them, in an object's first unit.
constexpr std::uint64_t metadata_bytes_max = 320;

struct Moment {
  const Operation* operation = nullptr;
  std::uint32_t position = 0;
  bool end = false;
};

/// Beginnings and ends of the operations in the order in which they happened, up to `point`.
std::vector<Moment> moments_until(const scenarios::History& history,
                                  const faultfs::CrashPoint& point) {
  std::vector<Moment> moments;
  for (const Operation& operation : history.operations) {
    const OperationState state = state_at(operation, point, history.segments - 1);
    if (state == OperationState::not_started) {
      continue;
    }
    moments.push_back({&operation, operation.began, false});
    if (state != OperationState::in_flight) {
      moments.push_back({&operation, operation.ended, true});
    }
  }
  std::sort(moments.begin(), moments.end(), [](const Moment& a, const Moment& b) {
    if (a.operation->segment != b.operation->segment) {
      return a.operation->segment < b.operation->segment;
    }
    if (a.position != b.position) {
      return a.position < b.position;
    }
    return a.operation->number != b.operation->number ? a.operation->number < b.operation->number
                                                      : a.end < b.end;
  });
  return moments;
}

bool takes_room(const Operation& operation) {
  return operation.kind == OperationKind::put || operation.kind == OperationKind::update;
}

/// Follows the history and keeps, per put that ended, whether an eviction may take it.
class Watch {
 public:
  explicit Watch(const scenarios::Recording& recording) : demand_(recording) {}

  void see(const Moment& moment) {
    const Operation& operation = *moment.operation;
    homes_[operation.number] = operation.key;
    for (; segment_ < operation.segment; ++segment_) {
      demand_.power_cut();
      check();
    }
    if (!moment.end) {
      last_ = takes_room(operation) ? 0 : last_;  // it may evict whatever was the last put
      demand_.begin(operation);
      last_begun_ = takes_room(operation) ? operation.number : last_begun_;
      check();
      return;
    }
    const bool stored = operation.kind == OperationKind::put && operation.acknowledged;
    demand_.end(operation, operation.acknowledged);
    if (stored) {
      safe_.push_back(operation.number);
      const bool alone = last_begun_ == operation.number && !demand_.others_open(operation.key);
      last_ = alone ? operation.number : 0;
    }
    check();
  }

  [[nodiscard]] std::vector<scenarios::PutNumber> safe() {
    if (last_ != 0) {
      safe_.push_back(last_);
    }
    std::sort(safe_.begin(), safe_.end());
    safe_.erase(std::unique(safe_.begin(), safe_.end()), safe_.end());
    return std::move(safe_);
  }

 private:
  void check() {
    for (std::size_t disk = 0; disk < demand_.disks(); ++disk) {
      if (demand_.exceeds_capacity(disk)) {
        std::erase_if(safe_, [&](scenarios::PutNumber put) { return home_of(put) == disk; });
      }
    }
  }
  [[nodiscard]] std::size_t home_of(scenarios::PutNumber put) {
    return demand_.home_of(homes_.at(put));
  }

  Demand demand_;
  std::map<std::uint32_t, scenarios::Key> homes_;  // key of each operation
  std::uint32_t segment_ = 0;
  std::vector<scenarios::PutNumber> safe_;  // ended after the last excess
  scenarios::PutNumber last_ = 0;           // the last put of all, when nothing followed it
  std::uint32_t last_begun_ = 0;
};

}  // namespace

Demand::Demand(const scenarios::Recording& recording)
    : recording_(recording), unit_bytes_(recording.history.unit_bytes) {}

std::size_t Demand::disks() const {
  return recording_.config.disks;
}

std::size_t Demand::home_of(scenarios::Key key) {
  if (disks() == 1) {
    return 0;
  }
  const auto known = homes_.find(key);
  return known != homes_.end()
             ? known->second
             : homes_.emplace(key, scenarios::disk_of(recording_.config, key)).first->second;
}

Demand::Holding& Demand::holding(scenarios::Key key) {
  for (Holding& holding : holdings_) {
    if (holding.key == key) {
      return holding;
    }
  }
  holdings_.push_back({key, 0, 0, 0, false});
  return holdings_.back();
}

std::uint64_t Demand::units_of(const Operation& operation) const {
  const std::uint32_t overhead = recording_.history.unit_overhead;
  if (unit_bytes_ <= overhead) {
    return 1;  // unknown geometry: `exceeds_capacity` is always true
  }
  const std::uint64_t payload = unit_bytes_ - overhead;
  const std::uint64_t header = metadata_bytes_max + operation.header_bytes;
  const std::uint64_t bytes =
      operation.kind == OperationKind::put ? operation.body_bytes + header : header;
  return (bytes + payload - 1) / payload;
}

void Demand::begin(const Operation& operation) {
  if (!takes_room(operation)) {
    return;
  }
  Holding& key = holding(operation.key);
  if (operation.kind == OperationKind::put) {
    key.upload = units_of(operation);
    key.open = true;
  } else if (key.stored > 0) {
    key.stored += units_of(operation);
  }
  key.largest = std::max(key.largest, key.stored);
}

void Demand::end(const Operation& operation, bool acknowledged) {
  if (operation.kind == OperationKind::clear && acknowledged) {
    holdings_.clear();
    unit_bytes_ = static_cast<std::uint32_t>(operation.body_bytes);
  }
  if (operation.kind == OperationKind::purge_all && acknowledged) {
    for (Holding& each : holdings_) {
      each.stored = each.largest = 0;
    }
  }
  if (operation.kind == OperationKind::purge && acknowledged) {
    holding(operation.key).stored = 0;
    holding(operation.key).largest = 0;
  }
  if (operation.kind != OperationKind::put) {
    return;
  }
  Holding& key = holding(operation.key);
  key.stored = acknowledged ? key.upload : key.stored;
  key.largest = std::max(key.largest, key.upload);
  key.upload = 0;
  key.open = false;
}

void Demand::power_cut() {
  for (Holding& key : holdings_) {
    key.largest = std::max(key.largest, key.upload);
    key.stored = key.largest;
    key.upload = 0;
    key.open = false;
  }
}

void Demand::restart_with(const std::vector<std::pair<scenarios::Key, Version>>& seen) {
  holdings_.clear();
  for (const Operation& operation : recording_.history.operations) {
    if (operation.kind == OperationKind::clear) {
      unit_bytes_ = 0;  // which geometry it came back with is not known here
    }
  }
  for (const auto& [key, version] : seen) {
    std::uint64_t units = 0;
    for (const Operation& operation : recording_.history.operations) {
      const bool counts = operation.number == version.put ||
                          (operation.kind == OperationKind::update && operation.key == key);
      units += counts ? units_of(operation) : 0;
    }
    holdings_.push_back({key, units, units, 0, false});
  }
}

bool Demand::exceeds_capacity() {
  for (std::size_t disk = 0; disk < disks(); ++disk) {
    if (exceeds_capacity(disk)) {
      return true;
    }
  }
  return false;
}

bool Demand::exceeds_capacity(std::size_t disk) {
  const std::uint64_t capacity = recording_.history.capacity_bytes / disks();
  if (capacity == 0 || unit_bytes_ <= recording_.history.unit_overhead) {
    return true;
  }
  std::uint64_t units = 0;
  for (const Holding& key : holdings_) {
    units += home_of(key.key) == disk ? key.stored + key.upload : 0;
  }
  return units > capacity / unit_bytes_;
}

bool Demand::others_open(scenarios::Key key) const {
  return std::any_of(holdings_.begin(), holdings_.end(), [key](const Holding& holding) {
    return holding.open && holding.key != key;
  });
}

namespace {

/// A unit may be destroyed with its neighbour's write, on this device and in some geometry of the
/// history.
bool neighbours_destroy(const scenarios::Recording& recording) {
  std::uint64_t unit_bytes = recording.history.unit_bytes;
  for (const Operation& operation : recording.history.operations) {
    if (operation.kind == OperationKind::clear) {
      unit_bytes = std::min(unit_bytes, operation.body_bytes);
    }
  }
  return recording.profile.lost_content != faultfs::LostContent::old && unit_bytes != 0 &&
         unit_bytes < recording.profile.sector_bytes;
}

}  // namespace

std::vector<scenarios::PutNumber> puts_safe_from_eviction(const scenarios::Recording& recording,
                                                          const faultfs::CrashPoint& point) {
  if (const auto log = log_demand_at(recording, point)) {
    std::vector<scenarios::PutNumber> safe;
    for (const Operation& operation : recording.history.operations) {
      if (operation.kind == OperationKind::put && log->holds(operation.number)) {
        safe.push_back(operation.number);
      }
    }
    return safe;
  }
  if (neighbours_destroy(recording)) {
    return {};
  }
  Watch watch(recording);
  for (const Moment& moment : moments_until(recording.history, point)) {
    watch.see(moment);
  }
  return watch.safe();
}

void release_evicted_by_traffic(const std::vector<Operation>& traffic,
                                Demand& demand,
                                std::vector<KeyAnswers>& answers) {
  std::vector<scenarios::PutNumber> safe;
  bool exceeded = demand.exceeds_capacity();
  const Operation* last = nullptr;
  for (const Operation& operation : traffic) {
    demand.begin(operation);
    if (demand.exceeds_capacity()) {
      exceeded = true;
      safe.clear();
    }
    demand.end(operation, operation.acknowledged);
    last = takes_room(operation) ? &operation : last;
    if (operation.kind == OperationKind::put && operation.acknowledged) {
      safe.push_back(operation.number);
    }
    if (demand.exceeds_capacity()) {
      exceeded = true;
      safe.clear();
    }
  }
  if (!exceeded) {
    return;
  }
  for (KeyAnswers& key : answers) {
    const bool kept = std::find(safe.begin(), safe.end(), key.must) != safe.end() ||
                      (last != nullptr && last->number == key.must);
    key.must = kept ? key.must : 0;
  }
}

}  // namespace properties
