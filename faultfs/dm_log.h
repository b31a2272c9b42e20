#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "faultfs/image.h"
#include "faultfs/profile.h"
#include "faultfs/write_log.h"

namespace faultfs {

/// What one entry of a dm-log-writes log says, in its words.
struct DmEntry {
  std::uint64_t sector = 0, sectors = 0;  ///< of `DmLog::sector_bytes`
  bool flush = false, fua = false, discard = false, mark = false;
  Bytes data;        ///< of a write: `sectors` of them
  std::string text;  ///< of a mark
};

/// A log as Linux's device-mapper target log-writes keeps it: one device, whole sectors.
struct DmLog {
  std::uint32_t sector_bytes = 512;
  std::vector<DmEntry> entries;
};

/// Writes what `disk` was asked into `file`, in the layout and the order of dm-log-writes (head of
/// dm_log.cc), fit for `replay-log`. `base` is the disk before the log began. Returns the number of
/// entries.
[[nodiscard]] Result<std::uint64_t> export_dm_log(const WriteLog& log,
                                                  DiskNumber disk,
                                                  const Image& base,
                                                  const DeviceProfile& profile,
                                                  const std::filesystem::path& file);

/// Reads such a file, whoever wrote it. Error: the file, what was wrong, and where.
[[nodiscard]] Result<DmLog> read_dm_log(const std::filesystem::path& file);

}  // namespace faultfs
