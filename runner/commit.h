#pragma once

#include <string>

namespace runner {

/// The commit this program was built from: "3f2a91c (clean)", "3f2a91c (modified)" or "unknown".
[[nodiscard]] std::string commit_text();

}  // namespace runner
