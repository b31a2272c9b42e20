#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "faultfs/image.h"
#include "faultfs/plan.h"
#include "faultfs/profile.h"
#include "faultfs/read_watch.h"
#include "faultfs/write_log.h"

namespace faultfs {

/// A disk as the user names it: the file name under the mount and a fixed size.
struct DiskSpec {
  std::string name;              ///< 1–255 characters, no '/', not "." or ".."
  std::uint64_t size_bytes = 0;  ///< a positive multiple of the profile's sector size
};

struct DeviceCounters {
  std::uint64_t reads = 0, writes = 0, fua_writes = 0, flushes = 0, discards = 0;
  std::uint64_t read_bytes = 0, written_bytes = 0;
  std::uint64_t refused_after_cut = 0;  ///< requests that got EIO because of a cut
  std::uint64_t refused_stale = 0;      ///< requests through a handle from before the last power-on
};

/// The fault device: named disks, one write log, cuts. Used directly (in memory) or under a FUSE
/// mount (faultfs/mount); the log is the same. All members may be called from any thread; log
/// order is the order in which requests took effect.
///
/// After a cut every request fails with EIO, and changes nothing, until `power_on`.
class Device {
 public:
  /// Error: names the disk and what is wrong with its name or size.
  [[nodiscard]] static Result<std::unique_ptr<Device>> create(DeviceProfile profile,
                                                              std::vector<DiskSpec> disks);

  [[nodiscard]] const DeviceProfile& profile() const { return profile_; }
  [[nodiscard]] const std::vector<DiskSpec>& disks() const { return specs_; }

  // Requests. Each returns 0 or an errno: EIO after a cut, ENOSPC/EINVAL outside the disk.
  // `generation` is the power-on the caller's handle belongs to (`generation()` when it opened).
  [[nodiscard]] int read(std::uint64_t generation,
                         DiskNumber disk,
                         std::uint64_t offset_bytes,
                         MutableByteView into);
  /// Sets `until` so that [offset, until) was never written and reads as zeros (SEEK_DATA). Pages
  /// with watched sectors are not told of.
  [[nodiscard]] int blank_until(std::uint64_t generation,
                                DiskNumber disk,
                                std::uint64_t offset_bytes,
                                std::uint64_t& until);
  [[nodiscard]] int write(std::uint64_t generation,
                          DiskNumber disk,
                          std::uint64_t offset_bytes,
                          ByteView from,
                          bool fua);
  [[nodiscard]] int flush(std::uint64_t generation, DiskNumber disk);
  [[nodiscard]] int discard(std::uint64_t generation,
                            DiskNumber disk,
                            std::uint64_t offset_bytes,
                            std::uint64_t size_bytes);
  /// Puts a named point into the log.
  void mark(std::string_view text);

  /// The current power-on; starts at 1 and grows by one per `power_on`.
  [[nodiscard]] std::uint64_t generation() const;

  // Control.
  /// From now on every request fails with EIO.
  void cut_now();
  /// The cut falls just before the `n`-th request (write, flush or discard; n ≥ 1) from now: that
  /// request and all later ones fail. `cut_before_mark`: just after the next mark that contains
  /// `text`.
  void cut_at_request(std::uint64_t n);
  void cut_at_mark(std::string text);
  void disarm();
  [[nodiscard]] bool is_cut() const;

  /// The disks as a reader sees them now (volatile content included); cheap, copy on write.
  [[nodiscard]] std::vector<Image> snapshot() const;
  /// A copy of the log so far.
  [[nodiscard]] WriteLog log() const;
  [[nodiscard]] std::uint32_t log_size() const;

  /// Power on with these contents: they are durable, the log is empty, no cut is armed, and handles
  /// from before are fenced (EIO) for ever. Sizes must match (checked).
  void power_on(std::vector<Image> disks);

  /// As `power_on(snapshot())` but keeps the log and the volatile state: only fences old handles.
  /// For a process that died while the device went on.
  void fence();

  /// Stops recording (crash states that will be thrown away need no log), or starts it again.
  void record(bool on);

  /// From now on notes which of `places` are read before they are overwritten (`ReadWatch`). What
  /// was noted before is forgotten; a power-on changes nothing. Empty: notes nothing.
  void watch(const std::vector<SectorPlace>& places);
  /// The places read since, first read first.
  [[nodiscard]] std::vector<SectorPlace> watched_reads() const;

  [[nodiscard]] DeviceCounters counters() const;

 private:
  Device(DeviceProfile profile, std::vector<DiskSpec> disks);
  int admit(std::uint64_t generation);
  int admit_change(std::uint64_t generation);
  [[nodiscard]] bool is_inside(DiskNumber disk,
                               std::uint64_t offset_bytes,
                               std::uint64_t size_bytes) const;
  [[nodiscard]] std::uint32_t issued_in_log(std::uint32_t issued_after) const;

  const DeviceProfile profile_;
  const std::vector<DiskSpec> specs_;
  std::atomic<std::uint32_t> completed_{0};  // size of the log, readable without the lock

  mutable std::mutex mutex_;  // guards all below
  std::vector<Image> images_;
  WriteLog log_;
  DeviceCounters counters_;
  ReadWatch watch_;
  std::uint64_t generation_ = 1;
  std::uint64_t requests_until_cut_ = 0;  // 0: not armed
  std::optional<std::string> cut_mark_;
  bool is_cut_ = false;
  bool records_ = true;
};

}  // namespace faultfs
