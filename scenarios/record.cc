// How a history is run and written down.
// A *segment* is a stretch of the history with one log. A kill, a clean stop and a new slot size
// keep the log going: the device goes on, only handles of the dead process are fenced. A power cut
// ends the segment: of the crash states it may leave, the command says which one becomes the
// contents of the disks, the log begins again, and what was durable is noted in the history, since
// the log that could tell is gone.
// An operation begins before its first mark and ends, answered, before its last one. Between the
// two it is in flight. A put that the client never finished never ends.
// Giving up a put whose last byte was sent says nothing to a cache for which it was complete then:
// such a put stays in flight.
//
// A client that updates a header knows which object it updates, as a cache's client does from the
// answer it revalidates: it asks for the object first, and updates nothing on a miss.

#include <algorithm>

#include <fmt/format.h>

#include "faultfs/base/check.h"
#include "faultfs/base/random.h"
#include "scenarios/cut_style.h"
#include "scenarios/life_notes.h"
#include "scenarios/reading.h"
#include "scenarios/recording.h"

namespace scenarios {

namespace {

/// A put that was begun and not ended.
struct Upload {
  Key key = 0;
  std::size_t operation = 0;  ///< index in the history
  std::uint64_t sent_bytes = 0;
};

class Recorder {
 public:
  Recorder(Target& target, const Rig& rig, Recording& recording)
      : target_(target),
        device_(rig.device),
        recording_(recording),
        history_(recording.history),
        reader_(target, *recording.bodies, recording.history),
        traits_(target.traits()),
        notes_(target, recording) {}

  faultfs::Status run();

 private:
  faultfs::Status run_one(const Command& command);
  void run_operation(const Command& command);
  faultfs::Status restart(const Command& command);

  [[nodiscard]] std::size_t begin_operation(OperationKind kind, Key key);
  bool end_operation(std::size_t index, const Reply& reply);
  bool answered(const Reply& reply, std::string_view what);
  [[nodiscard]] std::string name(const Operation& operation) const;

  void begin_upload(const Command& command);
  void send(Upload& upload, std::uint64_t size_bytes);
  void finish_upload(Key key);
  void abort_upload(Key key);
  [[nodiscard]] Upload* open_upload(Key key);
  void forget_upload(Key key);
  Reading read(const Command& command);
  void update(const Command& command);
  void tick(std::uint64_t count);

  faultfs::Status start(std::string_view after, bool to_end);
  faultfs::Status reformat(std::uint32_t slot_bytes);
  faultfs::Status power_cut(const Command& command);
  void stop_cleanly();
  [[nodiscard]] bool killed_by_fault() const;
  faultfs::Status restart_killed();

  Target& target_;
  faultfs::Device& device_;
  Recording& recording_;
  History& history_;
  Reader reader_;
  Traits traits_;
  LifeNotes notes_;
  std::vector<Upload> uploads_;
  std::uint32_t slot_bytes_ = 0;  ///< 0: as configured
  std::uint32_t starts_ = 0;
  bool may_be_killed_ = false;    ///< a fault kills the cache
  std::uint64_t kills_seen_ = 0;  ///< by faults, and answered with a restart
  bool over_ = false;             ///< the target is gone and did not come back
};

std::string Recorder::name(const Operation& operation) const {
  const std::string text = fmt::format("{}#{}", kind_name(operation.kind), operation.number);
  const bool keyed =
      operation.kind != OperationKind::sync && operation.kind != OperationKind::clear;
  return keyed ? fmt::format("{} {}", text, key_name(operation.key)) : text;
}

std::size_t Recorder::begin_operation(OperationKind kind, Key key) {
  Operation operation;
  operation.number = static_cast<std::uint32_t>(history_.operations.size() + 1);
  operation.kind = kind;
  operation.key = key;
  operation.segment = history_.segments - 1;
  operation.began = device_.log_size();
  operation.ended = UINT32_MAX;
  history_.operations.push_back(operation);
  device_.mark(name(operation) + " begin");
  return history_.operations.size() - 1;
}

/// Notes the answer; true when it was yes.
bool Recorder::end_operation(std::size_t index, const Reply& reply) {
  Operation& operation = history_.operations[index];
  if (killed_by_fault()) {
    return false;  // nobody is there to hear an answer: in flight for ever
  }
  if (!answered(reply, name(operation))) {
    return false;
  }
  if (reply.open) {
    device_.mark(name(operation) + " left open");
    return false;
  }
  operation.ended = device_.log_size();
  operation.acknowledged = reply.outcome == Outcome::done;
  device_.mark(name(operation) + (operation.acknowledged ? " done" : " refused"));
  return operation.acknowledged;
}

/// False when the target is gone; the recording then says how.
bool Recorder::answered(const Reply& reply, std::string_view what) {
  if (reply.outcome != Outcome::lost) {
    return true;
  }
  if (killed_by_fault()) {
    return false;
  }
  over_ = true;
  recording_.death = target_.death();
  recording_.trouble = fmt::format("{}: {}", what, reply.detail);
  return false;
}

Upload* Recorder::open_upload(Key key) {
  const auto found = std::find_if(
      uploads_.begin(), uploads_.end(), [key](const Upload& each) { return each.key == key; });
  return found == uploads_.end() ? nullptr : &*found;
}

void Recorder::forget_upload(Key key) {
  std::erase_if(uploads_, [key](const Upload& each) { return each.key == key; });
}

void Recorder::begin_upload(const Command& command) {
  abort_upload(command.key);
  if (over_) {
    return;
  }
  const std::size_t index = begin_operation(OperationKind::put, command.key);
  Operation& operation = history_.operations[index];
  operation.body_bytes = command.size;
  const std::string header = make_header({command.key, operation.number, 0, command.size});
  const Reply reply = target_.begin_put(command.key, header, command.size);
  if (reply.outcome != Outcome::done) {
    end_operation(index, reply);
    return;
  }
  uploads_.push_back({command.key, index, 0});
}

/// Sends the next bytes. A refusal ends the upload.
void Recorder::send(Upload& upload, std::uint64_t size_bytes) {
  const Operation& operation = history_.operations[upload.operation];
  const std::uint64_t count = std::min(size_bytes, operation.body_bytes - upload.sent_bytes);
  if (count == 0) {
    return;
  }
  const faultfs::ByteView body =
      recording_.bodies->body({operation.key, operation.number, operation.body_bytes});
  const Reply reply = target_.append(operation.key, body.subspan(upload.sent_bytes, count));
  upload.sent_bytes += count;
  if (reply.outcome == Outcome::done) {
    return;
  }
  const std::size_t index = upload.operation;
  const Key key = upload.key;
  forget_upload(key);
  const bool gone =
      reply.outcome == Outcome::refused && target_.abort_put(key).outcome == Outcome::lost;
  end_operation(index, gone ? Reply{Outcome::lost, "no answer to an abort"} : reply);
}

void Recorder::finish_upload(Key key) {
  if (Upload* upload = open_upload(key); upload != nullptr) {
    send(*upload, UINT64_MAX);
  }
  if (const Upload* upload = open_upload(key); upload != nullptr) {
    const std::size_t index = upload->operation;
    forget_upload(key);
    end_operation(index, target_.finish_put(key));
  }
}

void Recorder::abort_upload(Key key) {
  const Upload* upload = open_upload(key);
  if (upload == nullptr) {
    return;
  }
  Operation& operation = history_.operations[upload->operation];
  const bool whole = traits_.whole_at_last_byte && upload->sent_bytes == operation.body_bytes;
  const Reply reply = target_.abort_put(key);
  forget_upload(key);
  operation.aborted = !whole;
  if (!killed_by_fault() && answered(reply, name(operation)) && !whole) {
    operation.ended = device_.log_size();
    device_.mark(name(operation) + " aborted");
  }
}

Reading Recorder::read(const Command& command) {
  const std::uint64_t size_bytes = asks_whole(command) ? UINT64_MAX : command.size;
  const bool ranges = traits_.range;
  Reading reading =
      reader_.read(command.key, ranges ? command.offset : 0, ranges ? size_bytes : UINT64_MAX);
  if (reading.kind == GetReply::Kind::failed && (reading.hung || target_.death())) {
    answered({Outcome::lost, reading.detail}, "get " + key_name(command.key));
  }
  recording_.readings.push_back(reading);
  recording_.reading_at.push_back(device_.log_size());
  return reading;
}

void Recorder::update(const Command& command) {
  if (!traits_.header_update) {
    return;
  }
  Command get;
  get.key = command.key;
  const Reading reading = read(get);
  if (over_ || !reading.header || reading.header->key != command.key) {
    return;
  }
  const std::size_t index = begin_operation(OperationKind::update, command.key);
  Operation& operation = history_.operations[index];
  operation.of_put = reading.header->put;
  operation.header_bytes = static_cast<std::uint32_t>(command.size);
  const HeaderId id{command.key, operation.of_put, operation.number, reading.header->body_bytes};
  end_operation(index, target_.update_header(command.key, make_header(id, operation.header_bytes)));
}

void Recorder::tick(std::uint64_t count) {
  bool more = traits_.sliced_rebuild;
  for (std::uint64_t i = 0; i < count && more && !over_; ++i) {
    answered(target_.tick(more), "tick");
  }
}

void Recorder::run_operation(const Command& command) {
  switch (command.kind) {
    case CommandKind::put:
      begin_upload(command);
      finish_upload(command.key);
      break;
    case CommandKind::begin:
      begin_upload(command);
      if (Upload* upload = open_upload(command.key); upload != nullptr) {
        send(*upload, command.offset);
      }
      break;
    case CommandKind::more:
      if (Upload* upload = open_upload(command.key); upload != nullptr) {
        send(*upload, command.size);
      }
      break;
    case CommandKind::finish:
      finish_upload(command.key);
      break;
    case CommandKind::abort:
      abort_upload(command.key);
      break;
    case CommandKind::get:
      read(command);
      break;
    case CommandKind::purge:
      if (traits_.purge) {
        const std::size_t index = begin_operation(OperationKind::purge, command.key);
        end_operation(index, target_.purge(command.key));
      }
      break;
    case CommandKind::update:
      update(command);
      break;
    case CommandKind::sync:
      if (traits_.sync) {
        const std::size_t index = begin_operation(OperationKind::sync, 0);
        end_operation(index, target_.sync());
      }
      break;
    case CommandKind::tick:
      tick(command.size);
      break;
    case CommandKind::shm:
      target_.order_shared(command.word);
      break;
    default:
      break;
  }
}

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
  if (over_) {
    return {};
  }
  slot_bytes_ = slot_bytes;
  faultfs::Status started = start("reformat", true);
  if (started && !over_) {
    end_operation(index, {});
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
      return over_ ? faultfs::Status{} : start("stop", true);
    case CommandKind::kill:
    case CommandKind::kill_sliced:
      device_.mark("kill");
      notes_.ending();
      target_.kill();
      device_.fence();
      notes_.shared_from(device_.log_size());
      return start("kill", command.kind == CommandKind::kill || !traits_.sliced_rebuild);
    case CommandKind::power_cut:
      return power_cut(command);
    default:
      return reformat(static_cast<std::uint32_t>(command.size));
  }
}

faultfs::Status Recorder::run_one(const Command& command) {
  switch (command.kind) {
    case CommandKind::stop:
    case CommandKind::kill:
    case CommandKind::kill_sliced:
    case CommandKind::power_cut:
    case CommandKind::reformat:
      return restart(command);
    default:
      run_operation(command);
      return {};
  }
}

/// A fault killed the cache since this was last dealt with. In memory the process is this one: then
/// all its handles are fenced instead.
bool Recorder::killed_by_fault() const {
  return may_be_killed_ && kills_by_faults(device_) > kills_seen_;
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
    kills_seen_ = kills_by_faults(device_);
    device_.mark("kill");
    target_.kill();
    device_.fence();
    notes_.shared_from(device_.log_size());
    status = start("kill by a fault", true);
  }
  return status;
}

faultfs::Status Recorder::run() {
  const Geometry first = geometry(recording_.config);
  history_.capacity_bytes = std::uint64_t{first.units} * first.unit_bytes;
  history_.unit_bytes = first.unit_bytes;
  history_.unit_overhead = first.unit_overhead;
  device_.record(true);
  faultfs::Status status =
      power_on_with(device_, recording_.base, recording_.faults, FaultsFor::history);
  may_be_killed_ = std::ranges::any_of(recording_.faults, kills);
  status = status ? start("blank disks", true) : status;
  status = status ? restart_killed() : status;
  for (std::size_t i = 0; i < recording_.commands.size() && status && !over_; ++i) {
    status = run_one(recording_.commands[i]);
    status = status ? restart_killed() : status;
  }
  recording_.log = device_.log();
  recording_.fault_states = device_.faults();
  notes_.ending();
  target_.kill();
  return status;
}

}  // namespace

// NOLINTNEXTLINE(readability-function-size): which cache, on what, how set up, what it does.
faultfs::Result<Recording> record(Target& target,
                                  const Rig& rig,
                                  const TargetConfig& config,
                                  std::uint64_t seed,
                                  const std::vector<Command>& commands,
                                  const Faults& faults) {
  Recording recording;
  recording.config = config;
  recording.profile = rig.device.profile();
  recording.seed = seed;
  recording.commands = commands;
  recording.faults = faults;
  recording.bodies = std::make_shared<BodyLibrary>();
  for (const faultfs::DiskSpec& disk : rig.device.disks()) {
    recording.base.emplace_back(disk.size_bytes);
  }
  if (const faultfs::Status status = Recorder(target, rig, recording).run(); !status) {
    return tl::unexpected(status.error());
  }
  return recording;
}

}  // namespace scenarios
