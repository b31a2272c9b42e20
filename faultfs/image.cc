// A tree of two levels: the image holds leaves, a leaf holds 64 pages, and both are counted and
// shared between copies. A copy of a 64 MiB disk copies 256 pointers. The first write into a shared
// leaf copies its 64 pointers, the first into a shared page copies (or, when the whole page is
// overwritten, replaces) 4 KiB. Whatever two images still share is equal without looking.
//
// An image also remembers which pages it replaced since it was copied, and the version of the image
// it was copied from. A version is a number that no other content of any image ever has, so while
// the other image still has that version, those pages are all that `rewind_to` must take back.
//
// Counts are atomic, because copies may live on different threads; "only I hold this" is read with
// acquire, so that writing in place happens after the last other reader let go.

#include "faultfs/image.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fstream>

#include <fmt/format.h>

#include "faultfs/base/check.h"
#include "faultfs/base/random.h"

namespace faultfs {

namespace {

constexpr std::uint64_t leaf_pages = 64;
constexpr std::uint64_t leaf_bytes = leaf_pages * Image::page_bytes;
constexpr std::array<std::byte, Image::page_bytes> zero_page{};

/// The part of one page that a range of the disk touches.
struct Piece {
  std::uint64_t page;    ///< its number
  std::uint64_t inside;  ///< first byte in the page
  std::uint64_t at;      ///< first byte in the range
  std::uint64_t size;
  [[nodiscard]] bool whole() const { return size == Image::page_bytes; }
};

/// Calls `visit(Piece)` for each page that [offset, offset + size) touches.
template <typename Visit>
void for_each_piece(std::uint64_t offset_bytes, std::uint64_t size_bytes, Visit visit) {
  for (std::uint64_t at = 0; at < size_bytes;) {
    std::uint64_t inside = (offset_bytes + at) % Image::page_bytes;
    std::uint64_t size = std::min(Image::page_bytes - inside, size_bytes - at);
    visit(Piece{(offset_bytes + at) / Image::page_bytes, inside, at, size});
    at += size;
  }
}

/// As memcpy. The compiler knows that no piece is longer than a page and makes string instructions
/// of a memcpy, which are slower than the library's copy; a memmove it leaves alone.
void copy_bytes(std::byte* to, const std::byte* from, std::uint64_t size) {
  std::memmove(to, from, size);
}

void check_range(std::uint64_t disk_bytes, std::uint64_t offset_bytes, std::uint64_t size_bytes) {
  POWERCUT_CHECK(offset_bytes <= disk_bytes && size_bytes <= disk_bytes - offset_bytes,
                 "bytes {} + {} of a disk of {}",
                 offset_bytes,
                 size_bytes,
                 disk_bytes);
}

/// A number never given before, in any thread: threads take them in blocks.
std::uint64_t fresh_version() {
  constexpr std::uint64_t block = 1U << 20;
  static std::atomic<std::uint64_t> blocks{0};
  thread_local std::uint64_t next = 0;
  if (next % block == 0) {
    next = blocks.fetch_add(1) * block + 1;  // never a multiple of a block: 0 is no version
  }
  return next++;
}

std::string errno_text() {
  return std::strerror(errno);  // NOLINT(concurrency-mt-unsafe): glibc's is per thread
}

}  // namespace

// NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): whoever makes a page fills it.
struct Image::Page {
  std::atomic<std::uint32_t> holders{0};
  std::array<std::byte, page_bytes> bytes;
  [[nodiscard]] bool shared() const { return holders.load(std::memory_order_acquire) > 1; }
};

struct Image::Leaf {
  std::atomic<std::uint32_t> holders{0};
  std::array<PagePtr, leaf_pages> pages;
  [[nodiscard]] bool shared() const { return holders.load(std::memory_order_acquire) > 1; }
};

void intrusive_ptr_add_ref(Image::Page* page) noexcept {
  page->holders.fetch_add(1, std::memory_order_relaxed);
}

void intrusive_ptr_release(Image::Page* page) noexcept {
  if (page->holders.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    delete page;
  }
}

void intrusive_ptr_add_ref(Image::Leaf* leaf) noexcept {
  leaf->holders.fetch_add(1, std::memory_order_relaxed);
}

void intrusive_ptr_release(Image::Leaf* leaf) noexcept {
  if (leaf->holders.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    delete leaf;
  }
}

Image::Image() = default;
Image::Image(std::uint64_t size_bytes)
    : size_bytes_(size_bytes),
      leaves_((size_bytes + leaf_bytes - 1) / leaf_bytes),
      version_(fresh_version()) {}
Image::Image(const Image& other)
    : size_bytes_(other.size_bytes_),
      leaves_(other.leaves_),
      version_(fresh_version()),
      origin_version_(other.version_) {}
Image::Image(Image&&) noexcept = default;
Image& Image::operator=(const Image& other) {
  if (this != &other) {
    *this = Image(other);
  }
  return *this;
}
Image& Image::operator=(Image&&) noexcept = default;
Image::~Image() = default;

const Image::Page* Image::page(std::uint64_t number) const {
  const Leaf* leaf = leaves_[number / leaf_pages].get();
  return leaf == nullptr ? nullptr : leaf->pages[number % leaf_pages].get();
}

Image::PagePtr& Image::page_slot(std::uint64_t number) {
  LeafPtr& leaf = leaves_[number / leaf_pages];
  if (!leaf) {
    leaf.reset(new Leaf);
  } else if (leaf->shared()) {
    LeafPtr own(new Leaf);
    own->pages = leaf->pages;
    leaf = std::move(own);
  }
  return leaf->pages[number % leaf_pages];
}

std::byte* Image::writable_page(std::uint64_t number, bool keep_content) {
  PagePtr& slot = page_slot(number);
  if (slot && !slot->shared()) {
    return slot->bytes.data();
  }
  PagePtr own(new Page);
  if (keep_content) {
    own->bytes = slot ? slot->bytes : zero_page;
  }
  slot = std::move(own);
  note_replaced(number);
  return slot->bytes.data();
}

/// Beyond as many as the disk has pages, a copy is cheaper than the list.
void Image::note_replaced(std::uint64_t number) {
  if (replaced_.size() < leaves_.size() * leaf_pages) {
    replaced_.push_back(static_cast<std::uint32_t>(number));
  } else {
    origin_version_ = 0;
  }
}

void Image::read(std::uint64_t offset_bytes, MutableByteView into) const {
  check_range(size_bytes_, offset_bytes, into.size());
  for_each_piece(offset_bytes, into.size(), [&](const Piece& piece) {
    const Page* from = page(piece.page);
    if (from == nullptr) {
      copy_bytes(into.data() + piece.at, zero_page.data(), piece.size);
    } else {
      copy_bytes(into.data() + piece.at, from->bytes.data() + piece.inside, piece.size);
    }
  });
}

std::uint64_t Image::blank_until(std::uint64_t offset_bytes) const {
  check_range(size_bytes_, offset_bytes, 0);
  std::uint64_t number = offset_bytes / page_bytes;
  while (number * page_bytes < size_bytes_) {
    if (!leaves_[number / leaf_pages]) {
      number = (number / leaf_pages + 1) * leaf_pages;
    } else if (page(number) == nullptr) {
      ++number;
    } else {
      break;
    }
  }
  return std::clamp(number * page_bytes, offset_bytes, size_bytes_);
}

void Image::write(std::uint64_t offset_bytes, ByteView from) {
  check_range(size_bytes_, offset_bytes, from.size());
  version_ = fresh_version();
  for_each_piece(offset_bytes, from.size(), [&](const Piece& piece) {
    std::byte* to = writable_page(piece.page, !piece.whole());
    copy_bytes(to + piece.inside, from.data() + piece.at, piece.size);
  });
}

void Image::write_zeros(std::uint64_t offset_bytes, std::uint64_t size_bytes) {
  check_range(size_bytes_, offset_bytes, size_bytes);
  version_ = fresh_version();
  for_each_piece(offset_bytes, size_bytes, [&](const Piece& piece) {
    if (page(piece.page) == nullptr) {
      return;
    }
    if (piece.whole()) {
      page_slot(piece.page).reset();
      note_replaced(piece.page);
    } else {
      std::memset(writable_page(piece.page, true) + piece.inside, 0, piece.size);
    }
  });
}

void Image::grow_to(std::uint64_t size_bytes) {
  POWERCUT_CHECK(size_bytes >= size_bytes_, "{} of a disk of {}", size_bytes, size_bytes_);
  size_bytes_ = size_bytes;
  leaves_.resize((size_bytes + leaf_bytes - 1) / leaf_bytes);
  version_ = fresh_version();
  origin_version_ = 0;  // no disk of this size was the origin
  replaced_.clear();
}

void Image::copy_range(const Image& from, std::uint64_t offset_bytes, std::uint64_t size_bytes) {
  POWERCUT_CHECK(
      from.size_bytes_ == size_bytes_, "disks of {} and {} bytes", from.size_bytes_, size_bytes_);
  check_range(size_bytes_, offset_bytes, size_bytes);
  version_ = fresh_version();
  for_each_piece(offset_bytes, size_bytes, [&](const Piece& piece) {
    const Page* source = from.page(piece.page);
    if (source == page(piece.page)) {
      return;
    }
    if (piece.whole()) {
      share_page(from, piece.page);
      note_replaced(piece.page);
      return;
    }
    const std::byte* bytes = source == nullptr ? zero_page.data() : source->bytes.data();
    std::memcpy(writable_page(piece.page, true) + piece.inside, bytes + piece.inside, piece.size);
  });
}

void Image::share_page(const Image& from, std::uint64_t number) {
  const LeafPtr& leaf = from.leaves_[number / leaf_pages];
  page_slot(number) = leaf ? leaf->pages[number % leaf_pages] : nullptr;
}

void Image::rewind_to(const Image& base) {
  POWERCUT_CHECK(
      base.size_bytes_ == size_bytes_, "disks of {} and {} bytes", base.size_bytes_, size_bytes_);
  if (origin_version_ == 0 || origin_version_ != base.version_) {
    *this = base;
    return;
  }
  // Leaves of our own are kept: the next state will most likely write there again.
  for (std::uint32_t number : replaced_) {
    share_page(base, number);
  }
  replaced_.clear();
  version_ = fresh_version();
}

bool Image::same_bytes(const Image& other) const {
  if (size_bytes_ != other.size_bytes_) {
    return false;
  }
  for (std::uint64_t number = 0; number * page_bytes < size_bytes_; ++number) {
    const Page* mine = page(number);
    const Page* theirs = other.page(number);
    const auto& my_bytes = mine == nullptr ? zero_page : mine->bytes;
    const auto& their_bytes = theirs == nullptr ? zero_page : theirs->bytes;
    if (mine != theirs && my_bytes != their_bytes) {
      return false;
    }
  }
  return true;
}

std::uint64_t Image::hash() const {
  // A sum over pages, in which a page of zeros counts nothing, so that blank parts cost nothing and
  // it does not matter whether zeros were written or never were.
  static const std::uint64_t zeros = XXH3_64bits(zero_page.data(), page_bytes);
  std::uint64_t sum = mix(size_bytes_, 0);
  for (std::size_t i = 0; i < leaves_.size(); ++i) {
    for (std::size_t slot = 0; leaves_[i] && slot < leaf_pages; ++slot) {
      const Page* it = leaves_[i]->pages[slot].get();
      std::uint64_t content = it == nullptr ? zeros : XXH3_64bits(it->bytes.data(), page_bytes);
      sum += content == zeros ? 0 : mix(content, i * leaf_pages + slot);
    }
  }
  return sum;
}

Status Image::save(const std::filesystem::path& file) const {
  std::ofstream stream(file, std::ios::binary | std::ios::trunc);
  for (std::uint64_t number = 0; number * page_bytes < size_bytes_; ++number) {
    const Page* it = page(number);
    if (it == nullptr || it->bytes == zero_page) {
      continue;
    }
    std::uint64_t at = number * page_bytes;
    stream.seekp(static_cast<std::streamoff>(at));
    stream.write(reinterpret_cast<const char*>(it->bytes.data()),
                 static_cast<std::streamsize>(std::min(page_bytes, size_bytes_ - at)));
  }
  stream.close();
  if (!stream) {
    return fail(fmt::format("cannot write the image {}: {}", file.string(), errno_text()));
  }
  std::error_code trouble;
  std::filesystem::resize_file(file, size_bytes_, trouble);
  if (trouble) {
    return fail(fmt::format("cannot write the image {}: {}", file.string(), trouble.message()));
  }
  return {};
}

Result<Image> Image::load(const std::filesystem::path& file) {
  std::error_code trouble;
  std::uint64_t size_bytes = std::filesystem::file_size(file, trouble);
  std::ifstream stream(file, std::ios::binary);
  if (trouble || !stream) {
    return fail(fmt::format(
        "cannot read the image {}: {}", file.string(), trouble ? trouble.message() : errno_text()));
  }
  Image image(size_bytes);
  std::array<std::byte, page_bytes> bytes{};
  for (std::uint64_t at = 0; at < size_bytes; at += page_bytes) {
    std::uint64_t wanted = std::min(page_bytes, size_bytes - at);
    stream.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(wanted));
    if (!stream) {
      return fail(fmt::format("cannot read the image {}: it ends at byte {} of {}",
                              file.string(),
                              at + static_cast<std::uint64_t>(stream.gcount()),
                              size_bytes));
    }
    if (std::memcmp(bytes.data(), zero_page.data(), wanted) != 0) {
      image.write(at, ByteView(bytes).first(wanted));
    }
  }
  return image;
}

}  // namespace faultfs
