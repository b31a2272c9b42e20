#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "faultfs/base/result.h"

namespace faultfs {

/// What a sector holds after a cut that lost a volatile write to it.
enum class LostContent { old, zero, garbage, foreign };

/// What a device promises. Promises remove outcomes: a profile with fewer of them has more crash
/// states. Plain data; the named ones are in `all_profiles()`.
struct DeviceProfile {
  std::string name;
  std::uint32_t sector_bytes = 4096;  ///< 512 or 4096
  std::uint32_t atomic_write_bytes =
      4096;  ///< sector_bytes … 16 KiB, power of two: aligned units share a fate
  bool volatile_write_cache = true;  ///< false: a write is durable when it completes
  bool fua_honoured = true;          ///< false: a FUA write is an ordinary cached write
  bool flush_honoured = true;        ///< false: a lying flush (acknowledged, does nothing)
  LostContent lost_content =
      LostContent::old;              ///< any other: a lost write also destroys what was there
  bool tears_inside_sector = false;  ///< a sector may hold a prefix of the new bytes
  bool misdirects = false;           ///< one write may land at another offset of its disk

  /// True where an honest disk could have this profile: flush and FUA honoured, nothing misdirected
  /// or read from another place. Engines claim the durable properties on honest devices only.
  [[nodiscard]] bool honest() const {
    return fua_honoured && flush_honoured && !misdirects && lost_content != LostContent::foreign;
  }
};

/// The named profiles: ssd_4k_volatile, ssd_512_volatile, ssd_16k_atomic, disk_4k_write_through,
/// disk_512_write_through (the `hdparm -W0` drive), ssd_4k_zeroing, ssd_4k_garbage, ssd_4k_foreign
/// (lost sectors read as zeros, noise, bytes of another place), disk_512_torn (tears inside a
/// sector, volatile), ssd_4k_lying_flush, ssd_512_lying_flush, ssd_4k_misdirecting.
[[nodiscard]] const std::vector<DeviceProfile>& all_profiles();

/// The profile called `name`. Error: names it and lists the allowed names.
[[nodiscard]] Result<DeviceProfile> find_profile(std::string_view name);

/// Ok when the parts of `profile` agree with each other. Error: names the part and what is allowed.
/// A device that tears inside a sector has an atomic write unit of one sector.
[[nodiscard]] Status check_profile(const DeviceProfile& profile);

}  // namespace faultfs
