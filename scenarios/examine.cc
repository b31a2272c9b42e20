// What is asked of a cache after a crash state:
//
//   power on, start, rebuild to its end        does the recovery end?
//   every key; the structure                   does it lie?
//   kill, start, rebuild, every key            is recovery stable?
//   traffic, every key, the structure          is a slot used twice? (shows only when it is reused)
//   kill, start, rebuild, every key            and is that on the disk too?
//
// A cache that keeps something in shared memory finds there what a start at this point would find:
// after a kill what was left, after a power cut nothing. In one history of two its last end is a
// clean stop, so that the last start may attach.
//
// The traffic is one of eight scripts, chosen by the seed: puts over a key of the history and under
// new keys, one to five slots long, and a purge; in one of the eight the puts go on until the store
// has wrapped. Nothing of it is logged by the device but, where it is asked for, the first start
// with its rebuild.

#include <algorithm>

#include <fmt/format.h>

#include "faultfs/base/check.h"
#include "faultfs/base/random.h"
#include "scenarios/reading.h"
#include "scenarios/recording.h"

namespace scenarios {

namespace {

constexpr std::uint64_t traffic_scripts = 8;
constexpr std::uint32_t wrap_puts_max = 24;
constexpr std::uint64_t seed_part = 0x6578616d696e65;

std::vector<Key> keys_of(const std::vector<Operation>& operations) {
  std::vector<Key> keys;
  for (const Operation& operation : operations) {
    if (has_key(operation.kind)) {
      keys.push_back(operation.key);
    }
  }
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  return keys;
}

/// The target's own randomness in its life number `start`.
std::uint64_t start_seed(const Recording& recording,
                         const ExamineOptions& options,
                         std::uint32_t start) {
  return faultfs::mix(faultfs::mix(recording.seed, seed_part + options.seed), start);
}

/// One thing of the traffic.
struct Step {
  OperationKind kind = OperationKind::put;
  Key key = 0;
  std::uint64_t body_bytes = 0;
};

std::vector<Step> traffic_script(std::uint64_t script,
                                 const std::vector<Key>& keys,
                                 const Geometry& geometry) {
  faultfs::Random random(faultfs::mix(seed_part, script));
  const std::uint64_t payload = geometry.unit_bytes - geometry.unit_overhead;
  const auto body = [&](std::uint64_t slots) {
    return std::max<std::uint64_t>(1, slots * payload - payload / 2 + random.below(64));
  };
  Key next_key = keys.empty() ? 0 : keys.back() + 1;
  std::vector<Step> steps;
  if (!keys.empty()) {
    steps.push_back({OperationKind::put, keys[random.below(keys.size())], body(2)});
  }
  steps.push_back({OperationKind::put, next_key++, body(1)});
  if (keys.size() > 1 && random.chance(1, 2)) {
    steps.push_back({OperationKind::purge, keys[random.below(keys.size())], 0});
  }
  steps.push_back({OperationKind::put, next_key++, body(3 + random.below(3))});
  if (script + 1 == traffic_scripts) {
    const std::uint64_t slots = std::clamp<std::uint64_t>(geometry.units / 5, 1, 13);
    const std::uint64_t puts = std::min<std::uint64_t>(geometry.units / slots + 2, wrap_puts_max);
    for (std::uint64_t i = 0; i < puts; ++i) {
      steps.push_back({OperationKind::put, next_key++, body(slots)});
    }
  }
  return steps;
}

class Examiner {
 public:
  Examiner(Target& target,
           const Rig& rig,
           const Recording& recording,
           const ExamineOptions& options,
           BodyLibrary& bodies)
      : target_(target),
        device_(rig.device),
        recording_(recording),
        options_(options),
        bodies_(bodies),
        reader_(target, bodies, recording.history),
        keys_(keys_of(recording.history.operations)) {}

  faultfs::Status run(Examination& seen);

 private:
  faultfs::Result<bool> start(std::string_view when, Examination& seen);
  [[nodiscard]] bool read_all(std::vector<Reading>& readings, Examination& seen);
  [[nodiscard]] bool alive(const Reply& reply, std::string_view what, Examination& seen);
  [[nodiscard]] bool run_traffic(Examination& seen);
  [[nodiscard]] bool put(const Step& step, Examination& seen);
  [[nodiscard]] std::optional<Structure> structure();
  void end_life(Examination& seen, bool in_order = false);
  void enter(CostPart part) {
    if (options_.clock != nullptr) {
      options_.clock->enter(part);
    }
  }

  Target& target_;
  faultfs::Device& device_;
  const Recording& recording_;
  const ExamineOptions& options_;
  BodyLibrary& bodies_;
  Reader reader_;
  std::vector<Key> keys_;
  Geometry geometry_;
  std::uint32_t starts_ = 0;
  bool shares_memory_ = false;
};

/// False, and the examination says how, when the target is gone.
bool Examiner::alive(const Reply& reply, std::string_view what, Examination& seen) {
  if (reply.outcome != Outcome::lost) {
    return true;
  }
  seen.started = Outcome::lost;
  seen.start_detail = fmt::format("{}: {}", what, reply.detail);
  seen.death = target_.death();
  return false;
}

/// False when there is nothing more to ask.
faultfs::Result<bool> Examiner::start(std::string_view when, Examination& seen) {
  enter(CostPart::start);
  ++starts_;
  device_.mark(fmt::format("recovery {}", starts_));
  const auto start =
      start_and_rebuild(target_, start_seed(recording_, options_, starts_), geometry_, true);
  if (starts_ == 1 && options_.recovery != nullptr) {
    *options_.recovery = device_.log();
    device_.record(false);
  }
  if (!start) {
    return tl::unexpected(start.error());
  }
  if (!alive(start->reply, when, seen)) {
    return false;
  }
  if (start->reply.outcome == Outcome::refused) {
    seen.started = Outcome::refused;
    seen.start_detail = fmt::format("{}: {}", when, start->reply.detail);
    return false;
  }
  device_.mark(fmt::format("recovered {}", starts_));
  seen.recovery_ended = seen.recovery_ended && start->recovery_ended;
  return start->recovery_ended;
}

bool Examiner::read_all(std::vector<Reading>& readings, Examination& seen) {
  enter(CostPart::gets);
  readings.reserve(keys_.size());
  bool going = true;
  reader_.read_each(keys_, [&](Reading read) {
    readings.push_back(std::move(read));
    const Reading& reading = readings.back();
    if (reading.kind == GetReply::Kind::failed && (reading.hung || target_.death())) {
      going = alive({Outcome::lost, reading.detail}, "get " + key_name(reading.key), seen);
    }
    return going;
  });
  return going;
}

bool Examiner::put(const Step& step, Examination& seen) {
  Operation operation;
  operation.number =
      static_cast<std::uint32_t>(recording_.history.operations.size() + seen.traffic.size() + 1);
  operation.kind = step.kind;
  operation.key = step.key;
  operation.body_bytes = step.body_bytes;
  operation.segment = recording_.history.segments;
  Reply reply;
  if (step.kind == OperationKind::purge) {
    reply = target_.purge(step.key);
  } else {
    const std::string header = make_header({step.key, operation.number, 0, step.body_bytes});
    reply =
        target_.put(step.key, header, bodies_.body({step.key, operation.number, step.body_bytes}));
  }
  operation.acknowledged = reply.outcome == Outcome::done;
  operation.ended = reply.open ? UINT32_MAX : 0;
  seen.traffic.push_back(operation);
  return alive(reply, fmt::format("{} after recovery", key_name(step.key)), seen);
}

bool Examiner::run_traffic(Examination& seen) {
  enter(CostPart::traffic);
  device_.mark("traffic");
  const Traits traits = target_.traits();
  const auto steps = traffic_script(options_.seed % traffic_scripts, keys_, geometry_);
  for (const Step& step : steps) {
    const bool possible = step.kind == OperationKind::put || traits.purge;
    if (possible && !put(step, seen)) {
      return false;
    }
  }
  const std::vector<Key> new_keys = keys_of(seen.traffic);
  for (const Key key : new_keys) {
    if (std::find(keys_.begin(), keys_.end(), key) == keys_.end()) {
      keys_.push_back(key);
    }
  }
  return true;
}

std::optional<Structure> Examiner::structure() {
  enter(CostPart::structure);
  return target_.structure();
}

void Examiner::end_life(Examination& seen, bool in_order) {
  enter(CostPart::kill);
  for (auto& refused : target_.gate_refusals()) {
    auto& sums = seen.gate_refusals;
    const auto place = std::ranges::lower_bound(
        sums, refused.first, {}, &std::pair<std::string, std::uint64_t>::first);
    if (place != sums.end() && place->first == refused.first) {
      place->second += refused.second;
    } else {
      sums.insert(place, std::move(refused));
    }
  }
  if (in_order) {
    // What goes wrong in it shows at the next start.
    static_cast<void>(target_.stop());
  }
  target_.kill();
  device_.fence();
}

faultfs::Status Examiner::run(Examination& seen) {
  geometry_ = geometry(recording_.config, unit_bytes_at(recording_, seen.point));
  reader_.also_know(&seen.traffic);
  shares_memory_ = target_.traits().shares_memory;
  if (shares_memory_) {
    target_.kill();
    target_.restore_shared(shared_at(recording_, seen.point));
  }
  faultfs::Result<bool> up = start("start after the crash", seen);
  seen.attached = shares_memory_ && target_.attached();
  bool going = up && *up && read_all(seen.after_recovery, seen);
  if (going) {
    seen.structure = structure();
  }
  if (going && options_.reopen) {
    end_life(seen);
    up = start("second start", seen);
    going = up && *up && read_all(seen.after_reopen, seen);
  }
  if (going && options_.traffic && run_traffic(seen) && read_all(seen.after_traffic, seen)) {
    seen.structure_after_traffic = structure();
    end_life(seen, shares_memory_ && options_.seed / traffic_scripts % 2 == 0);
    up = start("start after traffic", seen);
    going = up && *up && read_all(seen.after_last_restart, seen);
  }
  end_life(seen);
  seen.fault_states = device_.faults();
  enter(CostPart::other);
  return up ? faultfs::Status{} : tl::unexpected(up.error());
}

}  // namespace

std::uint32_t unit_bytes_at(const Recording& recording, const faultfs::CrashPoint& point) {
  std::uint32_t unit_bytes = recording.config.slot_bytes;
  const std::uint32_t completed = point.inside ? point.entry - 1 : point.entry;
  for (const Operation& operation : recording.history.operations) {
    const bool past = operation.segment + 1 < recording.history.segments;
    if (operation.kind == OperationKind::clear && (past || operation.began < completed)) {
      unit_bytes = static_cast<std::uint32_t>(operation.body_bytes);
    }
  }
  return unit_bytes;
}

// NOLINTNEXTLINE(readability-function-size): what, on what, of which history, in which state, how.
faultfs::Result<faultfs::WriteLog> recover(Target& target,
                                           const Rig& rig,
                                           const Recording& recording,
                                           const faultfs::CrashPoint& point,
                                           std::vector<faultfs::Image> disks,
                                           const ExamineOptions& options) {
  rig.device.power_on(std::move(disks));
  rig.device.record(true);
  rig.device.mark("recovery 1");
  const Geometry geometry = scenarios::geometry(recording.config, unit_bytes_at(recording, point));
  const auto start = start_and_rebuild(target, start_seed(recording, options, 1), geometry, true);
  faultfs::WriteLog log = rig.device.log();
  target.kill();
  rig.device.fence();
  if (!start) {
    return tl::unexpected(start.error());
  }
  return log;
}

// NOLINTNEXTLINE(readability-function-size): what, on what, of which history, in which state, how.
faultfs::Result<Examination> examine(Target& target,
                                     const Rig& rig,
                                     const Recording& recording,
                                     const faultfs::CrashPoint& point,
                                     std::vector<faultfs::Image> disks,
                                     const ExamineOptions& options) {
  Examination seen;
  seen.point = point;
  const bool plain = options.plain != nullptr && recording.faults.empty() && disks.size() == 1 &&
                     target.move_to(options.plain->directory());
  if (plain) {
    target.kill();
    options.plain->put(disks.front());
  }
  if (const faultfs::Status ready =
          power_on_with(rig.device, std::move(disks), recording.faults, FaultsFor::examination);
      !ready) {
    return tl::unexpected(ready.error());
  }
  rig.device.record(options.recovery != nullptr);
  BodyLibrary own;
  BodyLibrary& bodies = recording.bodies ? *recording.bodies : own;
  const faultfs::Status status = Examiner(target, rig, recording, options, bodies).run(seen);
  if (plain) {
    POWERCUT_CHECK(target.move_to({}), "back on the disks of the rig");
  }
  if (!status) {
    return tl::unexpected(status.error());
  }
  return seen;
}

}  // namespace scenarios
