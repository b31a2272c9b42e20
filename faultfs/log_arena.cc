// Parts of up to 2 MiB, each allocated once and filled from the front, so that nothing is ever
// moved and a view stays where it is. A fresh page costs a page fault, which is more than recording
// 4 KiB costs otherwise: large parts ask for huge pages, and the memory of parts that were spilled
// or forgotten (32 MiB of it at most) is used for the next ones.
//
// A copy shares all parts. The bytes it sees never change, and only the original goes on filling
// the last part, behind what the copy sees; the copy begins a new part when something is added to
// it.

#include "faultfs/log_arena.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <system_error>

#include <fmt/format.h>

#include "faultfs/base/check.h"

namespace faultfs {

namespace {

constexpr std::uint64_t first_part_bytes = 64_KiB;
constexpr std::uint64_t part_bytes_max = 2_MiB;  // a huge page
constexpr std::size_t loaded_max = 16;
constexpr std::size_t spare_max = 16;  // of 2 MiB each

std::string reason() {
  return std::generic_category().message(errno);
}

}  // namespace

/// Memory of a fixed size.
class LogArena::Memory {
 public:
  explicit Memory(std::uint64_t size_bytes) : size_bytes_(size_bytes) {
    const bool huge = size_bytes % part_bytes_max == 0;
    void* memory = std::aligned_alloc(huge ? part_bytes_max : 64, (size_bytes + 63) / 64 * 64);
    POWERCUT_CHECK(memory != nullptr, "{} bytes", size_bytes);
    if (huge) {
      madvise(memory, size_bytes, MADV_HUGEPAGE);  // where there are none, small ones do
    }
    bytes_ = static_cast<std::byte*>(memory);
  }
  ~Memory() { std::free(bytes_); }  // NOLINT(cppcoreguidelines-no-malloc): aligned
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  [[nodiscard]] std::byte* bytes() const { return bytes_; }
  [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }

 private:
  std::uint64_t size_bytes_;
  std::byte* bytes_ = nullptr;
};

/// A file that nobody else can open, gone when it is closed.
class LogArena::SpillFile {
 public:
  SpillFile() {
    std::error_code error;
    directory_ = std::filesystem::temp_directory_path(error).string();
    descriptor_ = open(directory_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (descriptor_ < 0) {  // a file system that cannot do that
      std::string name = directory_ + "/powercut-log-XXXXXX";
      descriptor_ = mkostemp(name.data(), O_CLOEXEC);
      unlink(name.c_str());
    }
  }
  ~SpillFile() { close(descriptor_); }
  SpillFile(const SpillFile&) = delete;
  SpillFile& operator=(const SpillFile&) = delete;

  /// Appends; empty when that worked, else the reason.
  std::string append(ByteView bytes) {
    for (std::uint64_t done = 0; done < bytes.size();) {
      const ssize_t wrote = pwrite(descriptor_,
                                   bytes.data() + done,
                                   bytes.size() - done,
                                   static_cast<off_t>(size_bytes_ + done));
      if (wrote <= 0) {
        return fmt::format("a file in {} cannot be written: {}", directory_, reason());
      }
      done += static_cast<std::uint64_t>(wrote);
    }
    size_bytes_ += bytes.size();
    return {};
  }
  void read(std::uint64_t at, MutableByteView into) const {
    for (std::uint64_t done = 0; done < into.size();) {
      const ssize_t got =
          pread(descriptor_, into.data() + done, into.size() - done, static_cast<off_t>(at + done));
      POWERCUT_CHECK(got > 0, "the spilled log in {} cannot be read: {}", directory_, reason());
      done += static_cast<std::uint64_t>(got);
    }
  }
  [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }

 private:
  std::string directory_;
  int descriptor_ = -1;
  std::uint64_t size_bytes_ = 0;
};

struct LogArena::Part {
  std::uint64_t begin = 0, size_bytes = 0;
  std::shared_ptr<Memory> memory;         ///< null: spilled
  std::shared_ptr<const SpillFile> file;  ///< spilled: where to
  std::uint64_t file_at = 0, packed_bytes = 0;
};

struct LogArena::Loaded {
  std::uint64_t begin;
  std::unique_ptr<Bytes> bytes;
};

LogArena::LogArena() = default;
LogArena::~LogArena() = default;
LogArena::LogArena(LogArena&& other) noexcept = default;
LogArena& LogArena::operator=(LogArena&& other) noexcept = default;

LogArena::LogArena(const LogArena& other)
    : parts_(other.parts_),
      size_bytes_(other.size_bytes_),
      memory_max_(other.memory_max_),
      memory_bytes_(other.memory_bytes_),
      sealed_(true),
      first_in_memory_(other.first_in_memory_),
      trouble_(other.trouble_) {}

LogArena& LogArena::operator=(const LogArena& other) {
  if (this != &other) {
    LogArena copy(other);
    *this = std::move(copy);
  }
  return *this;
}

std::uint64_t LogArena::add(ByteView data) {
  if (parts_.empty() || sealed_ ||
      data.size() > parts_.back().memory->size_bytes() - parts_.back().size_bytes) {
    open_part(data.size());
  }
  Part& last = parts_.back();
  if (!data.empty()) {
    std::memcpy(last.memory->bytes() + last.size_bytes, data.data(), data.size());
  }
  last.size_bytes += data.size();
  size_bytes_ += data.size();
  memory_bytes_ += data.size();
  return size_bytes_ - data.size();
}

/// Begins a part with room for `bytes`.
void LogArena::open_part(std::uint64_t bytes) {
  spill_old();
  std::uint64_t wanted = first_part_bytes;
  if (!parts_.empty()) {
    const std::uint64_t last = parts_.back().memory ? parts_.back().memory->size_bytes() : 0;
    wanted = std::clamp(2 * last, first_part_bytes, part_bytes_max);
  }
  Part part;
  part.begin = size_bytes_;
  if (!spare_.empty() && spare_.back()->size_bytes() >= std::max(bytes, wanted)) {
    part.memory = std::move(spare_.back());
    spare_.pop_back();
  } else {
    part.memory = std::make_shared<Memory>(std::max(bytes, wanted));
  }
  parts_.push_back(std::move(part));
  sealed_ = false;
}

void LogArena::spill_old() {
  while (memory_max_ != 0 && trouble_.empty() && first_in_memory_ < parts_.size() &&
         memory_bytes_ + part_bytes_max > memory_max_) {
    Part& part = parts_[first_in_memory_];
    if (!spill(part)) {
      return;
    }
    memory_bytes_ -= part.size_bytes;
    ++first_in_memory_;
  }
}

/// Keeps `memory` for another part, where nobody else looks at it and it is of the usual size.
void LogArena::keep_spare(std::shared_ptr<Memory> memory) {
  if (memory && memory.use_count() == 1 && memory->size_bytes() == part_bytes_max &&
      spare_.size() < spare_max) {
    std::atomic_thread_fence(std::memory_order_acquire);  // whoever shared it has read it
    spare_.push_back(std::move(memory));
  }
}

bool LogArena::spill(Part& part) {
  Bytes packed(ZSTD_compressBound(part.size_bytes));
  const std::size_t packed_bytes = ZSTD_compress(
      packed.data(), packed.size(), part.memory->bytes(), part.size_bytes, /*level=*/1);
  POWERCUT_CHECK(ZSTD_isError(packed_bytes) == 0, "{}", ZSTD_getErrorName(packed_bytes));
  if (!file_) {
    file_ = std::make_shared<SpillFile>();
  }
  part.file_at = file_->size_bytes();
  part.packed_bytes = packed_bytes;
  trouble_ = file_->append(ByteView(packed).first(packed_bytes));
  if (!trouble_.empty()) {
    return false;
  }
  part.file = file_;
  keep_spare(std::move(part.memory));
  part.memory.reset();
  return true;
}

const LogArena::Part& LogArena::part_of(std::uint64_t at) const {
  if (at >= parts_.back().begin) {
    return parts_.back();
  }
  const auto behind = std::upper_bound(
      parts_.begin(), parts_.end(), at, [](std::uint64_t position, const Part& part) {
        return position < part.begin;
      });
  return *std::prev(behind);
}

ByteView LogArena::load(const Part& part) const {
  const auto known = std::find_if(
      loaded_.begin(), loaded_.end(), [&part](const Loaded& it) { return it.begin == part.begin; });
  if (known != loaded_.end()) {
    return *known->bytes;
  }
  Bytes packed(part.packed_bytes);
  part.file->read(part.file_at, packed);
  auto bytes = std::make_unique<Bytes>(part.size_bytes);
  const std::size_t unpacked =
      ZSTD_decompress(bytes->data(), bytes->size(), packed.data(), packed.size());
  POWERCUT_CHECK(unpacked == part.size_bytes, "a part of the spilled log is damaged");
  if (loaded_.size() == loaded_max) {
    loaded_.erase(loaded_.begin());
  }
  loaded_.push_back({part.begin, std::move(bytes)});
  return *loaded_.back().bytes;
}

ByteView LogArena::view(std::uint64_t at, std::uint64_t size_bytes) const {
  if (size_bytes == 0) {
    return {};
  }
  POWERCUT_CHECK(at + size_bytes <= size_bytes_, "{} + {} of {}", at, size_bytes, size_bytes_);
  const Part& part = part_of(at);
  const ByteView bytes = part.memory ? ByteView(part.memory->bytes(), part.size_bytes) : load(part);
  return bytes.subspan(at - part.begin, size_bytes);
}

void LogArena::clear() {
  for (Part& part : parts_) {
    keep_spare(std::move(part.memory));
  }
  parts_.clear();
  loaded_.clear();
  file_.reset();
  trouble_.clear();
  size_bytes_ = memory_bytes_ = 0;
  first_in_memory_ = 0;
  sealed_ = false;
}

void LogArena::keep_in_memory(std::uint64_t bytes) {
  memory_max_ = bytes == 0 ? 0 : std::max(bytes, part_bytes_max);
}

ArenaState LogArena::state() const {
  return {memory_bytes_, size_bytes_ - memory_bytes_, file_ ? file_->size_bytes() : 0, trouble_};
}

bool LogArena::operator==(const LogArena& other) const {
  if (size_bytes_ != other.size_bytes_) {
    return false;
  }
  // Parts of the two may end at different places.
  for (std::uint64_t at = 0; at < size_bytes_;) {
    const Part& mine = part_of(at);
    const Part& theirs = other.part_of(at);
    const std::uint64_t end =
        std::min(mine.begin + mine.size_bytes, theirs.begin + theirs.size_bytes);
    const ByteView left = view(at, std::min(end, size_bytes_) - at);
    const ByteView right = other.view(at, left.size());
    if (!std::equal(left.begin(), left.end(), right.begin(), right.end())) {
      return false;
    }
    at += left.size();
  }
  return true;
}

}  // namespace faultfs
