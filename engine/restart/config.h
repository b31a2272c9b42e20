#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"
#include "engine/restart/gates.h"

namespace engine::restart {

/// How a start treats shared memory; read once, at the start. The words are Traffic Server's.
struct Config {
  bool enabled = false;
  std::string name_prefix = "cache-engine";
  bool use_hugepages = false;         ///< ask for large pages; not getting them changes nothing
  bool purge_stale_on_start = false;  ///< a disabled start removes what an enabled one left
  std::vector<Gate> gates_off;
  bool reserve_pages = true;  ///< false: as the reference, a full /dev/shm is SIGBUS at first touch
};

/// Reads `enabled`, `name_prefix`, `use_hugepages` or `purge_stale_on_start` and its value (0 or 1,
/// or a word). A prefix that is too long is for the gate `prefix_name`: it costs the shared memory,
/// as in the reference, not the start. Error: one sentence with the allowed words.
[[nodiscard]] Status read_setting(std::string_view name, std::string_view value, Config& config);

/// How names of objects begin: "/word-", without the slashes of the word and the dashes at its
/// end. Error: the word is empty, or the longest name would not be shorter than `name_bytes_max`.
[[nodiscard]] Result<std::string> frame_prefix(std::string_view word);

inline constexpr std::size_t name_bytes_max = 31;

}  // namespace engine::restart
