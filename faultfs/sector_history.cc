// Which write touched which sector when, and from when on a write could no longer be lost.
//
// A write is durable from the first of these entries on:
//   itself    when the device writes through, or it was a FUA write and FUA is honoured, or it says
//             what the medium went back to by a fault
//   a flush   of its disk, when flushes are honoured, that was issued after the write had completed
//             (issued_after ≥ its number) and has returned; but none for a write that a failed
//             flush dropped
// A write under a later durable one is settled, too: each of its sectors holds the later content,
// into which its own bytes were merged. (w1 writes a sector, w2 with FUA overwrites 512 bytes of
// it: from w2 on, w1 can no longer be lost either.)

#include "faultfs/sector_history.h"

#include <algorithm>
#include <cstring>
#include <deque>

#include "faultfs/base/check.h"

namespace faultfs {

namespace {

bool touches_sectors(const LogEntry& entry) {
  bool changes = entry.kind == EntryKind::write || entry.kind == EntryKind::discard;
  return changes && entry.size_bytes > 0;
}

}  // namespace

SectorHistory::SectorHistory(const std::vector<Image>& base,
                             const WriteLog& log,
                             const DeviceProfile& profile)
    : log_(log), sector_bytes_(profile.sector_bytes) {
  link_touches(base);
  find_durable(profile, base.size());
  find_settled();
}

std::uint64_t SectorHistory::first_sector(std::uint32_t number) const {
  return log_.entry(number).offset_bytes / sector_bytes_;
}

Touch SectorHistory::last_touch(DiskNumber disk, std::uint64_t sector) const {
  return last_touch_[disk][sector];
}

void SectorHistory::link_touches(const std::vector<Image>& base) {
  for (const Image& disk : base) {
    last_touch_.emplace_back(disk.size_bytes() / sector_bytes_, no_touch);
  }
  first_touch_.push_back(0);
  for (std::uint32_t number = 1; number <= log_.size(); ++number) {
    const LogEntry& entry = log_.entry(number);
    if (touches_sectors(entry)) {
      link_entry(number, entry);
    }
    first_touch_.push_back(static_cast<std::uint32_t>(touches_.size()));
  }
}

void SectorHistory::link_entry(std::uint32_t number, const LogEntry& entry) {
  std::uint64_t last = (entry.offset_bytes + entry.size_bytes - 1) / sector_bytes_;
  for (std::uint64_t sector = first_sector(number); sector <= last; ++sector) {
    auto touch = static_cast<Touch>(touches_.size());
    Touch& previous = last_touch_[entry.disk][sector];
    if (previous != no_touch) {
      touches_[previous].after = touch;
    }
    touches_.push_back({number, previous, no_touch});
    previous = touch;
  }
}

void SectorHistory::find_durable(const DeviceProfile& profile, std::size_t disks) {
  durable_at_.assign(log_.size(), never);
  std::vector<std::deque<std::uint32_t>> waiting(disks);
  for (std::uint32_t number = 1; number <= log_.size(); ++number) {
    const LogEntry& entry = log_.entry(number);
    bool by_itself =
        !profile.volatile_write_cache || entry.on_medium || (entry.fua && profile.fua_honoured);
    if (!touches_sectors(entry) || by_itself) {
      durable_at_[number - 1] = number;
    } else if (!entry.dropped) {
      waiting[entry.disk].push_back(number);
    }
    bool makes_durable = entry.kind == EntryKind::flush && profile.flush_honoured;
    auto& covered = waiting[entry.disk];
    while (makes_durable && !covered.empty() && covered.front() <= entry.issued_after) {
      durable_at_[covered.front() - 1] = number;
      covered.pop_front();
    }
  }
}

void SectorHistory::find_settled() {
  std::vector<std::uint32_t> sector_settled(touches_.size(), never);
  settled_at_ = durable_at_;
  for (std::uint32_t number = log_.size(); number >= 1; --number) {
    std::uint32_t latest = 0;
    for (Touch touch = first_touch_[number - 1]; touch < first_touch_[number]; ++touch) {
      Touch later = after(touch);
      std::uint32_t under = later == no_touch ? never : sector_settled[later];
      sector_settled[touch] = std::min(durable_at_[number - 1], under);
      latest = std::max(latest, sector_settled[touch]);
    }
    if (latest != 0) {
      settled_at_[number - 1] = latest;
    }
  }
  std::uint32_t first = 1;
  for (std::uint32_t completed = 0; completed <= log_.size(); ++completed) {
    while (first <= completed && settled_at_[first - 1] <= completed) {
      ++first;
    }
    first_unsettled_.push_back(first);
  }
}

void SectorHistory::apply(Touch touch, MutableByteView sector) const {
  std::uint32_t number = entry_of(touch);
  const LogEntry& entry = log_.entry(number);
  std::uint64_t sector_begin =
      (first_sector(number) + touch - first_touch_[number - 1]) * sector_bytes_;
  std::uint64_t begin = std::max(entry.offset_bytes, sector_begin);
  std::uint64_t end = std::min(entry.offset_bytes + entry.size_bytes, sector_begin + sector_bytes_);
  MutableByteView to = sector.subspan(begin - sector_begin, end - begin);
  if (entry.kind == EntryKind::discard) {
    std::memset(to.data(), 0, to.size());
  } else {
    std::memcpy(to.data(), log_.data(number).data() + (begin - entry.offset_bytes), to.size());
  }
}

bool SectorHistory::covers(Touch touch) const {
  std::uint32_t number = entry_of(touch);
  const LogEntry& entry = log_.entry(number);
  std::uint64_t sector_begin =
      (first_sector(number) + touch - first_touch_[number - 1]) * sector_bytes_;
  return entry.offset_bytes <= sector_begin &&
         entry.offset_bytes + entry.size_bytes >= sector_begin + sector_bytes_;
}

}  // namespace faultfs
