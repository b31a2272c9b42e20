// One mutex, held for the whole of a request: so a request takes effect at one moment, and log
// order is the order of these moments. Only `issued_after` is read before the lock, because a
// flush promises nothing about writes that completed after it was issued.

#include "faultfs/device.h"

#include <algorithm>
#include <cerrno>
#include <unordered_set>

#include <fmt/format.h>

#include "faultfs/base/check.h"
#include "faultfs/faults/layer.h"

namespace faultfs {

namespace {

Status check_disk(const DiskSpec& disk, const DeviceProfile& profile) {
  bool has_slash_or_null = disk.name.find_first_of(std::string_view("/\0", 2)) != std::string::npos;
  if (disk.name.empty() || disk.name.size() > 255 || has_slash_or_null || disk.name == "." ||
      disk.name == "..") {
    return fail(
        fmt::format("\"{}\" is no name of a disk; allowed: 1 to 255 characters, without '/', not "
                    "\".\" or \"..\"",
                    disk.name));
  }
  if (disk.size_bytes == 0 || disk.size_bytes % profile.sector_bytes != 0) {
    return fail(fmt::format(
        "disk \"{}\": {} bytes are no size; allowed: positive multiples of the sector, {}",
        disk.name,
        disk.size_bytes,
        profile.sector_bytes));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Device>> Device::create(DeviceProfile profile, std::vector<DiskSpec> disks) {
  Status possible = check_profile(profile);
  if (!possible) {
    return tl::unexpected<Error>(possible.error());
  }
  if (disks.empty() || disks.size() > 65535) {
    return fail(
        fmt::format("a device of {} disks is not possible; allowed: 1 to 65535", disks.size()));
  }
  std::unordered_set<std::string> names;
  for (const DiskSpec& disk : disks) {
    Status good = check_disk(disk, profile);
    if (!good) {
      return tl::unexpected<Error>(good.error());
    }
    if (!names.insert(disk.name).second) {
      return fail(fmt::format("two disks are called \"{}\"; names must differ", disk.name));
    }
  }
  return std::unique_ptr<Device>(new Device(std::move(profile), std::move(disks)));
}

Device::Device(DeviceProfile profile, std::vector<DiskSpec> disks)
    : profile_(std::move(profile)), specs_(std::move(disks)), watch_(profile_.sector_bytes) {
  for (const DiskSpec& disk : specs_) {
    images_.emplace_back(disk.size_bytes);
  }
}

int Device::admit(std::uint64_t generation) {
  if (generation != generation_) {
    ++counters_.refused_stale;
    return EIO;
  }
  if (is_cut_) {
    ++counters_.refused_after_cut;
    return EIO;
  }
  return 0;
}

/// As `admit`, and the cut falls here when it was armed for this request.
int Device::admit_change(std::uint64_t generation) {
  bool counts = generation == generation_ && !is_cut_ && requests_until_cut_ > 0;
  if (counts && --requests_until_cut_ == 0) {
    is_cut_ = true;
    let_go();
  }
  return admit(generation);
}

bool Device::is_inside(DiskNumber disk,
                       std::uint64_t offset_bytes,
                       std::uint64_t size_bytes) const {
  POWERCUT_CHECK(disk < specs_.size(), "disk {} of {}", disk, specs_.size());
  std::uint64_t disk_bytes = specs_[disk].size_bytes;
  return offset_bytes <= disk_bytes && size_bytes <= disk_bytes - offset_bytes;
}

int Device::read(std::uint64_t generation,
                 DiskNumber disk,
                 std::uint64_t offset_bytes,
                 MutableByteView into) {
  Request request{RequestKind::read, disk, offset_bytes, into.size(), {}, false, generation, 0};
  return has_faults_ ? submit_all(request, into) : carry_out_plainly(request, 0, into).error;
}

int Device::blank_until(std::uint64_t generation,
                        DiskNumber disk,
                        std::uint64_t offset_bytes,
                        std::uint64_t& until) {
  std::lock_guard lock(mutex_);
  if (int refused = admit(generation); refused != 0) {
    return refused;
  }
  if (!is_inside(disk, offset_bytes, 0)) {
    return EINVAL;
  }
  // With faults every read counts, and what is blank in truth may hold a misdirected write.
  until = layer_ == nullptr ? images_[disk].blank_until(offset_bytes) : offset_bytes;
  if (watch_.waits()) {
    // A hole told is content told: of what is waited for only a read may tell.
    until = watch_.quiet_until(disk, offset_bytes, until);
  }
  return 0;
}

int Device::write(std::uint64_t generation,
                  DiskNumber disk,
                  std::uint64_t offset_bytes,
                  ByteView from,
                  bool fua) {
  std::uint32_t issued_after = completed_.load(std::memory_order_acquire);
  Request request{RequestKind::write, disk, offset_bytes, from.size(), from, fua, generation, 0};
  return has_faults_ ? submit_all(request) : carry_out_plainly(request, issued_after, {}).error;
}

int Device::flush(std::uint64_t generation, DiskNumber disk) {
  std::uint32_t issued_after = completed_.load(std::memory_order_acquire);
  Request request{RequestKind::flush, disk, 0, 0, {}, false, generation, 0};
  return has_faults_ ? submit_all(request) : carry_out_plainly(request, issued_after, {}).error;
}

int Device::discard(std::uint64_t generation,
                    DiskNumber disk,
                    std::uint64_t offset_bytes,
                    std::uint64_t size_bytes) {
  std::uint32_t issued_after = completed_.load(std::memory_order_acquire);
  Request request{RequestKind::discard, disk, offset_bytes, size_bytes, {}, false, generation, 0};
  return has_faults_ ? submit_all(request) : carry_out_plainly(request, issued_after, {}).error;
}

/// 0 when the device takes the request up.
int Device::admit_request(const Request& request) {
  bool inside = is_inside(request.disk, request.offset_bytes, request.size_bytes);
  if (request.kind == RequestKind::read) {
    int refused = admit(request.generation);
    return refused == 0 && !inside ? EINVAL : refused;
  }
  if (!inside) {
    return request.kind == RequestKind::write ? ENOSPC : EINVAL;
  }
  return admit_change(request.generation);
}

Outcome Device::carry_out_plainly(const Request& request,
                                  std::uint32_t issued_after,
                                  MutableByteView into) {
  std::lock_guard lock(mutex_);
  if (int refused = admit_request(request); refused != 0) {
    return {refused, 0};
  }
  if (request.kind == RequestKind::read) {
    images_[request.disk].read(request.offset_bytes, into);
  } else {
    change(request, issued_after);
  }
  count(request);
  return {0, request.size_bytes};
}

/// Does to the pristine disks and log what `request` asks.
void Device::change(const Request& request, std::uint32_t issued_after) {
  std::uint32_t issued = issued_in_log(issued_after);
  bool records = records_ || layer_ != nullptr;
  if (request.kind == RequestKind::write) {
    images_[request.disk].write(request.offset_bytes, request.bytes);
    if (records) {
      completed_ =
          log_.add_write(request.disk, request.offset_bytes, request.bytes, request.fua, issued);
    }
  } else if (request.kind == RequestKind::discard) {
    images_[request.disk].write_zeros(request.offset_bytes, request.size_bytes);
    if (records) {
      completed_ = log_.add_discard(request.disk, request.offset_bytes, request.size_bytes, issued);
    }
  } else if (records) {
    completed_ = log_.add_flush(request.disk, issued);
  }
}

/// Notes that `request` was carried out.
void Device::count(const Request& request) {
  if (watch_.waits() && request.kind != RequestKind::flush) {
    // With faults, a write may leave some of what was there: then nothing counts as overwritten.
    bool overwrites = request.changes() && layer_ == nullptr;
    overwrites ? watch_.on_write(request.disk, request.offset_bytes, request.size_bytes)
               : watch_.on_read(request.disk, request.offset_bytes, request.size_bytes);
  }
  switch (request.kind) {
    case RequestKind::read:
      ++counters_.reads;
      counters_.read_bytes += request.size_bytes;
      break;
    case RequestKind::write:
      ++(request.fua ? counters_.fua_writes : counters_.writes);
      counters_.written_bytes += request.size_bytes;
      break;
    case RequestKind::flush:
      ++counters_.flushes;
      break;
    case RequestKind::discard:
      ++counters_.discards;
      break;
    default:
      break;  // of a tree
  }
}

/// A request that waited for the lock while the log was emptied was issued before all that is in
/// it.
std::uint32_t Device::issued_in_log(std::uint32_t issued_after) const {
  return issued_after > log_.size() ? 0 : issued_after;
}

void Device::mark(std::string_view text) {
  std::lock_guard lock(mutex_);
  if (is_cut_) {
    return;
  }
  if (records_ || layer_ != nullptr) {
    completed_ = log_.add_mark(text);
  }
  note_mark(text);
  if (cut_mark_ && text.find(*cut_mark_) != std::string_view::npos) {
    is_cut_ = true;
    let_go();
  }
}

std::uint64_t Device::generation() const {
  std::lock_guard lock(mutex_);
  return generation_;
}

void Device::cut_now() {
  std::lock_guard lock(mutex_);
  is_cut_ = true;
  let_go();
}

void Device::cut_at_request(std::uint64_t n) {
  POWERCUT_CHECK(n >= 1, "{}", n);
  std::lock_guard lock(mutex_);
  requests_until_cut_ = n;
}

void Device::cut_at_mark(std::string text) {
  std::lock_guard lock(mutex_);
  cut_mark_ = std::move(text);
}

void Device::disarm() {
  std::lock_guard lock(mutex_);
  requests_until_cut_ = 0;
  cut_mark_.reset();
}

bool Device::is_cut() const {
  std::lock_guard lock(mutex_);
  return is_cut_;
}

std::uint32_t Device::log_size() const {
  return completed_.load(std::memory_order_acquire);
}

void Device::keep_log_in_memory(std::uint64_t bytes) {
  std::lock_guard lock(mutex_);
  log_.keep_in_memory(bytes);
}

ArenaState Device::log_arena() const {
  std::lock_guard lock(mutex_);
  ArenaState state = log_.arena();
  if (layer_ != nullptr) {
    const ArenaState done = layer_->done().arena();
    state.memory_bytes += done.memory_bytes;
    state.spilled_bytes += done.spilled_bytes;
    state.file_bytes += done.file_bytes;
    state.trouble += state.trouble.empty() ? done.trouble : "";
  }
  return state;
}

void Device::power_on(std::vector<Image> disks) {
  std::lock_guard lock(mutex_);
  POWERCUT_CHECK(disks.size() == specs_.size(), "{} and {} disks", disks.size(), specs_.size());
  bool same_sizes = std::equal(
      disks.begin(), disks.end(), specs_.begin(), [](const Image& disk, const DiskSpec& spec) {
        return disk.size_bytes() == spec.size_bytes;
      });
  POWERCUT_CHECK(same_sizes, "a disk of {} comes with another size", profile_.name);
  images_ = std::move(disks);
  log_.clear();
  completed_ = 0;
  requests_until_cut_ = 0;
  cut_mark_.reset();
  is_cut_ = false;
  ++generation_;
  restart_faults();
}

void Device::fence() {
  std::lock_guard lock(mutex_);
  ++generation_;
  let_go();
}

void Device::record(bool on) {
  std::lock_guard lock(mutex_);
  records_ = on;
}

void Device::watch(const std::vector<SectorPlace>& places) {
  keep_watching(std::make_shared<const std::vector<SectorPlace>>(places));
}

void Device::keep_watching(std::shared_ptr<const std::vector<SectorPlace>> places) {
  std::lock_guard lock(mutex_);
  watch_.arm(std::move(places));
}

std::vector<SectorPlace> Device::watched_reads() const {
  std::lock_guard lock(mutex_);
  return watch_.reads();
}

DeviceCounters Device::counters() const {
  std::lock_guard lock(mutex_);
  return counters_;
}

}  // namespace faultfs
