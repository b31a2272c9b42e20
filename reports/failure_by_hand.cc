#include "reports/failure_by_hand.h"

#include <algorithm>

#include <fmt/format.h>

namespace reports {
namespace {

using faultfs::Fate;
using faultfs::FateKind;
using runner::FailureCase;
using scenarios::Key;
using scenarios::Operation;
using scenarios::OperationKind;
using scenarios::Piece;

constexpr std::uint64_t slot_bytes = 16384;
constexpr std::uint64_t header_bytes = 128;
constexpr std::uint64_t payload_bytes = slot_bytes - header_bytes;

/// Records what a store with slots of 16 KiB would have done.
class Story {
 public:
  explicit Story(FailureCase& failure, std::string_view profile)
      : recording_(failure.recording), log_(failure.recording.log) {
    recording_.profile = faultfs::find_profile(profile).value();
    recording_.base.emplace_back(1 << 20);
    failure.file.profile = recording_.profile.name;
  }

  std::size_t begin(OperationKind kind, Key key, std::uint64_t size) {
    Operation operation;
    operation.number = static_cast<std::uint32_t>(recording_.history.operations.size() + 1);
    operation.kind = kind;
    operation.key = key;
    operation.body_bytes = size;
    operation.segment = recording_.history.segments - 1;
    operation.began = log_.size();
    operation.ended = UINT32_MAX;
    recording_.history.operations.push_back(operation);
    log_.add_mark(name(operation) + " begin");
    return operation.number - 1;
  }

  void end(std::size_t index) {
    Operation& operation = recording_.history.operations[index];
    operation.ended = log_.size();
    operation.acknowledged = true;
    log_.add_mark(name(operation) + " done");
  }

  /// Writes the body of a put into slots from `offset` on.
  void write_slots(std::size_t index, std::uint64_t offset) {
    const Operation& put = recording_.history.operations[index];
    const faultfs::Bytes body = scenarios::make_body(put.key, put.number, put.body_bytes);
    for (std::uint64_t at = 0; at < body.size(); at += payload_bytes, offset += slot_bytes) {
      const std::uint64_t size = std::min<std::uint64_t>(payload_bytes, body.size() - at);
      faultfs::Bytes slot(header_bytes + size, std::byte{0xA5});
      std::copy_n(
          body.begin() + static_cast<std::ptrdiff_t>(at), size, slot.begin() + header_bytes);
      log_.add_write(0, offset, slot, false, log_.size());
    }
  }

  std::uint32_t put(Key key, std::uint64_t size, std::uint64_t offset) {
    const std::size_t index = begin(OperationKind::put, key, size);
    write_slots(index, offset);
    end(index);
    return static_cast<std::uint32_t>(index + 1);
  }

  void free_header(std::uint64_t offset) {
    log_.add_write(0, offset, faultfs::Bytes(512, std::byte{0x5A}), false, log_.size());
  }

  void flush() { log_.add_flush(0, log_.size()); }

  void sync() {
    const std::size_t index = begin(OperationKind::sync, 0, 0);
    flush();
    end(index);
  }

  static std::string name(const Operation& operation) {
    const char* kind = operation.kind == OperationKind::put     ? "put"
                       : operation.kind == OperationKind::purge ? "purge"
                                                                : "sync";
    return operation.kind == OperationKind::sync
               ? fmt::format("{}#{}", kind, operation.number)
               : fmt::format(
                     "{}#{} {}", kind, operation.number, scenarios::key_name(operation.key));
  }

  scenarios::Recording& recording_;
  faultfs::WriteLog& log_;
};

scenarios::Reading hit(Key key, std::uint32_t put, std::uint64_t size) {
  scenarios::Reading reading;
  reading.key = key;
  reading.kind = scenarios::GetReply::Kind::hit;
  reading.header = scenarios::HeaderId{key, put, 0, size};
  reading.claimed_bytes = reading.served_bytes = size;
  reading.pieces = {{0, size, Piece::Kind::body, key, put}};
  return reading;
}

scenarios::Reading miss(Key key) {
  scenarios::Reading reading;
  reading.key = key;
  return reading;
}

void finish(FailureCase& failure) {
  failure.file.seed = 0x5d1c09e2;
  failure.directory = fmt::format("run/0007/case-{:04}", failure.number);
  failure.files = {"trace.txt",
                   "plan.txt",
                   "writes.log",
                   "before.img",
                   "crash.img",
                   "history.jsonl",
                   "target.log"};
  failure.device_used = "memory";
  failure.confirmed_on = "confirmed on fuse";
  failure.commit = "3f2a91c (clean)";
  failure.replays = 3;
  failure.reproduced = 3;
}

}  // namespace

FailureCase overwrite_failure(std::string_view profile) {
  FailureCase failure;
  failure.number = 41;
  failure.file.scenario = "overwrite_during_wrap";
  Story story(failure, profile);
  const std::uint64_t size = 2 * payload_bytes;
  story.put(7, size, 0x40000);
  story.sync();
  const std::size_t second = story.begin(OperationKind::put, 7, size);
  story.write_slots(second, 0x40000);

  const std::uint32_t cut = failure.recording.log.size();
  failure.file.plan.point = {faultfs::CutKind::power_cut, cut, false};
  failure.file.plan.fates = {{cut - 1, FateKind::lost, {}, 0, 0}, {cut, FateKind::kept, {}, 0, 0}};
  failure.file.commands.resize(3);
  failure.commands_before = 24;
  failure.fates_before = 9;
  failure.each_fate_needed = true;
  failure.order_first = cut - 1;
  failure.order_later = cut;
  failure.order_states = 480;
  scenarios::Reading mixed = hit(7, 1, size);
  mixed.pieces = {{0, payload_bytes, Piece::Kind::body, 7, 1},
                  {payload_bytes, size, Piece::Kind::body, 7, 3}};
  failure.seen.point = failure.file.plan.point;
  failure.seen.after_recovery = {mixed};
  failure.violation = {"no_hodgepodge",
                       "A hit returns the bytes of one PUT, whole.",
                       "GET k7 -> hit, 32512: [0, 16256) from put#1, [16256, 32512) from put#3",
                       "miss | put#1 | put#3",
                       7,
                       "after recovery"};
  finish(failure);
  return failure;
}

FailureCase purge_failure() {
  FailureCase failure;
  failure.number = 2;
  failure.file.config.preset = "squid";
  failure.file.config.without_gates = {"durable_invalidation"};
  Story story(failure, "disk_512_write_through");
  story.put(1, 1000, 0x8000);
  failure.recording.history.operations[0].durable_at_cut = true;
  failure.recording.history.past.push_back({{{faultfs::CutKind::power_cut, 3, false}, {}}});
  failure.recording.history.segments = 2;
  failure.recording.log.clear();
  story.log_.add_mark("start 2");
  story.log_.add_write(0, 8192, faultfs::Bytes(512, std::byte{1}), true, 1);
  story.log_.add_mark("ready 2");
  story.put(2, 3000, 0xC000);
  story.log_.add_mark("kill");
  story.log_.add_mark("start 3");
  story.log_.add_mark("ready 3");
  const std::size_t purge = story.begin(OperationKind::purge, 1, 0);
  story.free_header(0x8000);
  story.flush();
  story.end(purge);

  const std::uint32_t cut = failure.recording.log.size();
  failure.file.plan.point = {faultfs::CutKind::kill, cut, false};
  failure.file.commands.resize(5);
  failure.commands_before = 5;
  failure.seen.point = failure.file.plan.point;
  failure.seen.after_recovery = {miss(1), hit(2, 2, 3000)};
  failure.seen.after_reopen = {hit(1, 1, 1000), hit(2, 2, 3000)};
  failure.violation = {"purged_stays_purged",
                       "What was purged, or cleared by a reformat, never comes back.",
                       "GET k1 -> hit, 1000: [0, 1000) from put#1; purged by purge#3",
                       "miss",
                       1,
                       "after reopen"};
  failure.others = {failure.violation};
  failure.others[0].property = "recovery_stable";
  finish(failure);
  failure.reproduced = 2;
  failure.confirmed_on = "not confirmed on fuse: /dev/fuse does not open";
  return failure;
}

FailureCase structure_failure() {
  FailureCase failure;
  failure.number = 1205;
  failure.file.scenario = "evictions_and_updates_in_a_full_store_of_thirteen_slot_objects";
  failure.file.config.without_gates = {
      "slot_header_checksum", "slot_payload_checksum", "chain_loop"};
  Story story(failure, "ssd_4k_misdirecting");
  for (Key key = 0; key < 20; ++key) {
    story.put(key, 1000, 0x4000 + key * slot_bytes);
  }
  story.sync();
  for (Key key = 0; key < 20; ++key) {
    story.put(key, 12000, 0x4000 + key * slot_bytes);
    story.free_header(0x80000 + key * slot_bytes);
  }

  auto& plan = failure.file.plan;
  const std::uint32_t cut = failure.recording.log.size();
  plan.point = {faultfs::CutKind::power_cut, cut, true};
  std::vector<std::uint32_t> writes;
  for (std::uint32_t entry = cut; entry > 0 && writes.size() < 39; --entry) {
    const faultfs::LogEntry& logged = failure.recording.log.entry(entry);
    if (logged.kind == faultfs::EntryKind::write && logged.size_bytes > 8192) {
      writes.push_back(entry);
    }
  }
  const std::uint32_t oldest = writes.back();
  plan.fates = {{oldest, FateKind::misdirected, {}, 0, 0xF0000},
                {writes.at(2), FateKind::torn, {0, 2}, 0, 0},
                {writes.at(1), FateKind::lost, {}, 0, 0}};
  failure.file.commands.resize(41);
  failure.commands_before = 60;
  failure.fates_before = 3;
  failure.seen.point = plan.point;
  failure.seen.after_recovery = {miss(0)};
  failure.seen.after_reopen = {miss(0)};
  Operation traffic;
  traffic.number = 42;
  traffic.key = 20;
  traffic.body_bytes = 70000;
  traffic.acknowledged = true;
  failure.seen.traffic = {traffic};
  failure.seen.after_traffic = {miss(0)};
  failure.violation = {
      "slots_conserved",
      "Each slot is used exactly once: free, in one chain, or held.",
      "12 free + 40 in chains + 0 held are not the store's 63 slots, which is a long "
      "way of saying that eleven of them are gone",
      "each slot free, in one chain, or held; all of them counted",
      0,
      "after traffic"};
  finish(failure);
  return failure;
}

runner::RunSummary full_summary() {
  runner::RunSummary summary;
  summary.info.title = "engine rock hardened on 11 device profiles";
  summary.info.seed = 0x5d1c09e2;
  summary.info.commit = "3f2a91c (clean)";
  summary.info.out = "run/0007";
  summary.info.command_line = "powercut run --time 60s --seed 0x5d1c09e2";
  summary.seconds = 41.3;
  summary.states = 12480;
  summary.histories = 320;
  summary.held = 12471;
  summary.violated_states = 3;
  summary.undecided_states = 6;
  summary.causes = 1;
  summary.properties = {{"no_hodgepodge", {12477, 3, 0}}, {"recall_floor", {12474, 0, 6}}};
  summary.properties_by_profile = {
      {"ssd_4k_volatile", {{"no_hodgepodge", {6237, 3, 0}}, {"recall_floor", {6240, 0, 0}}}},
      {"ssd_512_volatile", {{"no_hodgepodge", {6240, 0, 0}}, {"recall_floor", {6234, 0, 6}}}}};
  summary.undecided_why = {{"recall_floor: a get failed: no answer in 5 s", 6},
                           {"squid is not installed: apt-get install squid", 2}};
  summary.gate_refusals = {{"slot_payload_checksum", 812}, {"tail_required", 44}};
  summary.states_by_profile = {{"ssd_4k_volatile", 6240}, {"ssd_512_volatile", 6240}};
  summary.not_explored = {
      "power cuts with more than 2 deviations in epochs with more than 12 volatile writes (sampled "
      "1 "
      "in 8)",
      "device profiles ssd_4k_lying_flush, ssd_512_lying_flush"};
  summary.notes = {"memory device only: /dev/fuse does not open"};
  summary.exit_code = 1;
  return summary;
}

}  // namespace reports
