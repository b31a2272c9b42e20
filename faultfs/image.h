#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "faultfs/base/bytes.h"

namespace faultfs {

/// The bytes of one disk, copy on write in 4 KiB pages: copying an image shares every page, and
/// `rewind_to` undoes only the pages written since. So a crash state costs what it touches, not
/// what the disk holds. A page never written reads as zeros and takes no memory.
///
/// Not thread-safe; copies that share pages may live on different threads.
class Image {
 public:
  static constexpr std::uint64_t page_bytes = 4096;

  Image() = default;
  /// A disk of `size_bytes` zero bytes.
  explicit Image(std::uint64_t size_bytes);

  [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }

  /// Copies [offset, offset + into.size()) out. The range must lie inside the disk (checked).
  void read(std::uint64_t offset_bytes, MutableByteView into) const;

  /// Overwrites [offset, offset + from.size()). The range must lie inside the disk (checked).
  void write(std::uint64_t offset_bytes, ByteView from);

  /// Makes this image equal to `base`, from which it was copied (or rewound) earlier, by dropping
  /// the pages written since: the cost is the number of those pages.
  void rewind_to(const Image& base);

  /// True when both hold the same bytes.
  [[nodiscard]] bool same_bytes(const Image& other) const;

  /// A hash of the whole content (XXH3); equal bytes give equal hashes.
  [[nodiscard]] std::uint64_t hash() const;

  /// Writes all bytes to `file` as a sparse raw image, or reads one.
  [[nodiscard]] Status save(const std::filesystem::path& file) const;
  [[nodiscard]] static Result<Image> load(const std::filesystem::path& file);

 private:
  struct Page;
  using PagePtr = std::shared_ptr<Page>;
  std::uint64_t size_bytes_ = 0;
  std::vector<PagePtr> pages_;        // null: zeros
  std::vector<std::uint32_t> dirty_;  // pages replaced since the last copy or rewind
};

}  // namespace faultfs
