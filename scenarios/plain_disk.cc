// The file stays and is mapped, so that a crash state costs a copy of what was ever written to its
// disk, and no system call. Programs that read it see the same pages at once: it is a tmpfs file
// wherever a campaign runs.
#include "scenarios/plain_disk.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include <fmt/format.h>

#include "faultfs/base/check.h"

namespace scenarios {
namespace {

bool is_blank(faultfs::MutableByteView bytes) {
  // Compared with itself, one byte on.
  return bytes.empty() || (bytes.front() == std::byte{} &&
                           std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

faultfs::Error trouble(const std::filesystem::path& file) {
  return {fmt::format(
      "a plain disk {} cannot be made: {}", file.string(), std::generic_category().message(errno))};
}

}  // namespace

faultfs::Result<std::unique_ptr<PlainDisk>> PlainDisk::create(const std::filesystem::path& file,
                                                              std::uint64_t size_bytes) {
  constexpr mode_t everybody = 0666;
  const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, everybody);
  if (descriptor < 0) {
    return tl::unexpected(trouble(file));
  }
  void* mapped = MAP_FAILED;
  if (::ftruncate(descriptor, static_cast<off_t>(size_bytes)) == 0 &&
      ::fchmod(descriptor, everybody) == 0) {
    mapped = ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  }
  const faultfs::Error why = trouble(file);
  ::close(descriptor);
  if (mapped == MAP_FAILED) {
    return tl::unexpected(why);
  }
  return std::unique_ptr<PlainDisk>(
      new PlainDisk(file, {static_cast<std::byte*>(mapped), size_bytes}));
}

PlainDisk::~PlainDisk() {
  ::munmap(bytes_.data(), bytes_.size());
  ::unlink(file_.c_str());
}

void PlainDisk::put(const faultfs::Image& image) {
  POWERCUT_CHECK(image.size_bytes() == bytes_.size(),
                 "an image of {} bytes for a disk of {}",
                 image.size_bytes(),
                 bytes_.size());
  constexpr std::uint64_t piece_bytes = std::uint64_t{64} << 10U;
  for (std::uint64_t at = 0; at < bytes_.size();) {
    const std::uint64_t blank_end = std::min<std::uint64_t>(image.blank_until(at), bytes_.size());
    const auto blank = bytes_.subspan(at, blank_end - at);
    if (!is_blank(blank)) {
      std::memset(blank.data(), 0, blank.size());
    }
    const auto rest = bytes_.subspan(blank_end);
    const auto piece = rest.first(std::min<std::uint64_t>(rest.size(), piece_bytes));
    if (!piece.empty()) {
      image.read(blank_end, piece);
    }
    at = blank_end + piece.size();
  }
}

}  // namespace scenarios
