#include "engine/volumes/key_policy.h"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

namespace engine::volumes {
namespace {

constexpr std::string_view separator = "://";

/// What stands between the scheme and the path.
std::string_view authority_of(std::string_view url) {
  const std::size_t scheme = url.find(separator);
  if (scheme == std::string_view::npos) {
    return {};
  }
  const std::string_view rest = url.substr(scheme + separator.size());
  return rest.substr(0, rest.find_first_of("/?#"));
}

bool is_letter(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) != 0;
}

}  // namespace

Result<KeyMode> find_key_mode(std::string_view name) {
  if (name == "original") {
    return KeyMode::original;
  }
  if (name == "mapped") {
    return KeyMode::mapped;
  }
  return fail(Trouble::invalid,
              fmt::format("'{}' is not a key mode; allowed: original, mapped", name));
}

std::string_view key_mode_name(KeyMode mode) {
  return mode == KeyMode::original ? "original" : "mapped";
}

bool is_url(std::string_view text) {
  const bool clean = std::all_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) > ' ' && c != '\x7f';
  });
  const std::string_view scheme = text.substr(0, text.find(separator));
  const bool named =
      !scheme.empty() && is_letter(scheme[0]) &&
      std::all_of(scheme.begin(), scheme.end(), [](char c) {
        return is_letter(c) || (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
      });
  return clean && named && !host_of(text).empty();
}

std::string host_of(std::string_view url) {
  std::string_view host = authority_of(url);
  const std::size_t user = host.rfind('@');
  host.remove_prefix(user == std::string_view::npos ? 0 : user + 1);
  const std::size_t bracket = host.starts_with('[') ? host.find(']') : 0;
  if (bracket == std::string_view::npos) {
    return {};
  }
  host = host.substr(0, host.find(':', bracket));
  std::string lower(host);
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) {
    return static_cast<char>(std::tolower(c));
  });
  return lower;
}

std::string_view path_of(std::string_view url) {
  const std::string_view authority = authority_of(url);
  if (authority.empty()) {
    return "/";
  }
  const auto end = static_cast<std::size_t>(authority.data() - url.data()) + authority.size();
  return end < url.size() && url[end] == '/' ? url.substr(end) : "/";
}

Status RequestKey::supply(std::string url) {
  if (supplied_ || used_) {
    return fail(Trouble::invalid,
                fmt::format("the key '{}' comes too late: a request's key is set once, before it "
                            "is used",
                            url));
  }
  if (!is_url(url)) {
    return fail(
        Trouble::invalid,
        fmt::format("the key '{}' is not a URL; allowed: scheme://host/path without blanks", url));
  }
  supplied_ = std::move(url);
  return {};
}

const std::string& RequestKey::hosting_url() const {
  return supplied_ ? *supplied_ : policy_.mode == KeyMode::original ? original_ : mapped_;
}

Result<std::string> RequestKey::key() {
  const std::string& url = hosting_url();
  if (!is_url(url)) {
    return fail(Trouble::invalid,
                fmt::format("'{}' is not a URL; allowed: scheme://host/path without blanks", url));
  }
  used_ = true;
  const std::string_view how = supplied_ ? "supplied" : key_mode_name(policy_.mode);
  return policy_.generation ? fmt::format("{}.{} {}", how, *policy_.generation, url)
                            : fmt::format("{} {}", how, url);
}

}  // namespace engine::volumes
