#pragma once

#include <set>
#include <vector>

#include "faultfs/crash_model.h"

namespace faultfs::naive {

/// The prose at the head of crash_model.cc once more, for tests: byte by byte, forwards, on plain
/// vectors, with nothing remembered and nothing shared with `CrashModel` but the noise.
struct Model {
  std::vector<Bytes> base;
  WriteLog log;
  DeviceProfile profile;

  [[nodiscard]] std::uint32_t completed(const CrashPoint& point) const;
  /// The sectors entry `number` touches; none of flushes and marks.
  [[nodiscard]] std::vector<std::uint64_t> sectors(std::uint32_t number) const;
  [[nodiscard]] Bytes foreign(std::uint32_t number, std::uint64_t sector) const;
  /// The disks as readers saw them after `number` entries.
  [[nodiscard]] std::vector<Bytes> readers_view(std::uint32_t number) const;
  /// True when `number` completed and can no longer be lost by a promise of its own.
  [[nodiscard]] bool durable(std::uint32_t number, const CrashPoint& point) const;
  /// True when its fate is open: in flight, or completed and on some sector not under durable ones.
  [[nodiscard]] bool open(std::uint32_t number, const CrashPoint& point) const;
  [[nodiscard]] bool legal(const CrashPlan& plan) const;
  [[nodiscard]] std::vector<Bytes> build(const CrashPlan& plan) const;

 private:
  [[nodiscard]] bool legal_fate(const Fate& fate, const CrashPoint& point) const;
  [[nodiscard]] bool legal_target(const Fate& fate) const;
  [[nodiscard]] bool legal_sectors(const Fate& fate, const CrashPoint& point) const;
  void apply(const Fate& fate,
             const CrashPoint& point,
             const std::vector<Bytes>& seen,
             std::vector<Bytes>& disks) const;
  void lose(std::uint32_t number, std::uint64_t sector, LostContent what, Bytes& disk) const;
};

}  // namespace faultfs::naive
