#include "engine/service/disk_words.h"

#include <sys/stat.h>

#include <charconv>
#include <string_view>
#include <system_error>

#include <fmt/format.h>

#include "engine/volumes/label.h"

namespace engine::service {
namespace {

namespace fs = std::filesystem;

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t comma = text.find(',');
    parts.push_back(text.substr(0, comma));
    if (comma == std::string_view::npos) {
      return parts;
    }
    text.remove_prefix(comma + 1);
  }
}

tl::unexpected<Error> wrong(std::string_view disk, std::string_view word) {
  return fail(Trouble::invalid,
              fmt::format("'{}' in --disk {} is not understood; allowed behind the file: "
                          ":volume=1 to 255, id=NAME, size=64M, with commas between them",
                          word,
                          disk));
}

Status read_word(std::string_view word, DiskWord& disk) {
  const std::size_t equals = word.find('=');
  const std::string_view name = word.substr(0, equals);
  const std::string_view value =
      equals == std::string_view::npos ? std::string_view() : word.substr(equals + 1);
  if (name == "volume") {
    const auto [end, error] =
        std::from_chars(value.data(), value.data() + value.size(), disk.volume);
    if (error == std::errc() && end == value.data() + value.size() && disk.volume != 0) {
      return {};
    }
  } else if (name == "id" && !value.empty()) {
    disk.id = value;
    return {};
  } else if (name == "size") {
    const auto size_bytes = parse_bytes(value);
    if (size_bytes && *size_bytes % volumes::label_copy_bytes == 0) {
      disk.size_bytes = *size_bytes;
      return {};
    }
    return fail(Trouble::invalid,
                fmt::format("'{}' is not the size of a disk; allowed: a multiple of 8K", value));
  }
  return fail(Trouble::invalid, {});
}

/// What two names of one device or file have in common; nothing where there is none.
std::string identity_of(const fs::path& file) {
  struct stat facts = {};
  if (::stat(file.c_str(), &facts) != 0) {
    return {};
  }
  return S_ISBLK(facts.st_mode) ? fmt::format("device {}", facts.st_rdev)
                                : fmt::format("file {} {}", facts.st_dev, facts.st_ino);
}

}  // namespace

Result<std::uint64_t> parse_bytes(std::string_view text) {
  constexpr std::string_view units = "KMGT";
  std::string_view digits = text;
  std::uint64_t unit = 1;
  if (!digits.empty() && units.find(digits.back()) != std::string_view::npos) {
    unit <<= 10 * (units.find(digits.back()) + 1);
    digits.remove_suffix(1);
  }
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (digits.empty() || error != std::errc() || end != digits.data() + digits.size() ||
      value == 0 || value > UINT64_MAX / unit) {
    return fail(Trouble::invalid,
                fmt::format("'{}' is not a size; allowed: a number, with K, M, G or T", text));
  }
  return value * unit;
}

Result<DiskWord> parse_disk(const std::string& text) {
  DiskWord disk;
  const std::size_t colon = text.rfind(':');
  const bool words = colon != std::string::npos &&
                     (colon + 1 == text.size() || text.find('=', colon) != std::string::npos);
  disk.file = words ? text.substr(0, colon) : text;
  if (words && colon + 1 < text.size()) {
    for (const std::string_view word : split(std::string_view(text).substr(colon + 1))) {
      const Status read = read_word(word, disk);
      if (!read) {
        return read.error().message.empty() ? wrong(text, word) : tl::unexpected(read.error());
      }
    }
  }
  if (disk.file.empty()) {
    return fail(Trouble::invalid, fmt::format("--disk '{}' names no file", text));
  }
  if (disk.id.empty()) {
    std::error_code ignored;
    disk.id = fs::absolute(disk.file, ignored).lexically_normal().string();
  }
  return disk;
}

bool are_volumes(const std::vector<DiskWord>& disks) {
  return disks.size() > 1 || (disks.size() == 1 && disks.front().volume != 0);
}

Result<std::vector<DiskWord>> parse_disks(const std::vector<std::string>& words) {
  std::vector<DiskWord> disks;
  for (const std::string& word : words) {
    auto disk = parse_disk(word);
    if (!disk) {
      return tl::unexpected(disk.error());
    }
    for (const DiskWord& other : disks) {
      const std::string identity = identity_of(disk->file);
      if (!identity.empty() && identity == identity_of(other.file)) {
        return fail(Trouble::invalid,
                    fmt::format("{} and {} are the same disk; each is named once",
                                other.file.string(),
                                disk->file.string()));
      }
      if (disk->id == other.id) {
        return fail(Trouble::invalid,
                    fmt::format("two disks are called {}; names (id=NAME) must differ", disk->id));
      }
    }
    disks.push_back(std::move(*disk));
  }
  for (DiskWord& disk : disks) {
    disk.volume = disks.size() > 1 && disk.volume == 0 ? volumes::VolumeTag{1} : disk.volume;
  }
  return disks;
}

Result<memory::RamCacheConfig> parse_ram_cache(const std::string& text) {
  const auto parts = split(text);
  memory::RamCacheConfig config;
  constexpr std::string_view cutoff = "cutoff=";
  for (std::size_t n = 0; n < parts.size(); ++n) {
    const bool is_cutoff = n > 0 && parts[n].starts_with(cutoff);
    if (n == 0 || is_cutoff) {
      const auto size_bytes =
          parse_bytes(is_cutoff ? parts[n].substr(cutoff.size()) : parts.front());
      if (!size_bytes) {
        return fail(Trouble::invalid,
                    fmt::format("--ram-cache '{}': {}; write it as 64M, 64M,s3fifo or "
                                "64M,lru,cutoff=1M",
                                text,
                                size_bytes.error().message));
      }
      (is_cutoff ? config.cutoff_bytes : config.capacity_bytes) = *size_bytes;
      continue;
    }
    config.policy = parts[n];
    if (const auto policy = memory::make_policy(config.policy, config.capacity_bytes); !policy) {
      return fail(Trouble::invalid,
                  fmt::format("--ram-cache '{}': {}", text, policy.error().message));
    }
  }
  return config;
}

}  // namespace engine::service
