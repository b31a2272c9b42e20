#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/memory/ram_cache.h"
#include "engine/volumes/hosting.h"

namespace engine::service {

/// A disk as the command line names it: `FILE[:WORD=VALUE[,WORD=VALUE]…]`, with the words of
/// Traffic Server's storage.config:
///
///     volume=N   the volume whose tag it carries, 1 to 255 (1)
///     id=NAME    what it is called, and stays called wherever it is plugged in (its path)
///     size=64M   how much of it is used (all); with it the disks of a volume go on without this
///
/// A file whose own name ends like words is written with a colon behind it.
struct DiskWord {
  std::filesystem::path file;
  volumes::VolumeTag volume = 0;  ///< 0: not said
  std::string id;                 ///< the absolute path, where nobody says another
  std::uint64_t size_bytes = 0;   ///< 0: not said
};

/// Error: quotes the word and says what is allowed.
[[nodiscard]] Result<DiskWord> parse_disk(const std::string& text);

/// True where the disks are those of volumes, each with a label; else it is one disk without.
[[nodiscard]] bool are_volumes(const std::vector<DiskWord>& disks);

/// The disks, read. Those of volumes all have a volume, and no two are the same. Error: names the
/// one that is wrong.
[[nodiscard]] Result<std::vector<DiskWord>> parse_disks(const std::vector<std::string>& words);

/// Reads "64M", "64M,s3fifo", "64M,lru,cutoff=1M". Error: quotes the text.
[[nodiscard]] Result<memory::RamCacheConfig> parse_ram_cache(const std::string& text);

/// Reads "1000", "64K", "1M", "2G", "1T". Error: quotes the text.
[[nodiscard]] Result<std::uint64_t> parse_bytes(std::string_view text);

}  // namespace engine::service
