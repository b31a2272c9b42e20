#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/result.h"

namespace engine::volumes {

/// Which name of an object its key is made of. The mode is part of the identity: what was stored
/// under one is never found under another.
enum class KeyMode : std::uint8_t {
  original,  ///< the URL as the client asked for it
  mapped,    ///< the URL after mapping to the origin
};

/// Error: names the word and the allowed ones.
[[nodiscard]] Result<KeyMode> find_key_mode(std::string_view name);
[[nodiscard]] std::string_view key_mode_name(KeyMode mode);

struct KeyPolicy {
  KeyMode mode = KeyMode::original;
  std::optional<std::uint64_t> generation;  ///< advancing it makes everything before a miss
};

/// The names one request has, and the key that follows from them. Made once per request and used
/// for the lookup, the put and the purge alike, so that hit and miss path cannot differ.
class RequestKey {
 public:
  RequestKey(const KeyPolicy& policy, std::string original_url, std::string mapped_url)
      : policy_(policy), original_(std::move(original_url)), mapped_(std::move(mapped_url)) {}

  /// The caller's own key, a URL by its syntax. Error: it is none, there is one already, or the key
  /// has been used.
  [[nodiscard]] Status supply(std::string url);
  /// The key: the same at every call. Error: what it is made of is not a URL.
  [[nodiscard]] Result<std::string> key();
  /// The URL that says where the object is hosted: the one the key is made of.
  [[nodiscard]] const std::string& hosting_url() const;

 private:
  KeyPolicy policy_;
  std::string original_, mapped_;
  std::optional<std::string> supplied_;
  bool used_ = false;
};

/// Scheme, "://", host, and no blank or control character.
[[nodiscard]] bool is_url(std::string_view text);
/// Host of a URL in lower case, without user and port; empty where there is none.
[[nodiscard]] std::string host_of(std::string_view url);
/// From the first "/" behind the host; "/" where there is none.
[[nodiscard]] std::string_view path_of(std::string_view url);

}  // namespace engine::volumes
