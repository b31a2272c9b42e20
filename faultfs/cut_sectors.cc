// A sector is settled from its last touch backwards, to the first touch that decides: a durable or
// kept one, or a lost one on a device whose lost sectors hold something else. What covers the
// sector only partly (a tear; a misdirected write, at the place in time of that write) is put on
// top of that, oldest first.

#include "faultfs/cut_sectors.h"

#include <algorithm>
#include <cstring>

#include "faultfs/base/random.h"

namespace faultfs {

namespace {

/// What a plan makes of one sector of one write.
enum class Outcome { kept, lost, torn_inside, noise, elsewhere };

Outcome outcome_of(const Fate& fate, std::uint32_t sector) {
  bool listed = std::binary_search(fate.sectors.begin(), fate.sectors.end(), sector);
  std::uint32_t behind = fate.sectors.empty() ? 0 : fate.sectors.back() + 1;
  switch (fate.kind) {
    case FateKind::kept:
      return Outcome::kept;
    case FateKind::lost:
      return Outcome::lost;
    case FateKind::garbled:
      return listed ? Outcome::noise : Outcome::kept;
    case FateKind::misdirected:
      return Outcome::elsewhere;
    case FateKind::torn:
      break;
  }
  if (fate.tear_bytes > 0 && sector == behind) {
    return Outcome::torn_inside;
  }
  return listed ? Outcome::kept : Outcome::lost;
}

}  // namespace

void fill_with_noise(DiskNumber disk,
                     std::uint64_t sector,
                     std::uint32_t entry,
                     MutableByteView into) {
  Random random(mix(mix(disk, sector), entry));
  for (std::size_t at = 0; at < into.size(); at += sizeof(std::uint64_t)) {
    std::uint64_t bits = random.next();
    std::memcpy(into.data() + at, &bits, std::min(sizeof(bits), into.size() - at));
  }
}

CutSectors::CutSectors(const Facts& facts, const CrashPlan& plan)
    : facts_(facts), plan_(plan), completed_(completed_at(plan.point)), limit_(completed_) {
  if (plan.point.inside && facts.history.sector_count(plan.point.entry) > 0) {
    limit_ = plan.point.entry;
  }
  for (const Fate& fate : plan.fates) {
    if (fate.kind == FateKind::misdirected) {
      misdirected_ = &fate;
      target_begin_ = fate.to_offset_bytes;
      target_end_ = fate.to_offset_bytes + facts.log.entry(fate.write).size_bytes;
    }
  }
}

Touch CutSectors::last_touch(DiskNumber disk, std::uint64_t sector) const {
  Touch touch = facts_.history.last_touch(disk, sector);
  while (touch != no_touch && facts_.history.entry_of(touch) > limit_) {
    touch = facts_.history.before(touch);
  }
  return touch;
}

bool CutSectors::is_durable(std::uint32_t entry) const {
  bool killed = plan_.point.kind == CutKind::kill;
  return (killed ? entry : facts_.history.durable_at(entry)) <= completed_;
}

const Fate* CutSectors::fate_of(std::uint32_t entry) const {
  auto place = std::lower_bound(
      plan_.fates.begin(), plan_.fates.end(), entry, [](const Fate& fate, std::uint32_t number) {
        return fate.write < number;
      });
  return place != plan_.fates.end() && place->write == entry ? &*place : nullptr;
}

void CutSectors::settle(Touch last, Sector& sector) const {
  std::uint64_t sector_bytes = facts_.profile.sector_bytes;
  std::uint64_t begin = sector.number * sector_bytes;
  bool is_target = misdirected_ != nullptr && target_begin_ < begin + sector_bytes &&
                   begin < target_end_ && facts_.log.entry(misdirected_->write).disk == sector.disk;
  std::vector<Overlay> overlays;
  Touch touch = last;
  for (bool decided = false; !decided;) {
    std::uint32_t entry = touch == no_touch ? 0 : facts_.history.entry_of(touch);
    if (is_target && entry <= misdirected_->write) {
      overlays.push_back({no_touch, 0});
      is_target = false;
    }
    decided = decide(touch, sector, overlays);
    touch = decided ? touch : facts_.history.before(touch);
  }
  if (sector.as_base && !overlays.empty()) {
    facts_.base[sector.disk].read(begin, MutableByteView(sector.bytes).first(sector_bytes));
    sector.as_base = false;
  }
  for (auto it = overlays.rbegin(); it != overlays.rend(); ++it) {
    lay_over(*it, sector);
  }
}

/// True when `touch` decides what lies below everything else; it is in `sector` then.
bool CutSectors::decide(Touch touch, Sector& sector, std::vector<Overlay>& overlays) const {
  sector.as_base = touch == no_touch;
  if (touch == no_touch) {
    sector.origin = {Origin::Kind::base, 0};
    return true;
  }
  std::uint32_t entry = facts_.history.entry_of(touch);
  const Fate* fate = is_durable(entry) ? nullptr : fate_of(entry);
  auto index = static_cast<std::uint32_t>(touch - facts_.history.touch_of(entry, 0));
  switch (fate == nullptr ? Outcome::kept : outcome_of(*fate, index)) {
    case Outcome::kept:
      version_of(touch, sector);
      sector.origin = {Origin::Kind::write, entry};
      return true;
    case Outcome::lost:
      return decide_lost(entry, sector);
    case Outcome::noise:
      make_noise(entry, sector);
      return true;
    case Outcome::torn_inside:
      overlays.push_back({touch, fate->tear_bytes});
      return false;
    case Outcome::elsewhere:
      break;
  }
  return false;
}

/// A lost write decides only where it destroyed what was there. A kill destroys nothing.
bool CutSectors::decide_lost(std::uint32_t entry, Sector& sector) const {
  bool destroys =
      plan_.point.kind == CutKind::power_cut && facts_.profile.lost_content != LostContent::old;
  if (destroys && facts_.profile.lost_content == LostContent::garbage) {
    make_noise(entry, sector);
  } else if (destroys && facts_.profile.lost_content == LostContent::foreign) {
    make_foreign(entry, sector);
  } else if (destroys) {
    std::memset(sector.bytes.data(), 0, facts_.profile.sector_bytes);
    sector.origin = {Origin::Kind::zeroed, entry};
  }
  return destroys;
}

void CutSectors::make_noise(std::uint32_t entry, Sector& sector) const {
  fill_with_noise(sector.disk,
                  sector.number,
                  entry,
                  MutableByteView(sector.bytes).first(facts_.profile.sector_bytes));
  sector.origin = {Origin::Kind::garbage, entry};
}

/// What stands where `entry` was lost on a device that then reads another place; `no_touch`:
/// nothing was written elsewhere before it.
Touch CutSectors::foreign_touch(std::uint32_t entry, const Sector& sector) const {
  const Touch count = facts_.history.touch_of(entry, 0);  // of all entries before it
  if (count == 0) {
    return no_touch;
  }
  Random random(mix(mix(sector.disk, sector.number), entry));
  const auto drawn = static_cast<Touch>(random.below(count));
  for (Touch step = 0; step < count; ++step) {
    const Touch touch = drawn >= step ? drawn - step : drawn + count - step;
    const LogEntry& other = facts_.log.entry(facts_.history.entry_of(touch));
    const bool elsewhere =
        other.disk != sector.disk || facts_.history.sector_of(touch) != sector.number;
    if (other.kind == EntryKind::write && elsewhere) {
      return touch;
    }
  }
  return no_touch;
}

void CutSectors::make_foreign(std::uint32_t entry, Sector& sector) const {
  const Touch touch = foreign_touch(entry, sector);
  Sector other;
  if (touch != no_touch) {
    const std::uint32_t from = facts_.history.entry_of(touch);
    other.disk = facts_.log.entry(from).disk;
    other.number = facts_.history.sector_of(touch);
    version_of(touch, other);
    sector.origin = {Origin::Kind::foreign, entry, from};
  } else {
    sector.origin = {Origin::Kind::zeroed, entry};
  }
  sector.bytes = other.bytes;
}

/// Fills in the content a reader saw in the sector right after `touch`.
void CutSectors::version_of(Touch touch, Sector& sector) const {
  MutableByteView bytes = MutableByteView(sector.bytes).first(facts_.profile.sector_bytes);
  std::vector<Touch> partial;
  while (touch != no_touch && !facts_.history.covers(touch)) {
    partial.push_back(touch);
    touch = facts_.history.before(touch);
  }
  if (touch == no_touch) {
    facts_.base[sector.disk].read(sector.number * bytes.size(), bytes);
  } else {
    facts_.history.apply(touch, bytes);
  }
  for (auto it = partial.rbegin(); it != partial.rend(); ++it) {
    facts_.history.apply(*it, bytes);
  }
}

void CutSectors::lay_over(const Overlay& overlay, Sector& sector) const {
  std::uint64_t sector_bytes = facts_.profile.sector_bytes;
  if (overlay.touch != no_touch) {
    Sector version;
    version.disk = sector.disk;
    version.number = sector.number;
    version_of(overlay.touch, version);
    std::memcpy(sector.bytes.data(), version.bytes.data(), overlay.size_bytes);
    sector.origin = {Origin::Kind::torn, facts_.history.entry_of(overlay.touch)};
    return;
  }
  std::uint64_t from = std::max(target_begin_, sector.number * sector_bytes);
  std::uint64_t to = std::min(target_end_, (sector.number + 1) * sector_bytes);
  std::memcpy(sector.bytes.data() + (from - sector.number * sector_bytes),
              facts_.log.data(misdirected_->write).data() + (from - target_begin_),
              to - from);
  bool whole = to - from == sector_bytes;
  sector.origin = {whole ? Origin::Kind::write : Origin::Kind::torn, misdirected_->write};
}

}  // namespace faultfs
