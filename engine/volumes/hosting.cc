#include "engine/volumes/hosting.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>
#include <tuple>

#include <fmt/format.h>

#include "engine/volumes/key_policy.h"

namespace engine::volumes {
namespace {

constexpr std::string_view blanks = " \t\r";

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(blanks);
  if (begin == std::string_view::npos) {
    return {};
  }
  return text.substr(begin, text.find_last_not_of(blanks) - begin + 1);
}

tl::unexpected<Error> wrong(std::string_view line) {
  return fail(
      Trouble::invalid,
      fmt::format("hosting rule '{}' is not understood; allowed: prefix=URL, prefix=LETTERS, "
                  "hostname=NAME, hostname=* or domain=NAME, then volume=1 to 255",
                  line));
}

/// How a key that is no URL may begin.
bool is_plain(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char each) {
    const bool letter = (each >= 'a' && each <= 'z') || (each >= 'A' && each <= 'Z');
    return letter || (each >= '0' && each <= '9') || each == '-' || each == '_';
  });
}

std::string lower(std::string_view text) {
  return host_of(fmt::format("x://{}", text));
}

std::string_view kind_name(int kind) {
  constexpr std::array<std::string_view, 3> names = {"prefix", "hostname", "domain"};
  return names.at(static_cast<std::size_t>(kind));
}

}  // namespace

Result<Hosting::Rule> Hosting::parse_rule(std::string_view line) {
  const std::size_t blank = line.find_first_of(blanks);
  const std::size_t equal = line.find('=');
  if (blank == std::string_view::npos || equal == std::string_view::npos || equal > blank) {
    return wrong(line);
  }
  const std::string_view kind = line.substr(0, equal);
  const std::string_view what = line.substr(equal + 1, blank - equal - 1);
  std::string_view number = trimmed(line.substr(blank));
  constexpr std::string_view volume_is = "volume=";
  if (what.empty() || !number.starts_with(volume_is)) {
    return wrong(line);
  }
  number.remove_prefix(volume_is.size());
  Rule rule;
  const auto [end, error] =
      std::from_chars(number.data(), number.data() + number.size(), rule.volume);
  if (error != std::errc() || end != number.data() + number.size() || rule.volume == 0) {
    return wrong(line);
  }
  if (kind == "prefix" && (is_url(what) || is_plain(what))) {
    rule.kind = Rule::Kind::prefix;
    rule.what = what;
  } else if ((kind == "hostname" || kind == "domain") && (what == "*" || !lower(what).empty())) {
    rule.kind = kind == "domain" ? Rule::Kind::domain : Rule::Kind::hostname;
    rule.what = what == "*" ? "*" : lower(what);
  } else {
    return wrong(line);
  }
  return rule;
}

Result<Hosting> Hosting::parse(std::string_view text) {
  Hosting hosting(0);
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trimmed(text.substr(0, std::min(end, text.find('#'))));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty()) {
      continue;
    }
    auto rule = parse_rule(line);
    if (!rule) {
      return tl::unexpected(rule.error());
    }
    const bool twice =
        std::any_of(hosting.rules_.begin(), hosting.rules_.end(), [&rule](const Rule& other) {
          return other.kind == rule->kind && other.what == rule->what;
        });
    const bool general = rule->what == "*";
    if (twice || (general && hosting.general_ != 0)) {
      return fail(Trouble::invalid, fmt::format("hosting rule '{}' is there twice", line));
    }
    if (general) {
      hosting.general_ = rule->volume;
    } else {
      hosting.rules_.push_back(std::move(*rule));
    }
  }
  if (hosting.general_ == 0) {
    return fail(Trouble::invalid,
                "the hosting rules lack 'hostname=* volume=N', the home of all other objects");
  }
  std::sort(hosting.rules_.begin(), hosting.rules_.end(), [](const Rule& a, const Rule& b) {
    const auto order = [](const Rule& rule) {
      return std::tuple(rule.kind, -static_cast<std::int64_t>(rule.what.size()), rule.what);
    };
    return order(a) < order(b);
  });
  return hosting;
}

bool Hosting::fits(const Rule& rule, std::string_view url, std::string_view host) {
  switch (rule.kind) {
    case Rule::Kind::prefix:
      return url.starts_with(rule.what);
    case Rule::Kind::hostname:
      return host == rule.what;
    case Rule::Kind::domain:
      break;
  }
  return host == rule.what || (host.size() > rule.what.size() && host.ends_with(rule.what) &&
                               host[host.size() - rule.what.size() - 1] == '.');
}

VolumeTag Hosting::volume_of(std::string_view url) const {
  const std::string host = host_of(url);
  const auto found = std::find_if(
      rules_.begin(), rules_.end(), [&](const Rule& rule) { return fits(rule, url, host); });
  return found == rules_.end() ? general_ : found->volume;
}

std::string Hosting::to_text() const {
  std::string text;
  for (const Rule& rule : rules_) {
    text += fmt::format(
        "{}={} volume={}\n", kind_name(static_cast<int>(rule.kind)), rule.what, rule.volume);
  }
  return text + fmt::format("hostname=* volume={}\n", general_);
}

std::vector<VolumeTag> Hosting::volumes() const {
  std::set<VolumeTag> tags = {general_};
  for (const Rule& rule : rules_) {
    tags.insert(rule.volume);
  }
  return {tags.begin(), tags.end()};
}

}  // namespace engine::volumes
