#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"

namespace engine::memory {

/// Decides which objects a bounded memory keeps. It knows keys and sizes, not objects. One thread.
class Policy {
 public:
  virtual ~Policy() = default;
  Policy(const Policy&) = delete;
  Policy& operator=(const Policy&) = delete;
  /// Takes the key in and returns those that go for it: possibly itself, where it is larger than
  /// everything. The key is not in yet.
  [[nodiscard]] virtual std::vector<std::string> insert(std::string_view key,
                                                        std::uint64_t size_bytes) = 0;
  virtual void hit(std::string_view key) = 0;
  /// Forgets the key, as after a purge. Nothing where it is not in.
  virtual void erase(std::string_view key) = 0;
  [[nodiscard]] virtual std::uint64_t used_bytes() const = 0;

 protected:
  Policy() = default;
};

/// Keeps what was used last: one queue, the end of which goes (R. L. Mattson et al., "Evaluation
/// techniques for storage hierarchies", IBM Systems Journal 9(2), 1970). A scan empties it.
[[nodiscard]] std::unique_ptr<Policy> make_lru(std::uint64_t capacity_bytes);

/// Three first-in first-out queues (J. Yang et al., "FIFO queues are all you need for cache
/// eviction", SOSP 2023): newcomers pass a small one of a tenth of the room and reach the main one
/// only if they were used twice there; the main one gives what was used another turn; a queue of
/// names lets what went too early straight into the main one. A scan passes through the small one.
[[nodiscard]] std::unique_ptr<Policy> make_s3_fifo(std::uint64_t capacity_bytes);

/// "lru" or "s3fifo". Error: names the word and the allowed ones.
[[nodiscard]] Result<std::unique_ptr<Policy>> make_policy(std::string_view name,
                                                          std::uint64_t capacity_bytes);

}  // namespace engine::memory
