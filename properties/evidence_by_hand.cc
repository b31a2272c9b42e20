#include "properties/evidence_by_hand.h"

#include <algorithm>
#include <array>
#include <stdexcept>

namespace properties {

using scenarios::Operation;
using scenarios::OperationKind;
using scenarios::Piece;
using scenarios::Reading;

EvidenceByHand::EvidenceByHand(std::string_view profile, std::uint64_t capacity_units)
    : recording_(std::make_unique<scenarios::Recording>()) {
  const auto found = faultfs::find_profile(profile);
  if (!found) {
    throw std::invalid_argument(found.error().message);
  }
  recording_->profile = *found;
  recording_->history.unit_bytes = unit_bytes;
  recording_->history.unit_overhead = 128;
  recording_->history.capacity_bytes = capacity_units * unit_bytes;
  recording_->base.emplace_back(1 << 20);
}

std::uint32_t EvidenceByHand::put(scenarios::Key key, std::uint64_t size_bytes) {
  const std::uint32_t number = begin(key, size_bytes);
  finish(number);
  return number;
}

std::uint32_t EvidenceByHand::begin(scenarios::Key key, std::uint64_t size_bytes) {
  Operation operation;
  operation.kind = OperationKind::put;
  operation.key = key;
  operation.body_bytes = size_bytes;
  const std::uint32_t number = add(operation);
  recording_->log.add_mark("begin");
  return number;
}

void EvidenceByHand::finish(std::uint32_t put) {
  write();
  operation(put).ended = now();
  operation(put).acknowledged = true;
}

void EvidenceByHand::abort(std::uint32_t put) {
  write();
  operation(put).ended = now();
  operation(put).aborted = true;
}

std::uint32_t EvidenceByHand::refused_put(scenarios::Key key, std::uint64_t size_bytes) {
  const std::uint32_t number = begin(key, size_bytes);
  operation(number).ended = now();
  return number;
}

std::uint32_t EvidenceByHand::update(scenarios::Key key, scenarios::PutNumber of_put) {
  Operation update;
  update.kind = OperationKind::update;
  update.key = key;
  update.of_put = of_put;
  const std::uint32_t number = add(update);
  finish(number);
  return number;
}

std::uint32_t EvidenceByHand::purge(scenarios::Key key) {
  Operation purge;
  purge.kind = OperationKind::purge;
  purge.key = key;
  const std::uint32_t number = add(purge);
  recording_->log.add_mark("begin");
  finish(number);
  return number;
}

std::uint32_t EvidenceByHand::purge_all() {
  Operation purge;
  purge.kind = OperationKind::purge_all;
  const std::uint32_t number = add(purge);
  recording_->log.add_mark("begin");
  finish(number);
  return number;
}

std::uint32_t EvidenceByHand::sync() {
  Operation sync;
  sync.kind = OperationKind::sync;
  const std::uint32_t number = add(sync);
  recording_->log.add_flush(0, now());
  operation(number).ended = now();
  operation(number).acknowledged = true;
  return number;
}

std::uint32_t EvidenceByHand::clear(std::uint32_t unit) {
  Operation clear;
  clear.kind = OperationKind::clear;
  clear.body_bytes = unit;
  const std::uint32_t number = add(clear);
  finish(number);
  return number;
}

void EvidenceByHand::kill() {
  recording_->log.add_mark("kill");
}

void EvidenceByHand::power_cut() {
  scenarios::History& history = recording_->history;
  const auto cut_model = model();
  const faultfs::CrashPoint point{faultfs::CutKind::power_cut, now(), false};
  for (Operation& operation : history.operations) {
    if (operation.segment + 1 == history.segments) {
      operation.durable_at_cut =
          operation.acknowledged && cut_model->durable_up_to(operation.ended, point);
    }
  }
  history.past.push_back({{point, {}}});
  ++history.segments;
  recording_->log.clear();
  scenarios::Command command;
  command.kind = scenarios::CommandKind::power_cut;
  recording_->commands.push_back(command);
}

KeyAnswers EvidenceByHand::answers(scenarios::Key key,
                                   std::optional<std::uint32_t> entry,
                                   faultfs::CutKind kind) {
  const auto cut_model = model();
  const auto all = allowed_answers(*recording_, *cut_model, {kind, entry.value_or(now()), false});
  const KeyAnswers* found = find_answers(all, key);
  return found == nullptr ? KeyAnswers{} : *found;
}

Reading EvidenceByHand::miss(scenarios::Key key) const {
  Reading reading;
  reading.key = key;
  return reading;
}

Reading EvidenceByHand::hit(scenarios::PutNumber put) const {
  const Operation& operation = recording_->history.operations.at(put - 1);
  Reading reading;
  reading.key = operation.key;
  reading.kind = scenarios::GetReply::Kind::hit;
  reading.header = scenarios::HeaderId{operation.key, put, 0, operation.body_bytes};
  reading.claimed_bytes = operation.body_bytes;
  reading.served_bytes = operation.body_bytes;
  if (operation.body_bytes > 0) {
    reading.pieces = {{0, operation.body_bytes, Piece::Kind::body, operation.key, put}};
  }
  return reading;
}

scenarios::Examination EvidenceByHand::examination(const std::vector<Reading>& readings) const {
  scenarios::Examination seen;
  seen.point = {faultfs::CutKind::power_cut, now(), false};
  seen.after_recovery = readings;
  seen.after_reopen = readings;
  scenarios::Structure sound;
  sound.unit_count = 4;
  sound.free_units = {0, 3};
  sound.entries = {{"k1", {2, 1}}};
  seen.structure = sound;
  seen.structure_after_traffic = sound;
  return seen;
}

Judgement EvidenceByHand::judge(const std::vector<Reading>& readings) {
  return judge(examination(readings));
}

Judgement EvidenceByHand::judge(const scenarios::Examination& seen) {
  const auto cut_model = model();
  return properties::judge({*recording_, *cut_model, seen}, all_properties());
}

std::uint32_t EvidenceByHand::add(Operation operation) {
  scenarios::History& history = recording_->history;
  operation.number = static_cast<std::uint32_t>(history.operations.size() + 1);
  operation.segment = history.segments - 1;
  operation.began = now();
  operation.ended = UINT32_MAX;
  history.operations.push_back(operation);
  return operation.number;
}

Operation& EvidenceByHand::operation(std::uint32_t number) {
  return recording_->history.operations.at(number - 1);
}

void EvidenceByHand::write() {
  const std::array<std::byte, 4096> bytes{};
  recording_->log.add_write(0, 4096, bytes, false, now());
}

std::unique_ptr<faultfs::CrashModel> EvidenceByHand::model() const {
  return std::make_unique<faultfs::CrashModel>(
      recording_->base, recording_->log, recording_->profile);
}

std::vector<std::string> violated(const Judgement& judgement) {
  std::vector<std::string> names;
  for (const Violation& violation : judgement.violations) {
    names.push_back(violation.property);
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

Violation violation(const Judgement& judgement, std::string_view property) {
  for (const Violation& found : judgement.violations) {
    if (found.property == property) {
      return found;
    }
  }
  return {};
}

}  // namespace properties
