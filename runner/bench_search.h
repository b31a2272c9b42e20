#pragma once

#include <cstdint>
#include <iosfwd>

namespace runner {

/// Prints, for the lazy explorer, how many crash states each execution of the cache stands for:
/// generated histories on both stores, and one history of 200 commands on 64 MiB, every crash point
/// of which is explored to its end or to `seconds_long`. Exit code 3 where that did not end.
[[nodiscard]] int bench_explore(std::uint32_t seconds,
                                std::uint32_t seconds_long,
                                int jobs,
                                std::ostream& out);

/// Prints how many executions of real Squid it takes to see the first wrong bytes, for the
/// explorers `random` and `lazy` over ten seeds, with both medians. Exit code 3 where Squid cannot
/// run here.
[[nodiscard]] int bench_first(std::ostream& out);

}  // namespace runner
