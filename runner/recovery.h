#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "faultfs/crash_model.h"

namespace runner {

/// True where `log` has a write or a discard.
[[nodiscard]] inline bool changes_disks(const faultfs::WriteLog& log) {
  for (std::uint32_t number = 1; number <= log.size(); ++number) {
    const faultfs::EntryKind kind = log.entry(number).kind;
    if (kind == faultfs::EntryKind::write || kind == faultfs::EntryKind::discard) {
      return true;
    }
  }
  return false;
}

/// What a cache wrote while it recovered from one crash state: a log of its own, with crash states
/// of its own. Stays where it is, because the model points into it.
struct Recovery {
  Recovery(std::vector<faultfs::Image> from,
           std::shared_ptr<const faultfs::WriteLog> written,
           const faultfs::DeviceProfile& profile)
      : disks(std::move(from)), log(std::move(written)), model(disks, *log, profile) {}
  Recovery(const Recovery&) = delete;
  Recovery& operator=(const Recovery&) = delete;
  Recovery(Recovery&&) = delete;
  Recovery& operator=(Recovery&&) = delete;
  ~Recovery() = default;

  std::vector<faultfs::Image> disks;  ///< when it began
  std::shared_ptr<const faultfs::WriteLog> log;
  faultfs::CrashModel model;
};

}  // namespace runner
