// A span of Traffic Server 9 and 10 (numbers are the host's own; store blocks are 8 KiB):
//
//   8 KiB     span header: magic 0xABCD1237 at 0, number of rows at 4, then at 32 rows of 24 bytes,
//             one for each stripe: byte offset (8), length in store blocks (8), volume number (4),
//             type and a bit that says it is free (4)
//   a stripe  directory copy A, directory copy B, documents to its end
//   a copy    header | rows of 10 bytes | footer in the last store block
//
// Header and footer are one struct: magic 0xF1D0F00D at 0, version at 4 and 6, where the next data
// write goes at 16 and where the last one began at 24, phase at 44, cycle at 48, sync serial at 52,
// write serial at 56, sector size at 64. A copy is complete when the serials of both ends agree.
// How long a copy is follows from settings that the span does not hold; the footer is found by its
// magic instead.
//
// A row, five words of 16 bits: the document's place in units of 512 bytes, counted from 1 at the
// beginning of the documents, in word 0, the low byte of word 1, and word 4; its length as a step
// (6 bits) of a size class (2 bits) in the rest of word 1; tag, phase, head and pinned in word 2;
// the next row of its bucket in word 3. Place 0: the row is empty.
//
// A document, at the beginning of a sector: magic 0x5F129B13 at 0, length at 4, total length of the
// object at 8, key of the object at 16, key of the fragment at 32, length of the metadata (HTTP
// headers) at 48, type and version at 52, sync and write serial at 56 and 60, checksum at 68
// (0xA0B0C0D0: none). 72 bytes, then metadata, then body; then nothing up to the next multiple of
// its size class and of a sector.
//
// Example: an object of 400 KiB with fragments of 128 KiB is four documents, fragments 1, 2, 3 and
// then the head, whose metadata holds the HTTP headers and says which key its first fragment has.
#include "scenarios/formats/trafficserver_cache.h"

#include <algorithm>
#include <map>
#include <set>

#include <fmt/format.h>

namespace scenarios::formats {

namespace {

constexpr std::uint64_t block_bytes = 8192, span_header_at = block_bytes;
constexpr std::uint32_t span_magic = 0xABCD1237, stripe_magic = 0xF1D0F00D;
constexpr std::uint32_t document_magic = 0x5F129B13, no_checksum = 0xA0B0C0D0;
constexpr std::uint64_t span_row_bytes = 24, span_rows_at = 32, span_rows_max = 256;
constexpr std::uint64_t row_bytes = 10, place_bytes = 512;
constexpr std::uint64_t document_header_bytes = 72;
constexpr std::uint64_t fragment_bytes_max = 4 << 20;
constexpr std::uint32_t sector_bytes_min = 512;

std::uint64_t rounded(std::uint64_t bytes, std::uint64_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

/// The step of the size class that `length` belongs to.
std::uint64_t class_step(std::uint64_t length) {
  std::uint64_t step = place_bytes;
  while (step < (place_bytes << 9U) && length > step * 64) {
    step *= 8;
  }
  return step;
}

/// As `Image::read`, and zeros where the disk ends.
void read_what_is_there(const faultfs::Image& disk, std::uint64_t at, faultfs::Bytes& into) {
  std::fill(into.begin(), into.end(), std::byte{0});
  if (at < disk.size_bytes()) {
    disk.read(at,
              faultfs::MutableByteView(into).first(
                  std::min<std::uint64_t>(into.size(), disk.size_bytes() - at)));
  }
}

StripeHeader header_at(const faultfs::Image& disk, std::uint64_t at) {
  faultfs::Bytes bytes(128);
  read_what_is_there(disk, at, bytes);
  return decode_stripe_header(bytes);
}

/// Where the footer of the copy that begins at `at` lies; none before `end`.
std::optional<std::uint64_t> find_footer(const faultfs::Image& disk,
                                         std::uint64_t at,
                                         std::uint64_t end) {
  for (std::uint64_t block = at + block_bytes; block + block_bytes <= end; block += block_bytes) {
    if (header_at(disk, block).is_one()) {
      return block;
    }
  }
  return std::nullopt;
}

DirectoryCopy read_copy(const faultfs::Image& disk, std::uint64_t at, std::uint64_t size_bytes) {
  DirectoryCopy copy;
  copy.at = at;
  copy.size_bytes = size_bytes;
  copy.header = header_at(disk, at);
  copy.footer = header_at(disk, at + size_bytes - block_bytes);
  return copy;
}

/// The rows of `copy` that are in use.
std::vector<DirectoryRow> rows_of(const faultfs::Image& disk,
                                  const DirectoryCopy& copy,
                                  std::uint64_t data) {
  std::vector<DirectoryRow> rows;
  faultfs::Bytes bytes(block_bytes * row_bytes);  // rows do not lie across its end
  const std::uint64_t end = copy.at + copy.size_bytes - block_bytes;
  for (std::uint64_t at = copy.at + block_bytes; at < end; at += bytes.size()) {
    read_what_is_there(disk, at, bytes);
    const std::uint64_t here = std::min<std::uint64_t>(bytes.size(), end - at);
    for (std::uint64_t row = 0; row + row_bytes <= here; row += row_bytes) {
      if (const auto used = decode_row(part(bytes, row, row_bytes), data)) {
        rows.push_back(*used);
      }
    }
  }
  return rows;
}

/// Finds documents from the beginning of the data on: one behind the other, and where there is
/// none, at the next sector that begins with one.
void find_documents(const faultfs::Image& disk, std::uint32_t sector_bytes, CacheStripe& stripe) {
  std::map<KeyHash, std::uint32_t> fragments;
  faultfs::Bytes bytes(document_header_bytes);
  const std::uint64_t end = std::min(stripe.at + stripe.size_bytes, disk.size_bytes());
  for (std::uint64_t at = stripe.data; at + document_header_bytes <= end;) {
    if (const std::uint64_t blank = disk.blank_until(at) / sector_bytes_min * sector_bytes_min;
        blank > at) {
      at = blank;
      continue;
    }
    disk.read(at, bytes);
    const auto document = decode_document(bytes, at, sector_bytes);
    if (!document) {
      at += sector_bytes_min;
      continue;
    }
    FoundDocument found{*document, 0, false};
    std::uint32_t& count = fragments[document->object];
    count = document->is_head() ? 0 : count + 1;
    found.fragment = count;
    stripe.documents.push_back(found);
    at += document->stored_bytes;
  }
}

void mark_listed(const faultfs::Image& disk, CacheStripe& stripe) {
  for (DirectoryCopy* copy : {&stripe.a, &stripe.b}) {
    copy->rows_used = static_cast<std::uint32_t>(rows_of(disk, *copy, stripe.data).size());
  }
  const DirectoryCopy* newest = stripe.newest();
  if (newest == nullptr) {
    return;
  }
  std::set<std::uint64_t> places;
  for (const DirectoryRow& row : rows_of(disk, *newest, stripe.data)) {
    places.insert(row.at);
  }
  std::size_t found = 0;
  for (FoundDocument& document : stripe.documents) {
    document.listed = places.contains(document.document.at);
    found += document.listed ? 1U : 0U;
  }
  stripe.rows_to_nothing = static_cast<std::uint32_t>(places.size() - found);
}

/// None, and why, where no stripe can be told there.
std::optional<CacheStripe> read_stripe(const faultfs::Image& disk,
                                       std::uint64_t at,
                                       std::uint64_t size_bytes,
                                       std::vector<std::string>& trouble) {
  const std::uint64_t end = std::min(at + size_bytes, disk.size_bytes());
  const auto footer = find_footer(disk, at, end);
  if (!footer) {
    trouble.push_back(fmt::format("stripe at 0x{:x}: no footer of a directory is found", at));
    return std::nullopt;
  }
  const std::uint64_t copy_bytes = *footer + block_bytes - at;
  if (copy_bytes > (end - at) / 2) {
    trouble.push_back(fmt::format(
        "stripe at 0x{:x}: a directory of {} bytes leaves no room for a second", at, copy_bytes));
    return std::nullopt;
  }
  CacheStripe stripe;
  stripe.at = at;
  stripe.size_bytes = size_bytes;
  stripe.a = read_copy(disk, at, copy_bytes);
  stripe.b = read_copy(disk, at + copy_bytes, copy_bytes);
  stripe.data = at + 2 * copy_bytes;
  const DirectoryCopy* newest = stripe.newest();
  const std::uint32_t sector = newest != nullptr ? newest->header.sector_bytes : 0;
  find_documents(disk, std::clamp<std::uint32_t>(sector, sector_bytes_min, block_bytes), stripe);
  mark_listed(disk, stripe);
  return stripe;
}

}  // namespace

bool StripeHeader::is_one() const {
  return magic == stripe_magic;
}

StripeHeader decode_stripe_header(faultfs::ByteView bytes) {
  StripeHeader header;
  header.magic = field<std::uint32_t>(bytes, 0);
  header.version_major = field<std::uint16_t>(bytes, 4);
  header.version_minor = field<std::uint16_t>(bytes, 6);
  header.write_at = field<std::uint64_t>(bytes, 16);
  header.last_write_at = field<std::uint64_t>(bytes, 24);
  header.phase = field<std::uint32_t>(bytes, 44);
  header.cycle = field<std::uint32_t>(bytes, 48);
  header.sync_serial = field<std::uint32_t>(bytes, 52);
  header.write_serial = field<std::uint32_t>(bytes, 56);
  header.sector_bytes = field<std::uint32_t>(bytes, 64);
  return header;
}

std::optional<DirectoryRow> decode_row(faultfs::ByteView bytes, std::uint64_t data) {
  const auto word = [&bytes](std::uint64_t number) {
    return static_cast<std::uint64_t>(field<std::uint16_t>(bytes, 2 * number));
  };
  const std::uint64_t place = word(0) | (word(1) & 0xffU) << 16U | word(4) << 24U;
  if (place == 0) {
    return std::nullopt;
  }
  DirectoryRow row;
  row.at = data + (place - 1) * place_bytes;
  row.length_bytes = ((word(1) >> 10U) + 1) * (place_bytes << (3 * ((word(1) >> 8U) & 3U)));
  row.tag = static_cast<std::uint16_t>(word(2) & 0xfffU);
  row.phase = (word(2) >> 12U & 1U) != 0;
  row.head = (word(2) >> 13U & 1U) != 0;
  row.pinned = (word(2) >> 14U & 1U) != 0;
  return row;
}

bool DirectoryCopy::complete() const {
  return header.is_one() && footer.is_one() && header.sync_serial == footer.sync_serial;
}

std::uint64_t CacheDocument::body_at() const {
  return document_header_bytes + metadata_bytes;
}

std::optional<CacheDocument> decode_document(faultfs::ByteView bytes,
                                             std::uint64_t at,
                                             std::uint32_t sector_bytes) {
  CacheDocument document;
  document.at = at;
  document.length_bytes = field<std::uint32_t>(bytes, 4);
  document.metadata_bytes = field<std::uint32_t>(bytes, 48);
  if (bytes.size() < document_header_bytes || field<std::uint32_t>(bytes, 0) != document_magic ||
      document.length_bytes < document_header_bytes || document.length_bytes > fragment_bytes_max ||
      document.metadata_bytes > document.length_bytes - document_header_bytes) {
    return std::nullopt;
  }
  const std::uint64_t step = class_step(document.length_bytes);
  document.stored_bytes =
      rounded(rounded(document.length_bytes, step), std::max(sector_bytes, sector_bytes_min));
  document.total_bytes = field<std::uint64_t>(bytes, 8);
  document.object = key_hash(bytes, 16);
  document.key = key_hash(bytes, 32);
  document.type = field<std::uint8_t>(bytes, 52);
  document.version_major = field<std::uint8_t>(bytes, 53);
  document.version_minor = field<std::uint8_t>(bytes, 54);
  document.sync_serial = field<std::uint32_t>(bytes, 56);
  document.write_serial = field<std::uint32_t>(bytes, 60);
  document.has_checksum = field<std::uint32_t>(bytes, 68) != no_checksum;
  return document;
}

const DirectoryCopy* CacheStripe::newest() const {
  if (a.complete() && (!b.complete() || a.header.sync_serial >= b.header.sync_serial)) {
    return &a;
  }
  return b.complete() ? &b : nullptr;
}

CacheImage decode_trafficserver(const faultfs::Image& disk) {
  CacheImage image;
  faultfs::Bytes header(block_bytes);
  read_what_is_there(disk, span_header_at, header);
  image.is_span = field<std::uint32_t>(header, 0) == span_magic;
  if (!image.is_span) {
    image.trouble.emplace_back("there is no span header at 8 KiB");
    return image;
  }
  // The counts of the header are not to be trusted: rows are read until one is no stripe.
  for (std::uint64_t row = 0; row < span_rows_max; ++row) {
    const std::uint64_t row_at = span_rows_at + row * span_row_bytes;
    const auto at = field<std::uint64_t>(header, row_at);
    const auto blocks = field<std::uint64_t>(header, row_at + 8);
    if (at == 0 && blocks == 0) {
      break;
    }
    if (at < 2 * block_bytes || at % block_bytes != 0 || at >= disk.size_bytes() || blocks == 0 ||
        blocks > (disk.size_bytes() - at) / block_bytes) {
      image.trouble.push_back(fmt::format(
          "row {} of the span header tells of {} blocks at 0x{:x}, which is not on this disk",
          row,
          blocks,
          at));
      break;
    }
    if (auto stripe = read_stripe(disk, at, blocks * block_bytes, image.trouble)) {
      image.stripes.push_back(std::move(*stripe));
    }
  }
  return image;
}

}  // namespace scenarios::formats
