#include "runner/explorers/draw.h"

#include <algorithm>

namespace runner::explorers {
namespace {

constexpr std::uint64_t page_bytes = 4096;
constexpr std::uint64_t large_write_bytes = 64 << 10, far_bytes = 1 << 20;

faultfs::Fate whole(const faultfs::VolatileWrite& write, faultfs::FateKind kind) {
  faultfs::Fate fate;
  fate.write = write.entry;
  fate.kind = kind;
  return fate;
}

/// The first sectors of `write` reached the medium, and the one behind them in part.
faultfs::Fate tear_inside(const faultfs::VolatileWrite& write,
                          std::uint32_t sector_bytes,
                          faultfs::Random& random) {
  faultfs::Fate fate = whole(write, faultfs::FateKind::torn);
  const auto whole_sectors = static_cast<std::uint32_t>(random.below(write.sector_count));
  for (std::uint32_t sector = 0; sector < whole_sectors; ++sector) {
    fate.sectors.push_back(sector);
  }
  // A multiple of eight: buses and flash pages move words, and headers are made of them.
  fate.tear_bytes = 8 + 8 * static_cast<std::uint32_t>(random.below(sector_bytes / 8 - 1));
  return fate;
}

faultfs::Fate garble(const faultfs::VolatileWrite& write, faultfs::Random& random) {
  faultfs::Fate fate = whole(write, faultfs::FateKind::garbled);
  fate.sectors.push_back(static_cast<std::uint32_t>(random.below(write.sector_count)));
  return fate;
}

}  // namespace

std::vector<std::uint32_t> crash_entries(const faultfs::WriteLog& log) {
  std::vector<std::uint32_t> entries;
  for (std::uint32_t number = 1; number <= log.size(); ++number) {
    // Behind the last mark, the client knows that its last operation is done.
    if (number == log.size() || log.entry(number).kind != faultfs::EntryKind::mark) {
      entries.push_back(number);
    }
  }
  return entries;
}

std::vector<std::uint32_t> wrap_entries(const faultfs::WriteLog& log) {
  std::vector<std::uint32_t> entries;
  std::uint64_t last_end = 0;
  for (std::uint32_t number = 1; number <= log.size(); ++number) {
    const auto& entry = log.entry(number);
    if (entry.kind != faultfs::EntryKind::write || entry.size_bytes < large_write_bytes) {
      continue;
    }
    if (entry.offset_bytes + far_bytes <= last_end) {
      entries.push_back(number);
    }
    last_end = entry.offset_bytes + entry.size_bytes;
  }
  return entries;
}

void lose(faultfs::CrashPlan& plan, std::uint32_t write) {
  faultfs::Fate fate;
  fate.write = write;
  fate.kind = faultfs::FateKind::lost;
  plan.fates.push_back(fate);
}

faultfs::Fate by_units(const faultfs::VolatileWrite& write, const std::vector<bool>& keep) {
  faultfs::Fate fate = whole(write, faultfs::FateKind::torn);
  for (std::size_t unit = 0; unit < keep.size(); ++unit) {
    if (!keep[unit]) {
      continue;
    }
    const std::uint32_t end =
        unit + 1 < write.unit_begins.size() ? write.unit_begins[unit + 1] : write.sector_count;
    for (std::uint32_t sector = write.unit_begins[unit]; sector < end; ++sector) {
      fate.sectors.push_back(sector);
    }
  }
  if (fate.sectors.empty()) {
    return whole(write, faultfs::FateKind::lost);
  }
  return fate.sectors.size() == write.sector_count ? whole(write, faultfs::FateKind::kept) : fate;
}

std::uint32_t pages_inside(const faultfs::WriteLog& log, std::uint32_t entry) {
  const auto& request = log.entry(entry);
  if (request.kind != faultfs::EntryKind::write || request.size_bytes == 0) {
    return 0;
  }
  const std::uint64_t first = request.offset_bytes / page_bytes;
  const std::uint64_t last = (request.offset_bytes + request.size_bytes - 1) / page_bytes;
  return static_cast<std::uint32_t>(last - first);
}

faultfs::CrashPlan kill_inside(const faultfs::CrashModel& model,
                               std::uint32_t entry,
                               std::uint32_t pages) {
  faultfs::CrashPlan plan;
  plan.point = {faultfs::CutKind::kill, entry, true};
  const auto& request = model.log().entry(entry);
  const std::uint64_t sector_bytes = model.profile().sector_bytes;
  const std::uint64_t first_sector = request.offset_bytes / sector_bytes;
  const std::uint64_t boundary = (request.offset_bytes / page_bytes + pages) * page_bytes;
  faultfs::Fate fate;
  fate.write = entry;
  fate.kind = pages == 0 ? faultfs::FateKind::lost : faultfs::FateKind::torn;
  for (std::uint64_t sector = first_sector; pages > 0 && sector * sector_bytes < boundary;
       ++sector) {
    fate.sectors.push_back(static_cast<std::uint32_t>(sector - first_sector));
  }
  plan.fates.push_back(fate);
  return plan;
}

faultfs::Fate damage(const faultfs::CrashModel& model,
                     const faultfs::VolatileWrite& write,
                     const DamageKinds& kinds,
                     faultfs::Random& random) {
  const auto& profile = model.profile();
  if (kinds.sector_tears && profile.tears_inside_sector && random.chance(1, 3)) {
    return tear_inside(write, profile.sector_bytes, random);
  }
  if (kinds.noise && profile.lost_content == faultfs::LostContent::garbage && random.chance(1, 8)) {
    return garble(write, random);
  }
  if (!kinds.unit_tears || write.unit_begins.size() < 2 || random.chance(1, 2)) {
    return whole(write, faultfs::FateKind::lost);
  }
  std::vector<bool> keep(write.unit_begins.size());
  for (std::size_t unit = 0; unit < keep.size(); ++unit) {
    keep[unit] = random.chance(1, 2);
  }
  return by_units(write, keep);
}

}  // namespace runner::explorers
