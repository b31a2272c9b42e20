#include "faultfs/state_digest.h"

#include <xxhash.h>

#include <algorithm>
#include <array>

#include "faultfs/base/check.h"
#include "faultfs/base/random.h"

namespace faultfs {

namespace {

bool changes_disk(const LogEntry& entry) {
  const bool changes = entry.kind == EntryKind::write || entry.kind == EntryKind::discard;
  return changes && entry.size_bytes > 0;
}

template <typename Visit>
void each_sector(const LogEntry& entry, std::uint32_t sector_bytes, const Visit& visit) {
  const std::uint64_t last = (entry.offset_bytes + entry.size_bytes - 1) / sector_bytes;
  for (std::uint64_t sector = entry.offset_bytes / sector_bytes; sector <= last; ++sector) {
    visit(SectorPlace{entry.disk, sector});
  }
}

}  // namespace

Digest digest_of(ByteView bytes, std::uint64_t seed) {
  const XXH128_hash_t hash = XXH3_128bits_withSeed(bytes.data(), bytes.size(), seed);
  return {hash.low64, hash.high64};
}

std::vector<SectorPlace> touched_sectors(const WriteLog& log, std::uint32_t sector_bytes) {
  std::vector<SectorPlace> places;
  for (std::uint32_t number = 1; number <= log.size(); ++number) {
    if (changes_disk(log.entry(number))) {
      each_sector(log.entry(number), sector_bytes, [&](const SectorPlace& place) {
        places.push_back(place);
      });
    }
  }
  std::ranges::sort(places);
  places.erase(std::unique(places.begin(), places.end()), places.end());
  return places;
}

LogDigests::LogDigests(const std::vector<Image>& base,
                       const WriteLog& log,
                       std::uint32_t sector_bytes)
    : sector_bytes_(sector_bytes) {
  places_ = std::make_shared<const std::vector<SectorPlace>>(touched_sectors(log, sector_bytes));
  touched_ = places_->size();
  versions_.reserve(places_->size());
  for (const SectorPlace& place : *places_) {
    versions_.push_back({{0, read(place, base)}});
  }
  changes_.resize(log.size());
  std::vector<Image> disks = base;
  for (std::uint32_t number = 1; number <= log.size(); ++number) {
    const LogEntry& entry = log.entry(number);
    if (!changes_disk(entry)) {
      continue;
    }
    if (entry.kind == EntryKind::write) {
      disks[entry.disk].write(entry.offset_bytes, log.data(number));
    } else {
      disks[entry.disk].write_zeros(entry.offset_bytes, entry.size_bytes);
    }
    each_sector(entry, sector_bytes_, [&](const SectorPlace& place) {
      const std::size_t index = index_of(place);
      const Digest now = read(place, disks);
      Digest by = now;
      by -= versions_[index].back().digest;
      versions_[index].push_back({number, now});
      changes_[number - 1].push_back({static_cast<std::uint32_t>(index), by});
    });
  }
}

/// The index of `place`, or the number of places where it is none.
std::size_t LogDigests::index_of(const SectorPlace& place) const {
  const auto end = places_->begin() + static_cast<std::ptrdiff_t>(touched_);
  const auto at = std::lower_bound(places_->begin(), end, place);
  if (at != end && *at == place) {
    return static_cast<std::size_t>(at - places_->begin());
  }
  const auto other = extended_.find(place);
  return other == extended_.end() ? places_->size() : other->second;
}

bool LogDigests::extend(const std::vector<SectorPlace>& others, const std::vector<Image>& base) {
  std::vector<SectorPlace> places;
  for (const SectorPlace& place : others) {
    if (index_of(place) < places_->size()) {
      continue;
    }
    if (places.empty()) {
      places = *places_;
    }
    if (extended_.emplace(place, places.size()).second) {
      places.push_back(place);
      versions_.push_back({{0, read(place, base)}});
    }
  }
  if (places.empty()) {
    return false;
  }
  places_ = std::make_shared<const std::vector<SectorPlace>>(std::move(places));
  return true;
}

Digest LogDigests::read(const SectorPlace& place, const std::vector<Image>& disks) const {
  std::array<std::byte, Image::page_bytes> bytes;  // NOLINT: filled by the read
  const MutableByteView sector = MutableByteView(bytes).first(sector_bytes_);
  disks[place.disk].read(place.sector * sector_bytes_, sector);
  return digest_of(sector, mix(place.disk, place.sector));
}

std::optional<LogDigests::State> LogDigests::state(std::uint32_t limit,
                                                   std::vector<SectorPlace> deviating,
                                                   const std::vector<Image>& disks) const {
  State state{limit, {}};
  std::ranges::sort(deviating);
  deviating.erase(std::unique(deviating.begin(), deviating.end()), deviating.end());
  state.deviations.reserve(deviating.size());
  for (const SectorPlace& place : deviating) {
    const std::size_t index = index_of(place);
    if (index == places_->size()) {
      return std::nullopt;
    }
    const auto& versions = versions_[index];
    const auto later = std::ranges::upper_bound(versions, limit, {}, &Version::entry);
    Digest by = read(place, disks);
    by -= std::prev(later)->digest;
    if (by != Digest{}) {
      state.deviations.push_back({static_cast<std::uint32_t>(index), by});
    }
  }
  return state;
}

LogDigests::Part LogDigests::part(const std::vector<SectorPlace>& places) const {
  Part part;
  part.holds.resize(places_->size());
  for (const SectorPlace& place : places) {
    const std::size_t index = index_of(place);
    POWERCUT_CHECK(index < places_->size(), "sector {} is no place of the log", place.sector);
    part.holds[index] = true;
  }
  part.kept.reserve(changes_.size() + 1);
  Digest sum;
  part.kept.push_back(sum);
  for (const auto& changes : changes_) {
    for (const Change& change : changes) {
      if (part.holds[change.place]) {
        sum += change.by;
      }
    }
    part.kept.push_back(sum);
  }
  return part;
}

Digest LogDigests::digest(const Part& part, const State& state) {
  Digest sum = part.kept[state.limit];
  for (const State::Deviation& deviation : state.deviations) {
    if (part.holds[deviation.place]) {
      sum += deviation.by;
    }
  }
  return sum;
}

}  // namespace faultfs
