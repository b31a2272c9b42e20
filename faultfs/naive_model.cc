#include "faultfs/naive_model.h"

#include <algorithm>
#include <utility>

#include "faultfs/base/random.h"

namespace faultfs::naive {

namespace {

bool is_listed(const Fate& fate, std::uint64_t sector) {
  return std::find(fate.sectors.begin(), fate.sectors.end(), sector) != fate.sectors.end();
}

void copy(const Bytes& from, Bytes& to, std::uint64_t begin, std::uint64_t end) {
  for (std::uint64_t at = begin; at < end; ++at) {
    to[at] = from[at];
  }
}

}  // namespace

std::uint32_t Model::completed(const CrashPoint& point) const {
  return point.inside ? point.entry - 1 : point.entry;
}

std::vector<std::uint64_t> Model::sectors(std::uint32_t number) const {
  const LogEntry& entry = log.entry(number);
  std::set<std::uint64_t> touched;
  bool changes = entry.kind == EntryKind::write || entry.kind == EntryKind::discard;
  for (std::uint64_t at = 0; changes && at < entry.size_bytes; ++at) {
    touched.insert((entry.offset_bytes + at) / profile.sector_bytes);
  }
  return {touched.begin(), touched.end()};
}

std::vector<Bytes> Model::readers_view(std::uint32_t number) const {
  std::vector<Bytes> disks = base;
  for (std::uint32_t n = 1; n <= number; ++n) {
    const LogEntry& entry = log.entry(n);
    for (std::uint64_t at = 0; at < entry.size_bytes; ++at) {
      if (entry.kind == EntryKind::write) {
        disks[entry.disk][entry.offset_bytes + at] = log.data(n)[at];
      } else if (entry.kind == EntryKind::discard) {
        disks[entry.disk][entry.offset_bytes + at] = std::byte{0};
      }
    }
  }
  return disks;
}

bool Model::durable(std::uint32_t number, const CrashPoint& point) const {
  const LogEntry& entry = log.entry(number);
  if (number > completed(point)) {
    return false;
  }
  if (point.kind == CutKind::kill || !profile.volatile_write_cache || entry.on_medium) {
    return true;
  }
  if (entry.kind == EntryKind::write && entry.fua && profile.fua_honoured) {
    return true;
  }
  for (std::uint32_t n = 1; profile.flush_honoured && !entry.dropped && n <= completed(point);
       ++n) {
    const LogEntry& flush = log.entry(n);
    if (flush.kind == EntryKind::flush && flush.disk == entry.disk &&
        flush.issued_after >= number) {
      return true;
    }
  }
  return false;
}

bool Model::open(std::uint32_t number, const CrashPoint& point) const {
  if (point.inside && number == point.entry) {
    return !sectors(number).empty();
  }
  if (number > completed(point)) {
    return false;
  }
  for (std::uint64_t sector : sectors(number)) {
    bool settled = false;
    for (std::uint32_t n = number; n <= completed(point); ++n) {
      std::vector<std::uint64_t> others = sectors(n);
      bool touches = log.entry(n).disk == log.entry(number).disk &&
                     std::find(others.begin(), others.end(), sector) != others.end();
      settled = settled || (touches && durable(n, point));
    }
    if (!settled) {
      return true;
    }
  }
  return false;
}

bool Model::legal(const CrashPlan& plan) const {
  const CrashPoint& point = plan.point;
  if (point.entry > log.size() || (point.inside && point.entry == 0)) {
    return false;
  }
  std::size_t misdirected = 0;
  for (std::size_t i = 0; i < plan.fates.size(); ++i) {
    bool ascends = i == 0 || plan.fates[i - 1].write < plan.fates[i].write;
    misdirected += plan.fates[i].kind == FateKind::misdirected ? 1 : 0;
    if (!ascends || !legal_fate(plan.fates[i], point)) {
      return false;
    }
  }
  return misdirected <= 1;
}

bool Model::legal_fate(const Fate& fate, const CrashPoint& point) const {
  if (fate.write == 0 || fate.write > log.size() || fate.write > point.entry) {
    return false;
  }
  EntryKind kind = log.entry(fate.write).kind;
  if (kind != EntryKind::write && kind != EntryKind::discard) {
    return false;
  }
  bool killed = point.kind == CutKind::kill;
  switch (fate.kind) {
    case FateKind::kept:
      return true;
    case FateKind::lost:
      return open(fate.write, point);
    case FateKind::torn:
      return open(fate.write, point) && legal_sectors(fate, point);
    case FateKind::garbled:
      return !killed && profile.lost_content == LostContent::garbage && open(fate.write, point) &&
             legal_sectors(fate, point);
    case FateKind::misdirected:
      return !killed && open(fate.write, point) && legal_target(fate);
  }
  return false;
}

bool Model::legal_target(const Fate& fate) const {
  const LogEntry& entry = log.entry(fate.write);
  std::uint64_t disk_bytes = base[entry.disk].size();
  return profile.misdirects && entry.kind == EntryKind::write &&
         fate.to_offset_bytes % profile.sector_bytes == 0 &&
         fate.to_offset_bytes != entry.offset_bytes && fate.to_offset_bytes <= disk_bytes &&
         fate.to_offset_bytes + entry.size_bytes <= disk_bytes;
}

bool Model::legal_sectors(const Fate& fate, const CrashPoint& point) const {
  std::vector<std::uint64_t> touched = sectors(fate.write);
  bool killed = point.kind == CutKind::kill;
  for (std::size_t i = 0; i < fate.sectors.size(); ++i) {
    bool ascends = i == 0 || fate.sectors[i - 1] < fate.sectors[i];
    bool is_prefix = fate.sectors[i] == i;
    if (!ascends || fate.sectors[i] >= touched.size() || (killed && !is_prefix)) {
      return false;
    }
  }
  std::uint64_t unit = (killed ? 4096 : profile.atomic_write_bytes) / profile.sector_bytes;
  for (std::size_t i = 0; i < touched.size(); ++i) {
    for (std::size_t j = 0; j < touched.size(); ++j) {
      bool together = touched[i] / unit == touched[j] / unit;
      if (together && is_listed(fate, i) != is_listed(fate, j)) {
        return false;
      }
    }
  }
  if (fate.kind != FateKind::torn || fate.tear_bytes == 0) {
    return fate.tear_bytes == 0;
  }
  std::uint64_t torn = fate.sectors.empty() ? 0 : fate.sectors.back() + 1;
  return !killed && profile.tears_inside_sector && fate.tear_bytes < profile.sector_bytes &&
         torn < touched.size();
}

std::vector<Bytes> Model::build(const CrashPlan& plan) const {
  std::vector<Bytes> disks = base;
  for (std::uint32_t n = 1; n <= plan.point.entry; ++n) {
    std::vector<Bytes> seen = readers_view(n);
    auto fate = std::find_if(
        plan.fates.begin(), plan.fates.end(), [n](const Fate& other) { return other.write == n; });
    Fate kept;
    kept.write = n;
    bool decided = durable(n, plan.point) || fate == plan.fates.end();
    apply(decided ? kept : *fate, plan.point, seen, disks);
  }
  return disks;
}

void Model::apply(const Fate& fate,
                  const CrashPoint& point,
                  const std::vector<Bytes>& seen,
                  std::vector<Bytes>& disks) const {
  const LogEntry& entry = log.entry(fate.write);
  std::vector<std::uint64_t> touched = sectors(fate.write);
  std::uint64_t torn = fate.sectors.empty() ? 0 : fate.sectors.back() + 1;
  for (std::uint64_t i = 0; i < touched.size() && fate.kind != FateKind::misdirected; ++i) {
    std::uint64_t begin = touched[i] * profile.sector_bytes;
    std::uint64_t end = begin + profile.sector_bytes;
    if (fate.kind == FateKind::torn && fate.tear_bytes > 0 && i == torn) {
      copy(seen[entry.disk], disks[entry.disk], begin, begin + fate.tear_bytes);
    } else if (fate.kind == FateKind::garbled && is_listed(fate, i)) {
      lose(fate.write, touched[i], LostContent::garbage, disks[entry.disk]);
    } else if (fate.kind == FateKind::lost ||
               (fate.kind == FateKind::torn && !is_listed(fate, i))) {
      bool destroys = point.kind == CutKind::power_cut && profile.lost_content != LostContent::old;
      if (destroys) {
        lose(fate.write, touched[i], profile.lost_content, disks[entry.disk]);
      }
    } else {
      copy(seen[entry.disk], disks[entry.disk], begin, end);
    }
  }
  for (std::uint64_t at = 0; fate.kind == FateKind::misdirected && at < entry.size_bytes; ++at) {
    disks[entry.disk][fate.to_offset_bytes + at] = log.data(fate.write)[at];
  }
}

void Model::lose(std::uint32_t number, std::uint64_t sector, LostContent what, Bytes& disk) const {
  Bytes content(profile.sector_bytes);
  if (what == LostContent::garbage) {
    fill_with_noise(log.entry(number).disk, sector, number, content);
  } else if (what == LostContent::foreign) {
    content = foreign(number, sector);
  }
  for (std::uint64_t at = 0; at < content.size(); ++at) {
    disk[sector * profile.sector_bytes + at] = content[at];
  }
}

/// What an earlier write gave another sector; zeros where there was none.
Bytes Model::foreign(std::uint32_t number, std::uint64_t sector) const {
  const DiskNumber disk = log.entry(number).disk;
  std::vector<std::pair<std::uint32_t, std::uint64_t>> touched;
  for (std::uint32_t n = 1; n < number; ++n) {
    for (const std::uint64_t other : sectors(n)) {
      touched.emplace_back(n, other);
    }
  }
  Bytes content(profile.sector_bytes);
  if (touched.empty()) {
    return content;
  }
  std::uint64_t at = Random(mix(mix(disk, sector), number)).below(touched.size());
  for (std::size_t tries = 0; tries < touched.size(); ++tries) {
    const auto [n, other] = touched[at];
    const bool elsewhere = log.entry(n).disk != disk || other != sector;
    if (log.entry(n).kind == EntryKind::write && elsewhere) {
      const Bytes seen = readers_view(n)[log.entry(n).disk];
      for (std::uint64_t i = 0; i < content.size(); ++i) {
        content[i] = seen[other * content.size() + i];
      }
      return content;
    }
    at = at == 0 ? touched.size() - 1 : at - 1;
  }
  return content;
}

}  // namespace faultfs::naive
