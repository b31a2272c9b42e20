#pragma once

#include <cstdint>
#include <filesystem>
#include <iosfwd>

namespace runner {

struct DeviceBenchOptions {
  std::filesystem::path lazyfs;  ///< LazyFS's program; empty: not measured
  std::uint32_t seconds = 10;    ///< for each row, all sides together
};

/// Measures requests through a mounted device, recording, against the same requests on tmpfs,
/// libfuse's own passthrough_ll (compiled from its example source) and LazyFS, where they can be
/// had, and prints a table. Exit code 3 where nothing can be mounted.
[[nodiscard]] int bench_device(const DeviceBenchOptions& options, std::ostream& out);

}  // namespace runner
