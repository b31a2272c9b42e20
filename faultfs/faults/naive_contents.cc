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

/// The entries of the first `entries` that have anything to do with those bytes, and the bends of
/// each that is on. Looked up for a stretch of bytes at once only because it is the same for all.
std::vector<FaultyDevice::Effect> FaultyDevice::effects(const Stretch& stretch, bool bent) const {
  std::vector<Effect> effects;
  for (std::size_t entry = 0; entry < stretch.entries; ++entry) {
    const Asked& it = asked_[entry];
    Effect effect{entry, bent ? place(entry) : it.request.offset_bytes, {}};
    bool goes_back = false;
    for (const Bent& bend : bent_) {
      if (bent && bend.entry == entry && faults_[bend.fault].on) {
        effect.bends.push_back(&bend);
        goes_back = goes_back || bend.bend == Bend::go_back;
      }
    }
    bool touches = it.kind != EntryKind::mark && it.request.disk == stretch.disk &&
                   effect.begin < stretch.at + stretch.size &&
                   effect.begin + it.request.size_bytes > stretch.at;
    if (touches || goes_back) {
      effects.push_back(std::move(effect));
    }
  }
  return effects;
}

std::byte FaultyDevice::byte(const Stretch& stretch,
                             std::uint64_t at,
                             const std::vector<Effect>& effects) const {
  std::size_t entries = stretch.entries;
  for (auto effect = effects.rbegin(); effect != effects.rend(); ++effect) {
    if (effect->entry >= entries) {
      continue;  // the medium went back behind it
    }
    const Asked& it = asked_[effect->entry];
    std::uint64_t begin = effect->begin;
    bool is_new = (it.kind == EntryKind::write || it.kind == EntryKind::discard) &&
                  it.request.disk == stretch.disk && at >= begin &&
                  at - begin < it.request.size_bytes;
    std::byte value = is_new && it.kind == EntryKind::write ? it.bytes[at - begin] : std::byte{0};
    bool touches = is_new;
    for (const Bent* bend : effect->bends) {
      if (bend->bend == Bend::nothing) {
        is_new = touches = false;
      } else if (bend->bend == Bend::go_back) {
        bool here = bend->disk == stretch.disk && at >= bend->begin && at < bend->end;
        entries = here ? bend->value : entries;
      } else if (bend->bend == Bend::tear && touches) {
        is_new = is_new && bend->is_new[at - begin];
      } else if (bend->bend == Bend::flip && touches && bend->value / 8 == at - begin) {
        value ^= std::byte{1} << (bend->value % 8);
      }
    }
    if (is_new) {
      return value;
    }
  }
  return base_[stretch.disk][at];
}

Bytes FaultyDevice::range(
    DiskNumber disk, std::uint64_t at, std::uint64_t size, std::size_t entries, bool bent) const {
  const Stretch stretch{disk, at, size, entries};
  const std::vector<Effect> effects = this->effects(stretch, bent);
  Bytes bytes(size);
  for (std::uint64_t i = 0; i < size; ++i) {
    bytes[i] = byte(stretch, at + i, effects);
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
