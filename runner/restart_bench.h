#pragma once

#include <iosfwd>

namespace runner {

/// Restart of a populated cyclone of 64 GiB (a sparse file under the temporary directory, four
/// stripes, every bucket in use): the directory rebuilt from the disk and attached from shared
/// memory, in one run, one stripe after another and several at a time; and the structural validator
/// alone, on one core. Exit code 3 where it cannot be done here.
[[nodiscard]] int bench_restart(std::ostream& out);

}  // namespace runner
