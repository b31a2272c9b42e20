// The ends of lives and the beginnings of the next ones: see the head of record.cc.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "faultfs/base/check.h"
#include "faultfs/base/random.h"
#include "scenarios/cut_style.h"
#include "scenarios/recorder.h"

namespace scenarios {

faultfs::Status Recorder::start(std::string_view after, bool to_end) {
  uploads_.clear();
  ++starts_;
  device_.mark(fmt::format("start {}", starts_));
  const std::uint32_t first_entry = device_.log_size() + 1;  // its clean mark goes before that
  const faultfs::Result<Start> start = start_and_rebuild(target_,
                                                         faultfs::mix(recording_.seed, starts_),
                                                         geometry(recording_.config, slot_bytes_),
                                                         to_end);
  if (!start) {
    return tl::unexpected(start.error());
  }
  notes_.shared_from(first_entry);
  const std::string what = fmt::format("start {} after {}", starts_, after);
  if (killed_by_fault()) {
    return {};
  }
  if (answered(start->reply, what) && start->reply.outcome == Outcome::refused) {
    over_ = true;
    recording_.trouble = fmt::format("{}: {}", what, start->reply.detail);
  } else if (!over_ && !start->recovery_ended) {
    over_ = true;
    recording_.trouble = what + ": the rebuild did not end";
  } else if (!over_) {
    device_.mark(fmt::format("ready {}", starts_));
  }
  return {};
}

void Recorder::stop_cleanly() {
  device_.mark("stop");
  notes_.ending();
  answered(target_.stop(), "stop");
  device_.fence();
  notes_.shared_from(device_.log_size());
}

faultfs::Status Recorder::reformat(std::uint32_t slot_bytes) {
  TargetConfig config = recording_.config;
  const std::uint32_t now = slot_bytes_ == 0 ? config.slot_bytes : slot_bytes_;
  config.slot_bytes = slot_bytes;
  if (!traits_.reformats || slot_bytes == now || !check(config)) {
    return {};
  }
  const std::size_t index = begin_operation(OperationKind::clear, 0);
  history_.operations[index].body_bytes = slot_bytes;
  stop_cleanly();
  if (over_ || killed_by_fault()) {
    return {};
  }
  slot_bytes_ = slot_bytes;
  faultfs::Status started = start("reformat", true);
  if (started && !over_) {
    end_operation(index, {});
  }
  return started;
}

/// The next life begins while the one before still ends: nothing is fenced, both may write. A
/// target that ends at once is stopped and started.
faultfs::Status Recorder::overlap() {
  if (!traits_.slow_stop) {
    stop_cleanly();
    return over_ || killed_by_fault() ? faultfs::Status{} : start("stop", true);
  }
  device_.mark("stop");
  notes_.ending();
  uploads_.clear();
  ++starts_;
  device_.mark(fmt::format("start {} beside it", starts_));
  const auto reply = target_.overlap(faultfs::mix(recording_.seed, starts_));
  if (!reply) {
    return tl::unexpected(reply.error());
  }
  if (answered(*reply, fmt::format("start {} beside the old process", starts_))) {
    device_.mark(fmt::format("ready {}", starts_));
  }
  return {};
}

/// Another instance goes on with the store, and with the uploads in progress. A target that cannot
/// do that is stopped and started.
faultfs::Status Recorder::hand_over() {
  if (!traits_.hands_over) {
    stop_cleanly();
    return over_ || killed_by_fault() ? faultfs::Status{} : start("stop", true);
  }
  device_.mark("handoff");
  notes_.ending();
  answered(target_.hand_over(), "handoff");
  device_.fence();
  notes_.shared_from(device_.log_size());
  if (over_ || killed_by_fault()) {
    return {};
  }
  std::vector<Upload> uploads = std::exchange(uploads_, {});
  faultfs::Status started = start("handoff", true);
  if (started && !over_ && !killed_by_fault()) {
    uploads_ = std::move(uploads);
  }
  return started;
}

faultfs::Status Recorder::power_cut(const Command& command) {
  notes_.ending();
  notes_.power_goes();
  target_.kill();
  const faultfs::WriteLog log = device_.log();
  faultfs::CrashModel model(recording_.base, log, recording_.profile);
  const faultfs::CrashPlan plan = chosen_plan(model, command);
  const faultfs::Status legal = model.check(plan);
  POWERCUT_CHECK(legal.has_value(), "{}: {}", to_text(command), legal.error().message);
  for (Operation& operation : history_.operations) {
    if (operation.segment + 1 == history_.segments && operation.ended != UINT32_MAX) {
      operation.durable_at_cut = model.durable_up_to(operation.ended, plan.point);
    }
  }
  recording_.base = model.build(plan);
  history_.past.push_back({plan});
  ++history_.segments;
  device_.power_on(recording_.base);
  return start("power cut", true);
}

faultfs::Status Recorder::restart(const Command& command) {
  switch (command.kind) {
    case CommandKind::stop:
      stop_cleanly();
      return over_ || killed_by_fault() ? faultfs::Status{} : start("stop", true);
    case CommandKind::kill:
    case CommandKind::kill_sliced:
      device_.mark("kill");
      notes_.ending();
      target_.kill();
      device_.fence();
      notes_.shared_from(device_.log_size());
      return start("kill", command.kind == CommandKind::kill || !traits_.sliced_rebuild);
    case CommandKind::kill_in_stop:
      device_.mark("stop");
      notes_.ending();
      target_.kill_in_stop(static_cast<std::uint32_t>(command.size));
      device_.mark("kill");
      device_.fence();
      notes_.shared_from(device_.log_size());
      return start("kill in the stop", true);
    case CommandKind::overlap:
      return overlap();
    case CommandKind::handoff:
      return hand_over();
    case CommandKind::power_cut:
      return power_cut(command);
    default:
      return reformat(static_cast<std::uint32_t>(command.size));
  }
}

/// As the command `kill`, but that the device chose the moment. Restarts may be killed too.
faultfs::Status Recorder::restart_killed() {
  constexpr int restarts_max = 100;
  faultfs::Status status;
  for (int restarts = 0; status && !over_ && killed_by_fault(); ++restarts) {
    if (restarts == restarts_max) {
      return faultfs::fail(
          "a fault kills the cache at each of its starts; allowed: kill-client "
          "with nth=, times=, chance= or mark=");
    }
    kills_seen_ = kills_so_far();
    notes_.killed(device_);
    target_.kill();
    device_.fence();
    notes_.shared_from(device_.log_size());
    status = start("kill by a fault or at a store", true);
  }
  return status;
}

/// By faults of the device, and at stores into shared memory.
std::uint64_t Recorder::kills_so_far() const {
  return (may_be_killed_ ? kills_by_faults(device_) : 0) + target_.kills_at_stores();
}

/// Since this was last dealt with. In memory the process is this one: after a fault all its handles
/// are fenced instead.
bool Recorder::killed_by_fault() const {
  return kills_so_far() > kills_seen_;
}

}  // namespace scenarios
