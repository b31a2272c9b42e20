// A span of one stripe, as Traffic Server 9.2 lays it out (units: store blocks of 8 KiB):
//
//   8 KiB    span header: magic, volumes, the table of stripes
//   16 KiB   directory copy A:  header | entries | footer
//            directory copy B:  the same
//            documents, to the end
//
// The directory is sized for objects of 8000 bytes on average: entries = room / 8000, four to a
// bucket, at most 16384 buckets to a segment, 10 bytes an entry. The room is what the directories
// themselves leave, so the sum is made three times over, as the server does.
//
// Header and footer are one struct of 80 bytes: magic at 0, the serial of the sync at 52. A sync
// writes header, entries, footer in this order, to A when its serial is even, else to B; a copy
// counts when the serials of its two ends agree.
#include "scenarios/formats/stripe_layout.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace scenarios {
namespace {

constexpr std::uint64_t block_bytes = 8192, stripe_offset = 2 * block_bytes;
constexpr std::uint64_t object_bytes = 8000, bucket_entries = 4, entry_bytes = 10;
constexpr std::uint64_t segment_buckets_max = 16384, header_struct_bytes = 80;
constexpr std::uint64_t magic_at = 0, serial_at = 52;
constexpr std::uint32_t magic = 0xF1D0F00D;

std::uint64_t in_blocks(std::uint64_t bytes) {
  return (bytes + block_bytes - 1) / block_bytes * block_bytes;
}

std::uint32_t read_word(const faultfs::Image& disk, std::uint64_t offset_bytes) {
  std::array<std::byte, 4> bytes{};
  disk.read(offset_bytes, bytes);
  std::uint32_t word = 0;
  std::memcpy(&word, bytes.data(), sizeof word);
  return word;
}

std::uint32_t serial_of(const faultfs::Image& disk, std::uint64_t block) {
  return read_word(disk, block + magic_at) == magic ? read_word(disk, block + serial_at) : 0;
}

}  // namespace

StripeLayout stripe_layout(std::uint64_t disk_bytes) {
  StripeLayout layout;
  layout.end = disk_bytes / block_bytes * block_bytes;
  layout.copy_a = stripe_offset;
  layout.data = stripe_offset;
  for (int round = 0; round < 3; ++round) {
    const std::uint64_t room = layout.end > layout.data ? layout.end - layout.data : 0;
    const std::uint64_t buckets = std::max<std::uint64_t>(1, room / object_bytes / bucket_entries);
    const std::uint64_t segments = (buckets + segment_buckets_max - 1) / segment_buckets_max;
    const std::uint64_t of_each = (buckets + segments - 1) / segments;
    layout.copy_bytes = in_blocks(header_struct_bytes + 2 * (segments - 1)) +
                        in_blocks(of_each * bucket_entries * segments * entry_bytes) + block_bytes;
    layout.data = stripe_offset + 2 * layout.copy_bytes;
  }
  layout.copy_b = layout.copy_a + layout.copy_bytes;
  return layout;
}

std::uint32_t DirectorySerials::complete() const {
  return std::max(header_a == footer_a ? header_a : 0, header_b == footer_b ? header_b : 0);
}

bool DirectorySerials::is_torn() const {
  return header_a > footer_a || header_b > footer_b;
}

DirectorySerials read_serials(const faultfs::Image& disk) {
  const StripeLayout layout = stripe_layout(disk.size_bytes());
  return {serial_of(disk, layout.copy_a),
          serial_of(disk, layout.copy_b - block_bytes),
          serial_of(disk, layout.copy_b),
          serial_of(disk, layout.data - block_bytes)};
}

}  // namespace scenarios
