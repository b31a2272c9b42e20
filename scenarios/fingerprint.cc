// What was seen of a crash state as bytes, each part with its length before it, and their digest.

#include "scenarios/recording.h"

namespace scenarios {

namespace {

constexpr std::uint64_t seed = 0x66696e676572;

class Writer {
 public:
  void number(std::uint64_t value) {
    const auto* bytes = reinterpret_cast<const std::byte*>(&value);  // NOLINT: only hashed
    bytes_.insert(bytes_.end(), bytes, bytes + sizeof(value));
  }
  void text(std::string_view value) {
    number(value.size());
    const auto* bytes = reinterpret_cast<const std::byte*>(value.data());  // NOLINT: only hashed
    bytes_.insert(bytes_.end(), bytes, bytes + value.size());
  }
  void numbers(const std::vector<std::uint32_t>& values) {
    number(values.size());
    const auto* bytes = reinterpret_cast<const std::byte*>(values.data());  // NOLINT: only hashed
    bytes_.insert(bytes_.end(), bytes, bytes + values.size() * sizeof(std::uint32_t));
  }
  [[nodiscard]] const faultfs::Bytes& bytes() const { return bytes_; }

 private:
  faultfs::Bytes bytes_;
};

void add(const Reading& reading, Writer& to) {
  to.number(reading.key);
  to.number(static_cast<std::uint64_t>(reading.kind));
  to.text(reading.detail);
  to.number(reading.header ? 1 : 0);
  if (reading.header) {
    to.number(reading.header->key);
    to.number(reading.header->put);
    to.number(reading.header->update);
    to.number(reading.header->body_bytes);
  }
  to.number(reading.claimed_bytes);
  to.number(reading.offset_bytes);
  to.number(reading.served_bytes);
  to.number(reading.broken_off ? 1 : 0);
  to.number(reading.pieces.size());
  for (const Piece& piece : reading.pieces) {
    to.number(piece.begin);
    to.number(piece.end);
    to.number(static_cast<std::uint64_t>(piece.kind));
    to.number(piece.key);
    to.number(piece.put);
  }
}

void add(const std::vector<Reading>& readings, Writer& to) {
  to.number(readings.size());
  for (const Reading& reading : readings) {
    add(reading, to);
  }
}

void add(const std::optional<Structure>& structure, Writer& to) {
  to.number(structure ? 1 : 0);
  if (!structure) {
    return;
  }
  to.number(structure->entries.size());
  for (const Structure::Entry& entry : structure->entries) {
    to.text(entry.key);
    to.numbers(entry.units);
  }
  to.numbers(structure->free_units);
  to.number(structure->unit_count);
  to.number(structure->held_units);
  to.text(structure->conservation_error);
}

void add(const std::vector<Operation>& traffic, Writer& to) {
  to.number(traffic.size());
  for (const Operation& operation : traffic) {
    to.number(operation.number);
    to.number(static_cast<std::uint64_t>(operation.kind));
    to.number(operation.key);
    to.number(operation.body_bytes);
    to.number(operation.acknowledged ? 1 : 0);
    to.number(operation.ended);
  }
}

}  // namespace

faultfs::Digest fingerprint(const Examination& seen) {
  Writer to;
  to.number(static_cast<std::uint64_t>(seen.started));
  to.text(seen.start_detail);
  to.number(seen.recovery_ended ? 1 : 0);
  to.number(seen.attached ? 1 : 0);
  add(seen.after_recovery, to);
  add(seen.structure, to);
  add(seen.after_reopen, to);
  add(seen.traffic, to);
  add(seen.after_traffic, to);
  add(seen.structure_after_traffic, to);
  add(seen.after_last_restart, to);
  to.number(seen.death ? 1 : 0);
  if (seen.death) {
    to.number(static_cast<std::uint64_t>(seen.death->signal));
    to.number(static_cast<std::uint64_t>(seen.death->exit_code));
    to.text(seen.death->log_tail);
  }
  to.number(seen.gate_refusals.size());
  for (const auto& [gate, count] : seen.gate_refusals) {
    to.text(gate);
    to.number(count);
  }
  return faultfs::digest_of(to.bytes(), seed);
}

}  // namespace scenarios
