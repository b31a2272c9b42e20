#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>
#include <string>
#include <vector>

namespace runner {

/// The names of the parts, in order.
[[nodiscard]] std::vector<std::string> bench_parts();

struct BenchOptions {
  std::vector<std::string> parts;    ///< some of `bench_parts`; empty: all that measure a rate
  std::uint32_t seconds = 10;        ///< for each part
  std::uint32_t seconds_long = 300;  ///< explore: for each history of 200 commands
  int jobs = 0;                      ///< 0: one per CPU
  std::filesystem::path lazyfs;      ///< device: LazyFS's program, to be measured beside
};

/// Part `device`: see device_bench.h; `restart`: restart_bench.h; `stores`: store_bench.h. The
/// others: measures crash states per second, every state fully judged, and prints a table with what
/// limits each. A part that cannot run here is printed as undecided with the reason; exit code 3
/// then.
[[nodiscard]] int bench(const BenchOptions& options, std::ostream& out);

}  // namespace runner
