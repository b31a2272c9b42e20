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
#include "scenarios/recorder.h"

namespace scenarios {

std::string Recorder::name(const Operation& operation) const {
  const std::string text = fmt::format("{}#{}", kind_name(operation.kind), operation.number);
  return has_key(operation.kind) ? fmt::format("{} {}", text, key_name(operation.key)) : text;
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
  const bool crowd = command.kind == CommandKind::crowd && traits_.crowds;
  const Reply reply = crowd ? target_.begin_crowd(command.key, header, command.size)
                            : target_.begin_put(command.key, header, command.size);
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
    case CommandKind::crowd:
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
    case CommandKind::purge_all:
      if (traits_.purge_all) {
        const std::size_t index = begin_operation(OperationKind::purge_all, 0);
        end_operation(index, target_.purge_all());
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

faultfs::Status Recorder::run_one(const Command& command) {
  if (restarts(command.kind)) {
    return restart(command);
  }
  run_operation(command);
  return {};
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
  kills_seen_ = kills_so_far();  // the target has been recorded before
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
