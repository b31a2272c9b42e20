// Which crash plans a device may show, and the sentences that refuse the others. The rules are
// those of the prose at the head of crash_model.cc; what is legal on a kill is a short list of its
// own.

#include <algorithm>

#include <fmt/format.h>

#include "faultfs/crash_model.h"
#include "faultfs/cut_sectors.h"

namespace faultfs {

namespace {

std::string_view participle(FateKind kind) {
  switch (kind) {
    case FateKind::kept:
      return "kept";
    case FateKind::lost:
      return "lost";
    case FateKind::torn:
      return "torn";
    case FateKind::garbled:
      return "garbled";
    case FateKind::misdirected:
      return "misdirected";
  }
  return "";
}

bool is_listed(const Fate& fate, std::uint32_t sector) {
  return std::binary_search(fate.sectors.begin(), fate.sectors.end(), sector);
}

}  // namespace

Status CrashModel::check(const CrashPlan& plan) const {
  Status placed = check_point(plan.point);
  if (!placed) {
    return placed;
  }
  const Fate* misdirected = nullptr;
  std::uint32_t previous = 0;
  for (const Fate& fate : plan.fates) {
    if (fate.write <= previous && previous != 0) {
      return fail(fmt::format("{} comes after {} in the plan; allowed: each write once, ascending",
                              entry_name(fate.write),
                              entry_name(previous)));
    }
    previous = fate.write;
    Status legal = check_fate(fate, plan.point);
    if (!legal) {
      return legal;
    }
    if (fate.kind == FateKind::misdirected && misdirected != nullptr) {
      return fail(fmt::format("{} and {} are both misdirected; allowed: one of a plan",
                              entry_name(misdirected->write),
                              entry_name(fate.write)));
    }
    misdirected = fate.kind == FateKind::misdirected ? &fate : misdirected;
  }
  return {};
}

Status CrashModel::check_point(const CrashPoint& point) const {
  if (point.entry > log_.size()) {
    return fail(fmt::format(
        "\"{}\" lies behind the log, which ends with {}", to_text(point), entry_name(log_.size())));
  }
  if (point.inside && point.entry == 0) {
    return fail(fmt::format("\"{}\": w0000 is the start of the log, nothing is in flight there",
                            to_text(point)));
  }
  return {};
}

Status CrashModel::check_fate(const Fate& fate, const CrashPoint& point) const {
  if (fate.write == 0 || fate.write > log_.size()) {
    return fail(fmt::format("{} is not in the log, which ends with {}",
                            entry_name(fate.write),
                            entry_name(log_.size())));
  }
  EntryKind kind = log_.entry(fate.write).kind;
  if (kind == EntryKind::flush || kind == EntryKind::mark) {
    return fail(fmt::format("{} is a {}; only writes and discards have fates",
                            entry_name(fate.write),
                            kind == EntryKind::flush ? "FLUSH" : "mark"));
  }
  if (fate.write > point.entry) {
    return fail(fmt::format(
        "{} had not happened at \"{}\"; it has no fate", entry_name(fate.write), to_text(point)));
  }
  if (fate.kind == FateKind::kept) {
    return {};
  }
  for (Status legal : {check_open(fate, point), check_possible(fate)}) {
    if (!legal) {
      return legal;
    }
  }
  return fate.kind == FateKind::lost ? Status() : check_sectors(fate, point);
}

/// The write must be volatile at the crash point.
Status CrashModel::check_open(const Fate& fate, const CrashPoint& point) const {
  std::string name = entry_name(fate.write);
  bool killed = point.kind == CutKind::kill;
  bool destroys = fate.kind == FateKind::garbled || fate.kind == FateKind::misdirected;
  std::string so = fmt::format("it cannot be {} on {}", participle(fate.kind), profile_.name);
  if (killed && fate.write <= completed_at(point)) {
    return fail(
        fmt::format("{} had completed before the kill, and the device lives on; {}", name, so));
  }
  if (killed && (destroys || fate.tear_bytes > 0)) {
    return fail(fmt::format(
        "a kill does not harm the device; {} can be kept, lost, or torn at a page", name));
  }
  std::uint32_t since = durable_since(fate.write, point);
  if (since == 0) {
    return {};
  }
  if (since == fate.write) {
    return fail(profile_.volatile_write_cache
                    ? fmt::format("{} was a FUA write, durable when it completed; {}", name, so)
                    : fmt::format("{} was durable when it completed; {}", name, so));
  }
  if (log_.entry(since).kind == EntryKind::flush) {
    return fail(fmt::format("{} was made durable by FLUSH {}; {}", name, entry_name(since), so));
  }
  return fail(fmt::format("{} lies under later writes that are durable since FUA write {}; {}",
                          name,
                          entry_name(since),
                          so));
}

/// The device must be one that does such a thing.
Status CrashModel::check_possible(const Fate& fate) const {
  std::string name = entry_name(fate.write);
  if (fate.kind == FateKind::garbled && profile_.lost_content != LostContent::garbage) {
    return fail(fmt::format(
        "{} cannot be garbled on {}; only a device whose lost sectors hold garbage does that",
        name,
        profile_.name));
  }
  if (fate.kind == FateKind::misdirected) {
    return check_target(fate);
  }
  return {};
}

Status CrashModel::check_target(const Fate& fate) const {
  const LogEntry& entry = log_.entry(fate.write);
  std::string name = entry_name(fate.write);
  if (!profile_.misdirects) {
    return fail(fmt::format("{} cannot be misdirected on {}; that device writes to the right place",
                            name,
                            profile_.name));
  }
  if (entry.kind == EntryKind::discard) {
    return fail(fmt::format("{} is a discard, which carries no bytes to misdirect", name));
  }
  if (fate.to_offset_bytes % profile_.sector_bytes != 0) {
    return fail(
        fmt::format("{} cannot be misdirected to 0x{:x}; allowed: multiples of the sector, {}",
                    name,
                    fate.to_offset_bytes,
                    profile_.sector_bytes));
  }
  if (fate.to_offset_bytes == entry.offset_bytes) {
    return fail(
        fmt::format("0x{:x} is the right place of {}; to be misdirected it must go to another",
                    fate.to_offset_bytes,
                    name));
  }
  std::uint64_t disk_bytes = base_[entry.disk].size_bytes();
  if (fate.to_offset_bytes > disk_bytes || entry.size_bytes > disk_bytes - fate.to_offset_bytes) {
    return fail(fmt::format(
        "{} cannot be misdirected to 0x{:x}; its {} bytes do not fit there on a disk of {}",
        name,
        fate.to_offset_bytes,
        entry.size_bytes,
        size_text(disk_bytes)));
  }
  return {};
}

/// The sectors listed must be the write's own, whole units, and on a kill the first ones.
Status CrashModel::check_sectors(const Fate& fate, const CrashPoint& point) const {
  std::string name = entry_name(fate.write);
  std::uint32_t count = history_.sector_count(fate.write);
  if (fate.kind == FateKind::misdirected) {
    return {};
  }
  bool ascending =
      std::adjacent_find(fate.sectors.begin(), fate.sectors.end(), std::greater_equal<>()) ==
      fate.sectors.end();
  if (!ascending) {
    return fail(
        fmt::format("the sectors of {} are not ascending; allowed: each once, ascending", name));
  }
  if (!fate.sectors.empty() && fate.sectors.back() >= count) {
    return fail(fmt::format("{} touches {} sectors, counted from 0; it has no sector {}",
                            name,
                            count,
                            fate.sectors.back()));
  }
  bool killed = point.kind == CutKind::kill;
  for (std::uint32_t sector = 1; sector < count; ++sector) {
    std::uint64_t offset_bytes =
        (history_.first_sector(fate.write) + sector) * profile_.sector_bytes;
    bool begins_unit = offset_bytes % unit_bytes(point) == 0;
    if (is_listed(fate, sector) == is_listed(fate, sector - 1)) {
      continue;
    }
    if (!begins_unit) {
      return fail(fmt::format("sectors {} and {} of {} lie in one {} of {}; they share their fate",
                              sector - 1,
                              sector,
                              name,
                              killed ? "page" : "atomic write unit",
                              size_text(unit_bytes(point))));
    }
    if (killed && is_listed(fate, sector)) {
      return fail(
          fmt::format("a kill cuts {} short; sector {} cannot be kept when sector {} is not",
                      name,
                      sector,
                      sector - 1));
    }
  }
  return check_tear(fate);
}

Status CrashModel::check_tear(const Fate& fate) const {
  if (fate.tear_bytes == 0) {
    return {};
  }
  std::string name = entry_name(fate.write);
  if (!profile_.tears_inside_sector) {
    return fail(fmt::format(
        "{} cannot be torn inside a sector on {}; allowed: whole sectors", name, profile_.name));
  }
  if (fate.tear_bytes >= profile_.sector_bytes) {
    return fail(fmt::format("{} cannot be torn after {} bytes of a sector; allowed: 1 to {}",
                            name,
                            fate.tear_bytes,
                            profile_.sector_bytes - 1));
  }
  std::uint32_t torn = fate.sectors.empty() ? 0 : fate.sectors.back() + 1;
  if (torn >= history_.sector_count(fate.write)) {
    return fail(fmt::format("{} cannot be torn inside sector {}; its sectors are 0 to {}",
                            name,
                            torn,
                            history_.sector_count(fate.write) - 1));
  }
  return {};
}

}  // namespace faultfs
