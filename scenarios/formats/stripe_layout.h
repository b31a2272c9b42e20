#pragma once

#include <cstdint>

#include "faultfs/image.h"

namespace scenarios {

/// Where Traffic Server keeps what in a span of one stripe, for the sizes of directory that
/// trafficserver_setup.cc asks for. Formulas and fields: at the head of trafficserver_layout.cc.
struct StripeLayout {
  std::uint64_t copy_a = 0, copy_b = 0;  ///< byte offsets of the directory copies
  std::uint64_t copy_bytes = 0;          ///< of one: header, entries, footer
  std::uint64_t data = 0;                ///< where documents begin
  std::uint64_t end = 0;                 ///< where the stripe ends
};
[[nodiscard]] StripeLayout stripe_layout(std::uint64_t disk_bytes);

/// The sync serials at both ends of the two directory copies.
struct DirectorySerials {
  std::uint32_t header_a = 0, footer_a = 0, header_b = 0, footer_b = 0;
  /// The newest serial of a copy whose ends agree; 0: none.
  [[nodiscard]] std::uint32_t complete() const;
  /// A copy is newer at its header than at its footer: its sync is under way, or was cut.
  [[nodiscard]] bool is_torn() const;
};
[[nodiscard]] DirectorySerials read_serials(const faultfs::Image& disk);

}  // namespace scenarios
