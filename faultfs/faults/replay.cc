// Every entry of the log that was asked becomes exactly one of what was done, with the same number:
//
//   ignored      a mark that says so
//   not_fua      the same write without FUA
//   moved        the same write elsewhere
//   flipped      the same write with another bit
//   torn         a write of what is then there: new bytes in the pieces kept, old ones between
//   dropped      the same write, which no flush covers
//   rolled_back  (of a mark) a write of the old version that is on the medium by itself
//
// Several changes of one entry are done in the order in which the faults made them, tears last.

#include "faultfs/faults/replay.h"

#include <algorithm>

#include <fmt/format.h>

#include "faultfs/base/check.h"

namespace faultfs::faults {

namespace {

bool has(const std::vector<const Change*>& changes, ChangeKind kind) {
  return std::any_of(changes.begin(), changes.end(), [kind](const Change* change) {
    return change->kind == kind;
  });
}

std::string not_done(std::uint32_t number, const LogEntry& entry) {
  switch (entry.kind) {
    case EntryKind::flush:
      return fmt::format("{} not done: FLUSH of disk {}", entry_name(number), entry.disk);
    case EntryKind::discard:
    case EntryKind::write:
      return fmt::format("{} not done: {} of {} bytes at 0x{:x} of disk {}",
                         entry_name(number),
                         entry.kind == EntryKind::write ? "write" : "discard",
                         entry.size_bytes,
                         entry.offset_bytes,
                         entry.disk);
    case EntryKind::mark:
      break;
  }
  return "";
}

}  // namespace

Replay::Replay(std::vector<Image> disks, const WriteLog& asked, std::uint32_t known_since)
    : disks_(std::move(disks)) {
  done_.keep_in_memory(asked.kept_in_memory());
  for (std::uint32_t number = 1; number <= known_since; ++number) {
    done_.add_like(asked, number);
  }
}

void Replay::keep_version(std::uint32_t number) {
  POWERCUT_CHECK(number >= done_.size(), "{} < {}", number, done_.size());
  std::vector<Image>& version = versions_[number];
  if (number == done_.size()) {
    version = disks_;
  }
}

void Replay::step(const WriteLog& asked, const std::vector<const Change*>& changes) {
  std::uint32_t number = done_.size() + 1;
  const LogEntry& entry = asked.entry(number);
  if (entry.kind == EntryKind::mark) {
    step_mark(asked, changes);
  } else if (has(changes, ChangeKind::ignored)) {
    done_.add_mark(not_done(number, entry));
  } else if (entry.kind == EntryKind::write) {
    step_write(asked, changes);
  } else {
    done_.add_like(asked, number);
    if (entry.kind == EntryKind::discard) {
      disks_[entry.disk].write_zeros(entry.offset_bytes, entry.size_bytes);
    }
  }
  if (has(changes, ChangeKind::dropped)) {
    done_.drop(number);
  }
  if (auto version = versions_.find(number); version != versions_.end()) {
    version->second = disks_;
  }
}

void Replay::step_write(const WriteLog& asked, const std::vector<const Change*>& changes) {
  std::uint32_t number = done_.size() + 1;
  LogEntry entry = asked.entry(number);
  Bytes bytes(asked.data(number).begin(), asked.data(number).end());
  for (const Change* change : changes) {
    if (change->kind == ChangeKind::moved) {
      entry.offset_bytes = change->value;
    } else if (change->kind == ChangeKind::flipped && change->value / 8 < bytes.size()) {
      bytes[change->value / 8] ^= std::byte{1} << (change->value % 8);
    }
  }
  for (const Change* change : changes) {
    if (change->kind == ChangeKind::torn) {
      tear(entry, *change, bytes);
    }
  }
  bool fua = entry.fua && !has(changes, ChangeKind::not_fua);
  disks_[entry.disk].write(entry.offset_bytes, bytes);
  done_.add_write(entry.disk, entry.offset_bytes, bytes, fua, entry.issued_after);
}

/// Puts what is there now between the pieces of `bytes` that are kept.
void Replay::tear(const LogEntry& entry, const Change& change, Bytes& bytes) const {
  Bytes torn(bytes.size());
  disks_[entry.disk].read(entry.offset_bytes, torn);
  for (const Range& kept : change.kept) {
    std::uint64_t begin = std::min<std::uint64_t>(kept.offset_bytes, bytes.size());
    std::uint64_t end = std::min<std::uint64_t>(kept.offset_bytes + kept.size_bytes, bytes.size());
    std::copy(bytes.begin() + static_cast<std::ptrdiff_t>(begin),
              bytes.begin() + static_cast<std::ptrdiff_t>(end),
              torn.begin() + static_cast<std::ptrdiff_t>(begin));
  }
  bytes = std::move(torn);
}

void Replay::step_mark(const WriteLog& asked, const std::vector<const Change*>& changes) {
  auto change = std::find_if(changes.begin(), changes.end(), [](const Change* it) {
    return it->kind == ChangeKind::rolled_back;
  });
  if (change == changes.end()) {
    done_.add_like(asked, done_.size() + 1);
  } else {
    roll_back(**change);
  }
}

void Replay::roll_back(const Change& change) {
  auto version = versions_.find(static_cast<std::uint32_t>(change.value));
  POWERCUT_CHECK(version != versions_.end(), "version {} was not kept", change.value);
  Bytes old(change.range.size_bytes);
  version->second[change.disk].read(change.range.offset_bytes, old);
  disks_[change.disk].write(change.range.offset_bytes, old);
  done_.add_write(change.disk, change.range.offset_bytes, old, false, done_.size());
  done_.settle(done_.size());
}

}  // namespace faultfs::faults
