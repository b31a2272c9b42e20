#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/result.h"

namespace engine::volumes {

/// A volume's number, 1 to 255; the tag that its disks carry.
using VolumeTag = std::uint8_t;

/// Which volume an object lives in, by its URL. Rules are text, one per line, with comments:
///
///     # pictures have disks of their own
///     prefix=http://www.example.com/img/ volume=3
///     hostname=www.example.com           volume=2
///     domain=example.com                 volume=2
///     hostname=*                         volume=1
///
/// A prefix without "://" is one of keys that are no URLs. The longest prefix that fits decides,
/// else the host name, else the longest domain, else the general rule `hostname=*`, which must be
/// there, so that every object has a home.
class Hosting {
 public:
  /// Every URL lives in `volume`.
  explicit Hosting(VolumeTag volume) : general_(volume) {}
  /// Error: names the line and says what is allowed.
  [[nodiscard]] static Result<Hosting> parse(std::string_view text);

  [[nodiscard]] VolumeTag volume_of(std::string_view url) const;
  /// In a normal form: equal rules give equal texts.
  [[nodiscard]] std::string to_text() const;
  /// Every volume that a rule names.
  [[nodiscard]] std::vector<VolumeTag> volumes() const;

 private:
  struct Rule {
    enum class Kind : std::uint8_t { prefix, hostname, domain } kind = Kind::prefix;
    std::string what;
    VolumeTag volume = 0;
  };
  [[nodiscard]] static Result<Rule> parse_rule(std::string_view line);
  [[nodiscard]] static bool fits(const Rule& rule, std::string_view url, std::string_view host);

  std::vector<Rule> rules_;  ///< the first that fits decides
  VolumeTag general_;
};

}  // namespace engine::volumes
