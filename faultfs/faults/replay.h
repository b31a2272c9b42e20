#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "faultfs/faults/fault.h"
#include "faultfs/image.h"
#include "faultfs/write_log.h"

namespace faultfs::faults {

/// What a device did, from what it was asked and the changes that faults made to it: the disks as a
/// reader sees them, and a log with the same entry numbers that says what was done. A crash model
/// of that log is the crash model of the faulty device.
class Replay {
 public:
  /// Begins on `disks` behind the first `known_since` entries of `asked`, which were done as asked.
  Replay(std::vector<Image> disks, const WriteLog& asked, std::uint32_t known_since);

  /// The disks after entry `number` will be asked for by a rollback.
  void keep_version(std::uint32_t number);

  /// Does the next entry of `asked`, as `changes` bend it.
  void step(const WriteLog& asked, const std::vector<const Change*>& changes);

  /// Calls a write that is done already `dropped`.
  void drop(std::uint32_t number) { done_.drop(number); }

  [[nodiscard]] const std::vector<Image>& disks() const { return disks_; }
  [[nodiscard]] const WriteLog& done() const { return done_; }

 private:
  void step_write(const WriteLog& asked, const std::vector<const Change*>& changes);
  void step_mark(const WriteLog& asked, const std::vector<const Change*>& changes);
  void tear(const LogEntry& entry, const Change& change, Bytes& bytes) const;
  void roll_back(const Change& change);

  std::vector<Image> disks_;
  WriteLog done_;
  std::map<std::uint32_t, std::vector<Image>> versions_;
};

}  // namespace faultfs::faults
