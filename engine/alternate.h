#pragma once

/// **Alternates.** One object may be there in several forms (HTTP: the variants of one URL, by
/// language or encoding). A key names the object and, behind a separator, the form:
/// `http://x.com/a|gzip`. Without a separator it is the alternate that has no name. The separator
/// is '|', which no URI holds unescaped (RFC 3986); the first one counts.
///
/// To whoever calls a store each full key is a thing of its own: put, get, header update and purge
/// of one alternate leave the others alone. What a store makes of it is its own matter: in the
/// stripe store the alternates of an object share one head document (cyclone/document.h).

#include <string_view>

namespace engine {

inline constexpr char alternate_separator = '|';

/// The part of `key` that all alternates of one object have in common.
[[nodiscard]] constexpr std::string_view object_of(std::string_view key) {
  return key.substr(0, key.find(alternate_separator));
}

/// The rest of it: empty, or the separator and the name of the alternate (which may be empty too:
/// `a|` is another alternate than `a`). The two parts together are `key`.
[[nodiscard]] constexpr std::string_view alternate_of(std::string_view key) {
  return key.substr(object_of(key).size());
}

}  // namespace engine
