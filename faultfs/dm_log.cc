// The layout of dm-log-writes (Linux, Documentation/admin-guide/device-mapper/log-writes.rst and
// drivers/md/dm-log-writes.c). All numbers are little-endian; a sector is that of the device.
//
//   sector 0     magic 0x6a736677736872 (8) · version 1 (8) · count of entries (8) · sector (4)
//   then, each   one sector: first sector (8) · sectors (8) · flags (8) · length of text (8), and
//                behind that, in the same sector, the text of a mark; then the data of a write
//   flags        1 flush · 2 FUA · 4 discard · 8 mark
//
// The order is that target's, too: a write is not logged when it completes but with the flush that
// makes it durable, in order of completion; a FUA write and a mark at once. So a prefix of the log
// that ends with a flush is what a power cut leaves at worst. What no flush covers comes last,
// behind a mark that says so (the original leaves it out).
//
//     asked     w0001 write A   w0002 write B (FUA)   w0003 flush   w0004 write C
//     exported  B fua, A, flush, mark "powercut: not flushed from here on", C
//
// A write of a part of a sector is exported as the whole sector, as a reader saw it afterwards.

#include "faultfs/dm_log.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include <fmt/format.h>

namespace faultfs {

namespace {

constexpr std::uint64_t magic = 0x6a736677736872;
constexpr std::uint64_t version = 1;
constexpr std::size_t entry_bytes = 32;
enum Flag : std::uint64_t { flush_flag = 1, fua_flag = 2, discard_flag = 4, mark_flag = 8 };

void put(Bytes& bytes, std::size_t at, std::uint64_t value, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) {
    bytes[at + i] = static_cast<std::byte>((value >> (8 * i)) & 0xffU);
  }
}

std::uint64_t get(ByteView bytes, std::size_t at, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < size; ++i) {
    value |= std::to_integer<std::uint64_t>(bytes[at + i]) << (8 * i);
  }
  return value;
}

std::string reason() {
  return std::strerror(errno);  // NOLINT(concurrency-mt-unsafe)
}

class Exporter {
 public:
  Exporter(const WriteLog& log, DiskNumber disk, Image base, std::uint32_t sector_bytes)
      : log_(log), disk_(disk), image_(std::move(base)), sector_bytes_(sector_bytes) {}

  Result<std::uint64_t> write(const std::filesystem::path& file) {
    stream_.open(file, std::ios::binary | std::ios::trunc);
    Bytes super(sector_bytes_);
    send(super);  // the count is known at the end
    for (std::uint32_t number = 1; number <= log_.size(); ++number) {
      take(number);
    }
    if (!pending_.empty()) {
      mark("powercut: not flushed from here on");
    }
    for (const Pending& write : pending_) {
      send(write);
    }
    put(super, 0, magic, 8);
    put(super, 8, version, 8);
    put(super, 16, count_, 8);
    put(super, 24, sector_bytes_, 4);
    stream_.seekp(0);
    send(super);
    stream_.close();
    if (!stream_) {
      return fail(fmt::format("cannot write the log {}: {}", file.string(), reason()));
    }
    return count_;
  }

 private:
  /// A write or discard that waits for its flush.
  struct Pending {
    std::uint32_t number;
    std::uint64_t sector, sectors;
    std::uint64_t flags;
    Bytes data;
  };

  void take(std::uint32_t number) {
    const LogEntry& entry = log_.entry(number);
    if (entry.kind == EntryKind::mark) {
      mark(log_.mark_text(number));
    } else if (entry.disk != disk_) {
      return;
    } else if (entry.kind == EntryKind::flush) {
      flush(entry.issued_after);
    } else {
      change(number, entry);
    }
  }

  void change(std::uint32_t number, const LogEntry& entry) {
    if (entry.size_bytes == 0) {
      return;
    }
    const bool writes = entry.kind == EntryKind::write;
    writes ? image_.write(entry.offset_bytes, log_.data(number))
           : image_.write_zeros(entry.offset_bytes, entry.size_bytes);
    const std::uint64_t first = entry.offset_bytes / sector_bytes_;
    const std::uint64_t end =
        (entry.offset_bytes + entry.size_bytes + sector_bytes_ - 1) / sector_bytes_;
    const bool whole =
        entry.offset_bytes % sector_bytes_ == 0 && entry.size_bytes % sector_bytes_ == 0;
    Pending pending{number, first, end - first, entry.fua ? std::uint64_t{fua_flag} : 0, {}};
    if (writes || !whole) {
      pending.data.resize(pending.sectors * sector_bytes_);
      image_.read(first * sector_bytes_, pending.data);
    } else {
      pending.flags |= discard_flag;
    }
    if (entry.fua) {
      send(pending);
    } else {
      pending_.push_back(std::move(pending));
    }
  }

  void flush(std::uint32_t issued_after) {
    const auto open = std::find_if(pending_.begin(), pending_.end(), [&](const Pending& write) {
      return write.number > issued_after;
    });
    std::for_each(pending_.begin(), open, [this](const Pending& write) { send(write); });
    pending_.erase(pending_.begin(), open);
    send(Pending{0, 0, 0, flush_flag, {}});
  }

  void mark(std::string_view text) {
    Bytes sector(sector_bytes_);
    text = text.substr(0, sector_bytes_ - entry_bytes - 1);
    put(sector, 16, mark_flag, 8);
    put(sector, 24, text.size(), 8);
    std::memcpy(sector.data() + entry_bytes, text.data(), text.size());
    send(sector);
    ++count_;
  }

  void send(const Pending& write) {
    Bytes sector(sector_bytes_);
    put(sector, 0, write.sector, 8);
    put(sector, 8, write.sectors, 8);
    put(sector, 16, write.flags, 8);
    send(sector);
    send(write.data);
    ++count_;
  }

  void send(const Bytes& bytes) {
    stream_.write(reinterpret_cast<const char*>(bytes.data()),
                  static_cast<std::streamsize>(bytes.size()));
  }

  const WriteLog& log_;
  DiskNumber disk_;
  Image image_;
  std::uint32_t sector_bytes_;
  std::ofstream stream_;
  std::vector<Pending> pending_;
  std::uint64_t count_ = 0;
};

/// Reads `bytes.size()` bytes; false at an early end.
bool take(std::ifstream& stream, Bytes& bytes) {
  stream.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  return static_cast<bool>(stream);
}

Result<DmEntry> read_entry(std::ifstream& stream, std::uint32_t sector_bytes) {
  constexpr std::uint64_t sectors_max = 1U << 22U;
  Bytes sector(sector_bytes);
  if (!take(stream, sector)) {
    return fail("it is cut short");
  }
  DmEntry entry;
  entry.sector = get(sector, 0, 8);
  entry.sectors = get(sector, 8, 8);
  const std::uint64_t flags = get(sector, 16, 8);
  entry.flush = (flags & flush_flag) != 0;
  entry.fua = (flags & fua_flag) != 0;
  entry.discard = (flags & discard_flag) != 0;
  entry.mark = (flags & mark_flag) != 0;
  const std::uint64_t text_bytes = get(sector, 24, 8);
  if (entry.mark) {
    if (text_bytes > sector_bytes - entry_bytes) {
      return fail(fmt::format("a mark of {} bytes does not fit its sector", text_bytes));
    }
    entry.text.assign(reinterpret_cast<const char*>(sector.data()) + entry_bytes, text_bytes);
  }
  if (entry.discard || entry.mark || entry.sectors == 0) {
    return entry;
  }
  if (entry.sectors > sectors_max) {
    return fail(fmt::format("a write of {} sectors is not possible", entry.sectors));
  }
  entry.data.resize(entry.sectors * sector_bytes);
  if (!take(stream, entry.data)) {
    return fail("it is cut short");
  }
  return entry;
}

}  // namespace

Result<std::uint64_t> export_dm_log(const WriteLog& log,
                                    DiskNumber disk,
                                    const Image& base,
                                    const DeviceProfile& profile,
                                    const std::filesystem::path& file) {
  return Exporter(log, disk, base, profile.sector_bytes).write(file);
}

Result<DmLog> read_dm_log(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) {
    return fail(fmt::format("cannot read the log {}: {}", file.string(), reason()));
  }
  Bytes super(28);
  if (!take(stream, super) || get(super, 0, 8) != magic || get(super, 8, 8) != version) {
    return fail(fmt::format("{} is no log of dm-log-writes, version 1", file.string()));
  }
  DmLog log;
  log.sector_bytes = static_cast<std::uint32_t>(get(super, 24, 4));
  const bool possible = log.sector_bytes >= 512 && log.sector_bytes <= 65536;
  if (!possible) {
    return fail(
        fmt::format("{}: a sector of {} bytes is not possible", file.string(), log.sector_bytes));
  }
  const std::uint64_t count = get(super, 16, 8);
  stream.seekg(log.sector_bytes);
  for (std::uint64_t number = 1; number <= count; ++number) {
    Result<DmEntry> entry = read_entry(stream, log.sector_bytes);
    if (!entry) {
      return fail(fmt::format(
          "{}: entry {} of {}: {}", file.string(), number, count, entry.error().message));
    }
    log.entries.push_back(std::move(*entry));
  }
  return log;
}

}  // namespace faultfs
