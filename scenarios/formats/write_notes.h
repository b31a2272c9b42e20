#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "faultfs/image.h"
#include "faultfs/write_log.h"
#include "scenarios/targets/config.h"

namespace scenarios::formats {

/// What a write is to the cache that made it. Where one is several things, the first of them here.
enum class WriteRole : std::uint8_t {
  unknown,     ///< no write, or of a target whose format is not known here
  after_wrap,  ///< the first data write after the cache began again at the front
  header,      ///< of the store, or either end of a directory copy
  directory,   ///< rows of a directory copy
  inode,       ///< the slot a chain begins with
  last_slot,   ///< the slot a longer chain ends with
  data,        ///< anything else
};

/// What one entry of a log is, in the format of the target that wrote it.
struct WriteNote {
  WriteRole role = WriteRole::unknown;
  /// "slot 17, inode of k3 version 2", "directory copy B, segment 0", "k0 fragment 2"; empty: not
  /// known.
  std::string text;
};

/// A note for each entry of `log` (number 1 first), which began on the `base` disks. Names of keys
/// are those of the harness where it can tell. Notes are empty for targets other than squid and
/// trafficserver.
[[nodiscard]] std::vector<WriteNote> note_writes(const TargetConfig& config,
                                                 const std::vector<faultfs::Image>& base,
                                                 const faultfs::WriteLog& log);

/// The entries of `notes` that a cut should be tried at more often than at others, in groups: one
/// for each role but `data`. Empty where nothing is known.
[[nodiscard]] std::vector<std::vector<std::uint32_t>> weighty_entries(
    const std::vector<WriteNote>& notes);

}  // namespace scenarios::formats
