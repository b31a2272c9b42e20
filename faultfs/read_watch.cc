#include "faultfs/read_watch.h"

#include <algorithm>

#include "faultfs/image.h"

namespace faultfs {

void ReadWatch::arm(std::shared_ptr<const std::vector<SectorPlace>> places) {
  if (places_ != nullptr && places == places_) {
    for (const auto* gone : {&reads_, &overwritten_}) {
      for (const SectorPlace& place : *gone) {
        waited_[place.disk][place.sector] = true;
      }
      waiting_ += gone->size();
    }
    reads_.clear();
    overwritten_.clear();
    return;
  }
  if (places_ != nullptr) {
    for (const SectorPlace& place : *places_) {
      waited_[place.disk][place.sector] = false;
    }
  }
  places_ = std::move(places);
  reads_.clear();
  overwritten_.clear();
  waiting_ = 0;
  if (places_ == nullptr) {
    return;
  }
  for (const SectorPlace& place : *places_) {
    waited_.resize(std::max<std::size_t>(waited_.size(), place.disk + 1U));
    std::vector<bool>& disk = waited_[place.disk];
    disk.resize(std::max<std::size_t>(disk.size(), place.sector + 1));
    waiting_ += disk[place.sector] ? 0 : 1;
    disk[place.sector] = true;
  }
}

/// True when the sector was waited for; it is not any more.
bool ReadWatch::forget(DiskNumber disk, std::uint64_t sector) {
  if (!waited_[disk][sector]) {
    return false;
  }
  waited_[disk][sector] = false;
  --waiting_;
  return true;
}

void ReadWatch::on_read(DiskNumber disk, std::uint64_t offset_bytes, std::uint64_t size_bytes) {
  if (disk >= waited_.size() || size_bytes == 0) {
    return;
  }
  const std::uint64_t end = std::min<std::uint64_t>(
      (offset_bytes + size_bytes - 1) / sector_bytes_ + 1, waited_[disk].size());
  for (std::uint64_t sector = offset_bytes / sector_bytes_; sector < end; ++sector) {
    if (forget(disk, sector)) {
      reads_.push_back({disk, sector});
    }
  }
}

std::uint64_t ReadWatch::quiet_until(DiskNumber disk,
                                     std::uint64_t offset_bytes,
                                     std::uint64_t end_bytes) const {
  const std::uint64_t known = disk < waited_.size() ? waited_[disk].size() : 0;
  const std::uint64_t first_page = offset_bytes / Image::page_bytes;
  for (std::uint64_t sector = first_page * Image::page_bytes / sector_bytes_; sector < known;
       ++sector) {
    const std::uint64_t page_at = sector * sector_bytes_ / Image::page_bytes * Image::page_bytes;
    if (page_at >= end_bytes) {
      break;
    }
    if (waited_[disk][sector]) {
      return std::max(page_at, offset_bytes);
    }
  }
  return end_bytes;
}

void ReadWatch::on_write(DiskNumber disk, std::uint64_t offset_bytes, std::uint64_t size_bytes) {
  if (disk >= waited_.size() || size_bytes == 0) {
    return;
  }
  const std::uint64_t end_bytes = offset_bytes + size_bytes;
  const std::uint64_t end =
      std::min<std::uint64_t>((end_bytes - 1) / sector_bytes_ + 1, waited_[disk].size());
  for (std::uint64_t sector = offset_bytes / sector_bytes_; sector < end; ++sector) {
    const bool whole =
        offset_bytes <= sector * sector_bytes_ && (sector + 1) * sector_bytes_ <= end_bytes;
    if (forget(disk, sector)) {
      (whole ? overwritten_ : reads_).push_back({disk, sector});
    }
  }
}

}  // namespace faultfs
