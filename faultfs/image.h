#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include <boost/smart_ptr/intrusive_ptr.hpp>

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

  Image();
  /// A disk of `size_bytes` zero bytes.
  explicit Image(std::uint64_t size_bytes);
  Image(const Image&);
  Image(Image&&) noexcept;
  Image& operator=(const Image&);
  Image& operator=(Image&&) noexcept;
  ~Image();

  [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }

  /// The same disk with zeros behind it, up to `size_bytes`; not less than it has.
  void grow_to(std::uint64_t size_bytes);

  /// Copies [offset, offset + into.size()) out. The range must lie inside the disk (checked).
  void read(std::uint64_t offset_bytes, MutableByteView into) const;

  /// Nothing was ever written to [offset, result), which reads as zeros; the offset itself where
  /// something may have been.
  [[nodiscard]] std::uint64_t blank_until(std::uint64_t offset_bytes) const;

  /// Overwrites [offset, offset + from.size()). The range must lie inside the disk (checked).
  void write(std::uint64_t offset_bytes, ByteView from);

  /// As `write` of that many zeros; whole pages are given back.
  void write_zeros(std::uint64_t offset_bytes, std::uint64_t size_bytes);

  /// As reading the range from `from`, a disk of the same size, and writing it here; whole pages
  /// are shared, not copied.
  void copy_range(const Image& from, std::uint64_t offset_bytes, std::uint64_t size_bytes);

  /// Makes this image equal to `base`, a disk of the same size. Where it was copied from (or last
  /// rewound to) `base` and only this one was written since, the cost is the number of pages
  /// written; otherwise that of a copy.
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
  struct Leaf;
  using PagePtr = boost::intrusive_ptr<Page>;
  using LeafPtr = boost::intrusive_ptr<Leaf>;
  friend void intrusive_ptr_add_ref(Page* page) noexcept;
  friend void intrusive_ptr_release(Page* page) noexcept;
  friend void intrusive_ptr_add_ref(Leaf* leaf) noexcept;
  friend void intrusive_ptr_release(Leaf* leaf) noexcept;

  [[nodiscard]] const Page* page(std::uint64_t number) const;
  PagePtr& page_slot(std::uint64_t number);
  void note_replaced(std::uint64_t number);
  void share_page(const Image& from, std::uint64_t number);
  std::byte* writable_page(std::uint64_t number, bool keep_content);

  std::uint64_t size_bytes_ = 0;
  std::vector<LeafPtr> leaves_;          // each holds 64 pages; null: zeros
  std::uint64_t version_ = 0;            // changes with every write, never the same twice
  std::uint64_t origin_version_ = 0;     // of the image this one was copied from or rewound to
  std::vector<std::uint32_t> replaced_;  // pages that differ from that one
};

}  // namespace faultfs
