#pragma once

#include <cstdint>
#include <iosfwd>

namespace runner {

/// Puts and gets through `cache-engine serve --store cyclone`, on tmpfs and on a file, by one
/// client and by 16, for about `seconds` in all; beside each the time that checksums of the same
/// bytes take. Exit code 3 where it cannot be done here.
[[nodiscard]] int bench_stores(std::uint32_t seconds, std::ostream& out);

}  // namespace runner
