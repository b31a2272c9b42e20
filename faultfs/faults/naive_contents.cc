// What is on the disks, and what was done: looked up backwards from the last entry, byte by byte.

#include <algorithm>

#include "faultfs/faults/naive_device.h"

namespace faultfs::naive {

bool FaultyDevice::has(std::size_t entry, Bend bend) const {
  return std::any_of(bent_.begin(), bent_.end(), [&](const Bent& it) {
    return it.entry == entry && it.bend == bend && faults_[it.fault].on;
  });
}

/// Where write `entry` landed.
std::uint64_t FaultyDevice::place(std::size_t entry) const {
  std::uint64_t at = asked_[entry].request.offset_bytes;
  for (const Bent& it : bent_) {
    at = it.entry == entry && it.bend == Bend::move && faults_[it.fault].on ? it.value : at;
  }
  return at;
}

std::byte FaultyDevice::byte(DiskNumber disk,
                             std::uint64_t at,
                             std::size_t entries,
                             bool bent) const {
  while (entries > 0) {
    std::size_t entry = --entries;
    const Asked& it = asked_[entry];
    std::uint64_t begin = bent ? place(entry) : it.request.offset_bytes;
    bool touches = it.kind != EntryKind::mark && it.request.disk == disk && at >= begin &&
                   at - begin < it.request.size_bytes && !(bent && has(entry, Bend::nothing));
    bool is_new = touches && it.kind != EntryKind::flush;
    std::byte value = is_new && it.kind == EntryKind::write ? it.bytes[at - begin] : std::byte{0};
    for (const Bent& bend : bent_) {
      bool concerns = bent && bend.entry == entry && faults_[bend.fault].on;
      if (!concerns) {
        continue;
      }
      if (bend.bend == Bend::go_back && bend.disk == disk && at >= bend.begin && at < bend.end) {
        entries = bend.value;
      }
      if (bend.bend == Bend::tear && touches) {
        is_new = is_new && bend.is_new[at - begin];
      }
      if (bend.bend == Bend::flip && touches && bend.value / 8 == at - begin) {
        value ^= std::byte{1} << (bend.value % 8);
      }
    }
    if (is_new) {
      return value;
    }
  }
  return base_[disk][at];
}

Bytes FaultyDevice::range(
    DiskNumber disk, std::uint64_t at, std::uint64_t size, std::size_t entries, bool bent) const {
  Bytes bytes;
  for (std::uint64_t i = 0; i < size; ++i) {
    bytes.push_back(byte(disk, at + i, entries, bent));
  }
  return bytes;
}

std::vector<Bytes> FaultyDevice::seen() const {
  std::vector<Bytes> disks;
  for (std::size_t disk = 0; disk < base_.size(); ++disk) {
    disks.push_back(
        range(static_cast<DiskNumber>(disk), 0, base_[disk].size(), asked_.size(), true));
  }
  return disks;
}

std::vector<Bytes> FaultyDevice::truth() const {
  std::vector<Bytes> disks;
  for (std::size_t disk = 0; disk < base_.size(); ++disk) {
    disks.push_back(
        range(static_cast<DiskNumber>(disk), 0, base_[disk].size(), asked_.size(), false));
  }
  return disks;
}

WriteLog FaultyDevice::done() const {
  WriteLog log;
  for (std::size_t entry = 0; entry < asked_.size(); ++entry) {
    const Asked& it = asked_[entry];
    const Request& request = it.request;
    auto issued = static_cast<std::uint32_t>(it.issued_after);
    const Bent* back = nullptr;
    for (const Bent& bend : bent_) {
      bool goes_back = bend.entry == entry && bend.bend == Bend::go_back;
      back = goes_back && faults_[bend.fault].on ? &bend : back;
    }
    if (back != nullptr) {
      std::uint64_t end = std::min<std::uint64_t>(back->end, base_[back->disk].size());
      Bytes old = range(back->disk, back->begin, end - back->begin, entry + 1, true);
      log.add_write(back->disk, back->begin, old, false, issued);
      log.settle(log.size());
    } else if (it.kind == EntryKind::mark || has(entry, Bend::nothing)) {
      log.add_mark("");
    } else if (it.kind == EntryKind::flush) {
      log.add_flush(request.disk, issued);
    } else if (it.kind == EntryKind::discard) {
      log.add_discard(request.disk, request.offset_bytes, request.size_bytes, issued);
    } else {
      Bytes bytes = range(request.disk, place(entry), request.size_bytes, entry + 1, true);
      log.add_write(
          request.disk, place(entry), bytes, request.fua && !has(entry, Bend::no_fua), issued);
    }
    bool change = log.entry(log.size()).kind == EntryKind::write ||
                  log.entry(log.size()).kind == EntryKind::discard;
    if (change && has(entry, Bend::forget)) {
      log.drop(log.size());
    }
  }
  return log;
}

}  // namespace faultfs::naive
