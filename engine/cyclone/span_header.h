#pragma once

/// A span is one device. Its first 16 KiB hold the span header twice, at 0 and at 8192, written in
/// turn: serial, how it is cut into stripes (layout, volumes, hosting rules), their instance and
/// the number of their lives, behind a checksum. A write that is torn or lost leaves the other copy
/// whole.
///
///     0    magic u32, version u16 u16, span bytes u64, serial u64, instance u64 x 2
///     40   average object, sector, aggregation, fragment u32 x 4
///     56   stripes of each volume u32, volumes u16, bytes of hosting rules u16
///     64   lives u64
///     128  for each volume: tag u32, weight u32
///     1152 hosting rules, text
///     8184 checksum u64 of everything before
///
/// Every opening but those for inspection counts the lives up by one, durably, before it does
/// anything else: so a directory that was kept elsewhere (restart/) can tell that the disk was
/// opened without it, even if nothing was changed or synced since.
///
/// The instance is what makes a *clear* safe at every step: first a header with a new instance is
/// durable, from then on no directory copy written before passes, then an empty copy is written.

#include <optional>

#include "engine/block/device.h"
#include "engine/cyclone/config.h"
#include "engine/cyclone/image.h"

namespace engine::cyclone {

inline constexpr std::uint32_t span_magic = 0xABCD1237;
inline constexpr std::uint64_t span_reserved_bytes = 2ULL * store_block_bytes;

struct SpanHeader {
  std::uint64_t span_bytes = 0;
  std::uint64_t serial = 0;
  std::uint64_t life = 0;  ///< openings so far, of this instance
  Instance instance;
  Layout layout;  ///< as configured, zeros for "by the stripe's size"
  Division division;
  [[nodiscard]] bool operator==(const SpanHeader&) const;
};

/// Another number, and not 0, in each life of each instance.
[[nodiscard]] std::uint64_t life_mark(const SpanHeader& header);

/// `block` is one store block.
void encode_span(const SpanHeader& header, std::span<std::byte> block);
/// None where the block is of another format, or damaged.
[[nodiscard]] std::optional<SpanHeader> decode_span(std::span<const std::byte> block,
                                                    bool check_sum = true);

/// The newest whole span header on `device`; none where there is none. `blank`: set where neither
/// block was ever written.
[[nodiscard]] Result<std::optional<SpanHeader>> read_span(block::Device& device,
                                                          Gates& gates,
                                                          bool& blank);
/// Writes `header` durably over the older of the two blocks.
[[nodiscard]] Status write_span(block::Device& device, const SpanHeader& header);

}  // namespace engine::cyclone
