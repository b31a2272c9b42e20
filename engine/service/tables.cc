#include "engine/service/tables.h"

#include <array>

namespace engine::service {
namespace {

using Counts = std::map<std::string, std::uint64_t>;

void write_counts(const Counts& counts, FrameWriter& writer) {
  writer.u32(static_cast<std::uint32_t>(counts.size()));
  for (const auto& [name, count] : counts) {
    writer.text(name);
    writer.u64(count);
  }
}

Counts read_counts(FrameReader& reader) {
  Counts counts;
  const std::uint32_t size = reader.u32();
  for (std::uint32_t n = 0; n < size && reader.whole(); ++n) {
    const std::string name(reader.text());
    counts[name] = reader.u64();
  }
  return counts;
}

std::array<std::uint64_t*, 8> fields(RecoveryReport& report) {
  return {&report.units_total,
          &report.scanned,
          &report.empty,
          &report.loaded,
          &report.refused,
          &report.superseded,
          &report.entries,
          &report.ticks};
}

}  // namespace

void write_inspection(const Inspection& inspection, FrameWriter& writer) {
  writer.u32(static_cast<std::uint32_t>(inspection.units.size()));
  for (const UnitUse& unit : inspection.units) {
    writer.u8(static_cast<std::uint8_t>(unit.kind));
    writer.u64(unit.entry);
  }
  writer.u32(static_cast<std::uint32_t>(inspection.entries.size()));
  for (const EntryUse& entry : inspection.entries) {
    writer.text(entry.key);
    writer.u64(entry.write_id);
    writer.u64(entry.body_bytes);
    writer.u32(static_cast<std::uint32_t>(entry.units.size()));
    for (const std::uint32_t unit : entry.units) {
      writer.u32(unit);
    }
    writer.u8(entry.through ? 1 : 0);
    writer.u32(entry.through.value_or(0));
  }
  writer.u32(static_cast<std::uint32_t>(inspection.disks.size()));
  for (const DiskUse& disk : inspection.disks) {
    writer.text(disk.name);
    writer.u32(disk.volume);
    writer.u32(disk.first_unit);
    writer.u32(disk.unit_count);
    writer.text(disk.trouble);
  }
}

Inspection read_inspection(FrameReader& reader) {
  Inspection inspection;
  const std::uint32_t units = reader.u32();
  for (std::uint32_t n = 0; n < units && reader.whole(); ++n) {
    const auto kind = static_cast<UnitUse::Kind>(reader.u8());
    inspection.units.push_back({kind, reader.u64()});
  }
  const std::uint32_t entries = reader.u32();
  for (std::uint32_t n = 0; n < entries && reader.whole(); ++n) {
    EntryUse& entry = inspection.entries.emplace_back();
    entry.key = reader.text();
    entry.write_id = reader.u64();
    entry.body_bytes = reader.u64();
    const std::uint32_t chain = reader.u32();
    for (std::uint32_t place = 0; place < chain && reader.whole(); ++place) {
      entry.units.push_back(reader.u32());
    }
    const bool through = reader.u8() != 0;
    const std::uint32_t unit = reader.u32();
    entry.through = through ? std::optional(unit) : std::nullopt;
  }
  const std::uint32_t disks = reader.u32();
  for (std::uint32_t n = 0; n < disks && reader.whole(); ++n) {
    DiskUse& disk = inspection.disks.emplace_back();
    disk.name = reader.text();
    disk.volume = reader.u32();
    disk.first_unit = reader.u32();
    disk.unit_count = reader.u32();
    disk.trouble = reader.text();
  }
  return inspection;
}

void write_stats(const Stats& stats, FrameWriter& writer) {
  write_counts(stats.refusals, writer);
  write_counts(stats.counters, writer);
  writer.u8(stats.recovery.finished ? 1 : 0);
  RecoveryReport report = stats.recovery;
  for (const std::uint64_t* field : fields(report)) {
    writer.u64(*field);
  }
}

Stats read_stats(FrameReader& reader) {
  Stats stats;
  stats.refusals = read_counts(reader);
  stats.counters = read_counts(reader);
  stats.recovery.finished = reader.u8() != 0;
  for (std::uint64_t* field : fields(stats.recovery)) {
    *field = reader.u64();
  }
  return stats;
}

}  // namespace engine::service
