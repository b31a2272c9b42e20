#pragma once

#include <string>
#include <vector>

#include "engine/cyclone/store.h"

namespace engine::cyclone {

/// Everything a build must have in common with the one that left a directory in shared memory, to
/// read it as it was meant: one fact per line. Sizes and constants as numbers; *meanings* (where a
/// field is, how a key is hashed, what a digest covers) as what this build makes of known input, so
/// that a change of any of them changes the fact without anybody having to remember it.
[[nodiscard]] const std::vector<std::string>& shared_format_facts();

/// How a store with these settings, on a span of `span_bytes`, meets shared memory.
[[nodiscard]] restart::StartRequest start_request(const Config& config,
                                                  const SharedDirectory& shared,
                                                  std::uint64_t span_bytes);

}  // namespace engine::cyclone
