// A write log in a file:
//
//   bytes    what
//   8        "pwcutlog"
//   4        version of this layout (1)
//   8        XXH3 of everything behind it
//   8        size of the content before compression
//   rest     the content, one zstd frame
//
// Content: 4 bytes count of entries; per entry kind (1), disk (2), flags (1: 1 FUA, 2 dropped,
// 4 on the medium), issued_after (4), offset (8), size (8); then the bytes of the writes and marks,
// in order, without gaps. Numbers are little-endian. The checksum is proved before anything else is
// believed.

#include "faultfs/write_log.h"

#include <xxhash.h>
#include <zstd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>

#include <fmt/format.h>

#include "faultfs/base/check.h"

namespace faultfs {

namespace {

constexpr std::string_view magic = "pwcutlog";
constexpr std::uint32_t version = 1;
constexpr std::size_t header_bytes = 28;
constexpr std::size_t checked_from = 20;  // the checksum covers all bytes from here on
constexpr std::size_t entry_bytes = 24;
constexpr std::uint64_t content_max = 16 * 1024_MiB;

bool has_data(EntryKind kind) {
  return kind == EntryKind::write || kind == EntryKind::mark;
}

template <typename Number>
void put(Bytes& to, Number value) {
  for (std::size_t i = 0; i < sizeof(Number); ++i) {
    to.push_back(static_cast<std::byte>((static_cast<std::uint64_t>(value) >> (8 * i)) & 0xffU));
  }
}

/// Takes a number off the front of `from`, which holds at least that much.
template <typename Number>
Number take(ByteView& from) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < sizeof(Number); ++i) {
    value |= std::to_integer<std::uint64_t>(from[i]) << (8 * i);
  }
  from = from.subspan(sizeof(Number));
  return static_cast<Number>(value);
}

/// The entries, without their bytes.
Bytes pack(const std::vector<LogEntry>& entries) {
  Bytes content;
  content.reserve(4 + entries.size() * entry_bytes);
  put(content, static_cast<std::uint32_t>(entries.size()));
  for (const LogEntry& entry : entries) {
    put(content, static_cast<std::uint8_t>(entry.kind));
    put(content, entry.disk);
    put(content,
        static_cast<std::uint8_t>((entry.fua ? 1 : 0) + (entry.dropped ? 2 : 0) +
                                  (entry.on_medium ? 4 : 0)));
    put(content, entry.issued_after);
    put(content, entry.offset_bytes);
    put(content, entry.size_bytes);
  }
  return content;
}

constexpr int window_log_max = 27;  // content and what is known of it lie in one window

/// Compresses what it is given in pieces into a file, with `known` as what came before it, and
/// knows the checksum of that.
class Packer {
 public:
  Packer(std::ofstream& stream, std::uint64_t content_bytes, ByteView known)
      : stream_(stream), context_(ZSTD_createCCtx()), checksum_(XXH3_createState()) {
    XXH3_64bits_reset(checksum_);
    ZSTD_CCtx_setParameter(context_, ZSTD_c_compressionLevel, 1);
    ZSTD_CCtx_setPledgedSrcSize(context_, content_bytes);
    if (!known.empty()) {
      ZSTD_CCtx_setParameter(context_, ZSTD_c_windowLog, window_log_max);
      ZSTD_CCtx_setParameter(context_, ZSTD_c_enableLongDistanceMatching, 1);
      ZSTD_CCtx_setParameter(context_, ZSTD_c_checksumFlag, 1);
      ZSTD_CCtx_refPrefix(context_, known.data(), known.size());
    }
    Bytes size;
    put(size, content_bytes);
    write(size);
  }
  ~Packer() {
    ZSTD_freeCCtx(context_);
    XXH3_freeState(checksum_);
  }
  Packer(const Packer&) = delete;
  Packer& operator=(const Packer&) = delete;

  void add(ByteView piece, bool last) {
    ZSTD_inBuffer in{piece.data(), piece.size(), 0};
    Bytes packed(ZSTD_CStreamOutSize());
    for (bool done = false; !done;) {
      ZSTD_outBuffer out{packed.data(), packed.size(), 0};
      const std::size_t left =
          ZSTD_compressStream2(context_, &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
      POWERCUT_CHECK(ZSTD_isError(left) == 0, "{}", ZSTD_getErrorName(left));
      write(ByteView(packed).first(out.pos));
      done = last ? left == 0 : in.pos == in.size;
    }
  }
  [[nodiscard]] std::uint64_t checksum() const { return XXH3_64bits_digest(checksum_); }

 private:
  void write(ByteView bytes) {
    XXH3_64bits_update(checksum_, bytes.data(), bytes.size());
    stream_.write(reinterpret_cast<const char*>(bytes.data()),
                  static_cast<std::streamsize>(bytes.size()));
  }
  std::ofstream& stream_;
  ZSTD_CCtx* context_;
  XXH3_state_t* checksum_;
};

/// Reads one entry; false when its fields contradict each other.
bool unpack_entry(ByteView& from, std::uint32_t number, std::uint64_t data_at, LogEntry& entry) {
  auto kind = take<std::uint8_t>(from);
  entry.kind = static_cast<EntryKind>(kind);
  entry.disk = take<DiskNumber>(from);
  auto flags = take<std::uint8_t>(from);
  entry.fua = (flags & 1U) != 0;
  entry.dropped = (flags & 2U) != 0;
  entry.on_medium = (flags & 4U) != 0;
  entry.issued_after = take<std::uint32_t>(from);
  entry.offset_bytes = take<std::uint64_t>(from);
  entry.size_bytes = take<std::uint64_t>(from);
  entry.data_at = has_data(entry.kind) ? data_at : 0;
  bool kind_known = kind <= static_cast<std::uint8_t>(EntryKind::mark);
  bool range_fits = entry.size_bytes <= ~entry.offset_bytes;
  return kind_known && range_fits && flags <= 7 && entry.issued_after < number;
}

/// Undoes `pack`; false when the content is not one that it writes.
bool unpack(ByteView content, std::vector<LogEntry>& entries, LogArena& arena) {
  if (content.size() < 4) {
    return false;
  }
  auto count = take<std::uint32_t>(content);
  if (content.size() / entry_bytes < count) {
    return false;
  }
  std::uint64_t data_at = 0;
  std::uint64_t arena_bytes = content.size() - std::uint64_t{count} * entry_bytes;
  entries.resize(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    LogEntry& entry = entries[i];
    if (!unpack_entry(content, i + 1, data_at, entry)) {
      return false;
    }
    data_at += has_data(entry.kind) ? entry.size_bytes : 0;
    if (has_data(entry.kind) && (entry.size_bytes > arena_bytes || data_at > arena_bytes)) {
      return false;
    }
  }
  for (const LogEntry& entry : entries) {
    if (has_data(entry.kind)) {
      arena.add(content.first(entry.size_bytes));
      content = content.subspan(entry.size_bytes);
    }
  }
  return data_at == arena_bytes;
}

Result<Bytes> read_file(const std::filesystem::path& file) {
  std::error_code trouble;
  std::uint64_t size_bytes = std::filesystem::file_size(file, trouble);
  if (trouble) {
    return fail(fmt::format("cannot read the write log {}: {}", file.string(), trouble.message()));
  }
  std::ifstream stream(file, std::ios::binary);
  Bytes bytes(size_bytes);
  stream.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size_bytes));
  if (!stream) {
    return fail(fmt::format("cannot read the write log {}: {}",
                            file.string(),
                            std::strerror(errno)));  // NOLINT(concurrency-mt-unsafe)
  }
  return bytes;
}

/// Ok when `bytes` begin as a log file does and nothing of them was changed.
Status check_frame(const std::filesystem::path& file, ByteView bytes) {
  if (bytes.size() < magic.size() || std::memcmp(bytes.data(), magic.data(), magic.size()) != 0) {
    return fail(fmt::format(
        "{} is not a write log of powercut; such a file begins with \"{}\"", file.string(), magic));
  }
  if (bytes.size() < header_bytes) {
    return fail(fmt::format("the write log {} is cut short: it has {} bytes and needs at least {}",
                            file.string(),
                            bytes.size(),
                            header_bytes));
  }
  ByteView fields = bytes.subspan(magic.size());
  if (auto found = take<std::uint32_t>(fields); found != version) {
    return fail(fmt::format("the write log {} has version {}; this powercut reads version {}",
                            file.string(),
                            found,
                            version));
  }
  ByteView checked = bytes.subspan(checked_from);
  if (take<std::uint64_t>(fields) != XXH3_64bits(checked.data(), checked.size())) {
    return fail(fmt::format("the write log {} is cut short or damaged: its checksum is wrong",
                            file.string()));
  }
  return {};
}

}  // namespace

const LogEntry& WriteLog::entry(std::uint32_t number) const {
  POWERCUT_CHECK(number >= 1 && number <= size(), "entry {} of a log of {}", number, size());
  return entries_[number - 1];
}

ByteView WriteLog::data(std::uint32_t number) const {
  const LogEntry& it = entry(number);
  return it.kind == EntryKind::write ? arena_.view(it.data_at, it.size_bytes) : ByteView();
}

std::string_view WriteLog::mark_text(std::uint32_t number) const {
  const LogEntry& it = entry(number);
  if (it.kind != EntryKind::mark || it.size_bytes == 0) {
    return {};
  }
  const ByteView text = arena_.view(it.data_at, it.size_bytes);
  return {reinterpret_cast<const char*>(text.data()), text.size()};
}

std::uint32_t WriteLog::add(LogEntry entry, ByteView data) {
  POWERCUT_CHECK(entry.issued_after <= size(), "{} > {}", entry.issued_after, size());
  if (has_data(entry.kind)) {
    entry.data_at = arena_.add(data);
    entry.size_bytes = data.size();
  }
  entries_.push_back(entry);
  return size();
}

std::uint32_t WriteLog::add_write(DiskNumber disk,
                                  std::uint64_t offset_bytes,
                                  ByteView data,
                                  bool fua,
                                  std::uint32_t issued_after) {
  return add({EntryKind::write, disk, fua, issued_after, offset_bytes, 0, 0}, data);
}

std::uint32_t WriteLog::add_flush(DiskNumber disk, std::uint32_t issued_after) {
  return add({EntryKind::flush, disk, false, issued_after, 0, 0, 0}, {});
}

std::uint32_t WriteLog::add_discard(DiskNumber disk,
                                    std::uint64_t offset_bytes,
                                    std::uint64_t size_bytes,
                                    std::uint32_t issued_after) {
  return add({EntryKind::discard, disk, false, issued_after, offset_bytes, size_bytes, 0}, {});
}

std::uint32_t WriteLog::add_mark(std::string_view text) {
  return add({EntryKind::mark, 0, false, size(), 0, 0, 0}, std::as_bytes(std::span(text)));
}

void WriteLog::add_like(const WriteLog& other, std::uint32_t number) {
  LogEntry entry = other.entry(number);
  POWERCUT_CHECK(number == size() + 1, "{} becomes {}", number, size() + 1);
  add(entry,
      has_data(entry.kind) ? other.arena_.view(entry.data_at, entry.size_bytes) : ByteView());
}

void WriteLog::drop(std::uint32_t number) {
  POWERCUT_CHECK(number >= 1 && number <= size(), "entry {} of a log of {}", number, size());
  entries_[number - 1].dropped = true;
}

void WriteLog::settle(std::uint32_t number) {
  POWERCUT_CHECK(number >= 1 && number <= size(), "entry {} of a log of {}", number, size());
  entries_[number - 1].on_medium = true;
}

void WriteLog::clear() {
  entries_.clear();
  arena_.clear();
}

bool WriteLog::operator==(const WriteLog& other) const {
  return entries_ == other.entries_ && arena_ == other.arena_;
}

namespace {

/// True when `packed` is exactly `content.size()` bytes, which it puts there.
bool decompress(ByteView packed, ByteView known, Bytes& content) {
  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(),
                                                                     &ZSTD_freeDCtx);
  POWERCUT_CHECK(context != nullptr, "a context of zstd");
  ZSTD_DCtx_setParameter(context.get(), ZSTD_d_windowLogMax, window_log_max);
  ZSTD_DCtx_refPrefix(context.get(), known.data(), known.size());
  return ZSTD_decompressDCtx(
             context.get(), content.data(), content.size(), packed.data(), packed.size()) ==
         content.size();
}

}  // namespace

Status WriteLog::save(const std::filesystem::path& file, ByteView known) const {
  Bytes header(std::as_bytes(std::span(magic)).begin(), std::as_bytes(std::span(magic)).end());
  put(header, version);
  put(header, std::uint64_t{0});  // the checksum, known at the end
  std::ofstream stream(file, std::ios::binary | std::ios::trunc);
  const auto write = [&stream](ByteView bytes) {
    stream.write(reinterpret_cast<const char*>(bytes.data()),
                 static_cast<std::streamsize>(bytes.size()));
  };
  write(header);
  const Bytes entries = pack(entries_);
  Packer packer(stream, entries.size() + arena_.size_bytes(), known);
  packer.add(entries, false);
  for (const LogEntry& entry : entries_) {
    if (has_data(entry.kind)) {
      packer.add(arena_.view(entry.data_at, entry.size_bytes), false);
    }
  }
  packer.add({}, true);
  Bytes checksum;
  put(checksum, packer.checksum());
  stream.seekp(checked_from - 8);
  write(checksum);
  stream.close();
  if (!stream) {
    return fail(fmt::format("cannot write the write log {}: {}",
                            file.string(),
                            std::strerror(errno)));  // NOLINT(concurrency-mt-unsafe)
  }
  return {};
}

Result<WriteLog> WriteLog::load(const std::filesystem::path& file, ByteView known) {
  Result<Bytes> bytes = read_file(file);
  if (!bytes) {
    return tl::unexpected<Error>(bytes.error());
  }
  Status framed = check_frame(file, *bytes);
  if (!framed) {
    return tl::unexpected<Error>(framed.error());
  }
  ByteView packed = ByteView(*bytes).subspan(checked_from);
  auto content_bytes = take<std::uint64_t>(packed);
  bool plausible = content_bytes <= content_max &&
                   ZSTD_getFrameContentSize(packed.data(), packed.size()) == content_bytes;
  Bytes content(plausible ? content_bytes : 0);
  WriteLog log;
  if (!plausible || !decompress(packed, known, content) ||
      !unpack(content, log.entries_, log.arena_)) {
    return fail(fmt::format(
        "the write log {} has a right checksum and impossible content; it was not written by "
        "powercut, or is larger than {}, or belongs to another history",
        file.string(),
        size_text(content_max)));
  }
  return log;
}

std::string entry_name(std::uint32_t number) {
  return fmt::format("w{:04}", number);
}

}  // namespace faultfs
