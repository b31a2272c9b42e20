#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "faultfs/faults/expression.h"
#include "faultfs/image.h"
#include "faultfs/plan.h"
#include "faultfs/profile.h"
#include "faultfs/read_watch.h"
#include "faultfs/request.h"
#include "faultfs/write_log.h"

namespace faultfs {

namespace faults {
class Fault;
class FaultLayer;
struct Change;
}  // namespace faults

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

/// One fault of a device: how often it met its requests, and how often it did something to them.
struct FaultState {
  std::uint32_t number = 0;  ///< from 1; "f1"
  std::string expression;
  bool on = true;
  std::uint64_t matches = 0;
  std::uint64_t firings = 0;
};

/// What becomes of a request when it arrives, before the device takes it up.
struct Arrival {
  std::uint64_t delay_ms = 0;
  std::uint32_t held_by = 0;  ///< number of the fault that holds it; 0: none
  std::uint64_t held_at = 0;  ///< set by the device: how much was let go before
  [[nodiscard]] bool waits() const { return delay_ms > 0 || held_by != 0; }
};

/// The fault device: named disks, one write log, cuts, faults. Used directly (in memory) or under a
/// FUSE mount (faultfs/mount); the log is the same. All members may be called from any thread; log
/// order is the order in which requests took effect.
///
/// After a cut every request fails with EIO, and changes nothing, until `power_on`.
class Device {
 public:
  /// Error: names the disk and what is wrong with its name or size.
  [[nodiscard]] static Result<std::unique_ptr<Device>> create(DeviceProfile profile,
                                                              std::vector<DiskSpec> disks);
  ~Device();
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  [[nodiscard]] const DeviceProfile& profile() const { return profile_; }
  [[nodiscard]] const std::vector<DiskSpec>& disks() const { return specs_; }

  // Requests. Each returns 0 or an errno: EIO after a cut, ENOSPC/EINVAL outside the disk; what the
  // faults say otherwise. `generation` is the power-on the caller's handle belongs to
  // (`generation()` when it opened). A transfer that a fault cuts short goes on with the rest.
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
  /// As those, and says how much was done. `into` is the buffer of a read. May wait (faults).
  [[nodiscard]] Outcome submit(const Request& request, MutableByteView into = {});

  // `submit` in three steps, for a server that must not wait in its one thread.
  [[nodiscard]] Arrival arrive(const Request& request);
  void wait(const Arrival& arrival);
  [[nodiscard]] Outcome carry_out(const Request& request, MutableByteView into = {});

  // Faults (faultfs/faults). A device with one records always.
  /// Puts a fault behind those that are there; returns its number. Error: names what in the
  /// expression does not fit this device. `make` (for tests): another implementation of it.
  [[nodiscard]] Result<std::uint32_t> add_fault(
      const faults::Expression& expression,
      std::unique_ptr<faults::Fault> (*make)(const faults::Expression&) = nullptr);
  /// Switched off, a fault fires no more, and what it did to the disks since the last power-on is
  /// taken back; switched on, it is there again. Error: there is none of that number.
  [[nodiscard]] Status switch_fault(std::uint32_t number, bool on);
  /// What waits because of this fault goes on. Error: nothing waits because of such a fault.
  [[nodiscard]] Status release_fault(std::uint32_t number);
  /// All faults and what they did are gone.
  void clear_faults();
  [[nodiscard]] std::vector<FaultState> faults() const;
  /// A request that `latency` delays goes on at once: for a device whose only client would wait for
  /// itself (in memory). It fires, and is counted, as ever.
  void let_time_fly() { time_flies_ = true; }
  /// Kills a client (`Request::client`). Without one, or where it returns false, the client's
  /// handles (and everybody's) are fenced instead. It must not use the device.
  void on_kill(std::function<bool(int client)> kill);

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
  /// The same as if no fault had changed them since the last power-on.
  [[nodiscard]] std::vector<Image> truth() const;
  /// A copy of the log so far: what was done. With faults that is not what was asked.
  [[nodiscard]] WriteLog log() const;
  /// What was asked, entry for entry.
  [[nodiscard]] WriteLog asked() const;
  [[nodiscard]] std::uint32_t log_size() const;
  /// From now on keeps about `bytes` of the log's data in memory and spills the rest
  /// (`WriteLog::keep_in_memory`); 0: keeps all.
  void keep_log_in_memory(std::uint64_t bytes);
  /// Where the data of the log is: with faults there are two, and this tells of both.
  [[nodiscard]] ArenaState log_arena() const;

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
  /// As `watch`; for the same places again and again it costs what happened since.
  void keep_watching(std::shared_ptr<const std::vector<SectorPlace>> places);
  /// The places read since, first read first.
  [[nodiscard]] std::vector<SectorPlace> watched_reads() const;

  [[nodiscard]] DeviceCounters counters() const;

 private:
  Device(DeviceProfile profile, std::vector<DiskSpec> disks);
  [[nodiscard]] int submit_all(Request request, MutableByteView into = {});
  [[nodiscard]] Outcome carry_out_with_faults(const Request& request,
                                              std::uint32_t issued_after,
                                              MutableByteView into);
  [[nodiscard]] Outcome carry_out_plainly(const Request& request,
                                          std::uint32_t issued_after,
                                          MutableByteView into);
  int admit_request(const Request& request);
  void change(const Request& request, std::uint32_t issued_after);
  void change_with_faults(const Request& request,
                          std::uint32_t issued_after,
                          std::vector<faults::Change> changes);
  void count(const Request& request);
  void kill(int client);
  void let_go();
  void note_mark(std::string_view text);
  void restart_faults();
  [[nodiscard]] static Error no_fault(std::uint32_t number);
  int admit(std::uint64_t generation);
  int admit_change(std::uint64_t generation);
  [[nodiscard]] bool is_inside(DiskNumber disk,
                               std::uint64_t offset_bytes,
                               std::uint64_t size_bytes) const;
  [[nodiscard]] std::uint32_t issued_in_log(std::uint32_t issued_after) const;

  const DeviceProfile profile_;
  const std::vector<DiskSpec> specs_;
  std::atomic<std::uint32_t> completed_{0};  // size of the log, readable without the lock

  std::atomic<bool> has_faults_{false};
  std::atomic<bool> time_flies_{false};

  mutable std::mutex mutex_;  // guards all below
  std::condition_variable goes_on_;
  std::uint64_t let_go_ = 0;                   // how often everything that waited was let go
  std::vector<std::uint64_t> released_;        // by fault: the same of this one
  std::unique_ptr<faults::FaultLayer> layer_;  // null: no fault was ever added
  std::function<bool(int)> kill_;
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
