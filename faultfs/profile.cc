// What devices promise.
//
// A profile is a list of promises and every promise removes outcomes of a cut. The weakest here
// keeps nothing it was told (lying flush); the strongest forgets only the write that was under way
// when the power went (write-through).
//
//   *_volatile        an ordinary drive: a volatile write cache, FLUSH and FUA that tell the truth
//   ssd_16k_atomic    the same, and aligned 16 KiB of one write are kept or lost together
//   *_write_through   the cache switched off (`hdparm -W0`): a write is durable when it completes
//   ssd_4k_zeroing    a sector whose write was lost reads as zeros: what was there is gone, too
//   ssd_4k_garbage    … reads as noise: the drive lost its mapping, or the cell was half programmed
//   ssd_4k_foreign    … reads as what was written to another place: the mapping leads to a page
//   that
//                     holds, or held, something else
//   disk_512_torn     a sector may hold the first bytes of the new content and the rest of the old
//   *_lying_flush     FLUSH and FUA are acknowledged and ignored: nothing is durable before the cut
//   ssd_4k_misdirecting  one write may land at another place of its disk
//
// Not here: latent sector errors (a read that fails) and bit rot of content that was durable.

#include "faultfs/profile.h"

#include <fmt/format.h>

namespace faultfs {

namespace {

DeviceProfile ordinary(std::string name, std::uint32_t sector_bytes) {
  DeviceProfile profile;
  profile.name = std::move(name);
  profile.sector_bytes = sector_bytes;
  profile.atomic_write_bytes = sector_bytes;
  return profile;
}

DeviceProfile write_through(std::string name, std::uint32_t sector_bytes) {
  DeviceProfile profile = ordinary(std::move(name), sector_bytes);
  profile.volatile_write_cache = false;
  return profile;
}

DeviceProfile losing(std::string name, LostContent content) {
  DeviceProfile profile = ordinary(std::move(name), 4096);
  profile.lost_content = content;
  return profile;
}

DeviceProfile lying_flush(std::string name, std::uint32_t sector_bytes) {
  DeviceProfile profile = ordinary(std::move(name), sector_bytes);
  profile.flush_honoured = false;
  profile.fua_honoured = false;
  return profile;
}

std::vector<DeviceProfile> make_profiles() {
  DeviceProfile atomic = ordinary("ssd_16k_atomic", 4096);
  atomic.atomic_write_bytes = 16384;
  DeviceProfile torn = ordinary("disk_512_torn", 512);
  torn.tears_inside_sector = true;
  DeviceProfile misdirecting = ordinary("ssd_4k_misdirecting", 4096);
  misdirecting.misdirects = true;
  return {ordinary("ssd_4k_volatile", 4096),
          ordinary("ssd_512_volatile", 512),
          atomic,
          write_through("disk_4k_write_through", 4096),
          write_through("disk_512_write_through", 512),
          losing("ssd_4k_zeroing", LostContent::zero),
          losing("ssd_4k_garbage", LostContent::garbage),
          losing("ssd_4k_foreign", LostContent::foreign),
          torn,
          lying_flush("ssd_4k_lying_flush", 4096),
          lying_flush("ssd_512_lying_flush", 512),
          misdirecting};
}

}  // namespace

const std::vector<DeviceProfile>& all_profiles() {
  static const std::vector<DeviceProfile> profiles = make_profiles();
  return profiles;
}

Result<DeviceProfile> find_profile(std::string_view name) {
  std::string allowed;
  for (const DeviceProfile& profile : all_profiles()) {
    if (profile.name == name) {
      return profile;
    }
    allowed += (allowed.empty() ? "" : ", ") + profile.name;
  }
  return fail(fmt::format("there is no device profile \"{}\"; allowed: {}", name, allowed));
}

Status check_profile(const DeviceProfile& profile) {
  if (profile.sector_bytes != 512 && profile.sector_bytes != 4096) {
    return fail(fmt::format("profile {}: a sector of {} bytes is not possible; allowed: 512, 4096",
                            profile.name,
                            profile.sector_bytes));
  }
  std::uint32_t atomic = profile.atomic_write_bytes;
  bool power_of_two = (atomic & (atomic - 1)) == 0;
  if (!power_of_two || atomic < profile.sector_bytes || atomic > 16384) {
    return fail(fmt::format(
        "profile {}: an atomic write unit of {} bytes is not possible; allowed: powers of two from "
        "the sector ({}) to 16384",
        profile.name,
        atomic,
        profile.sector_bytes));
  }
  if (profile.tears_inside_sector && atomic != profile.sector_bytes) {
    return fail(fmt::format(
        "profile {}: a device that tears inside a sector cannot have an atomic write unit of {} "
        "bytes; allowed: one sector ({})",
        profile.name,
        atomic,
        profile.sector_bytes));
  }
  return {};
}

}  // namespace faultfs
