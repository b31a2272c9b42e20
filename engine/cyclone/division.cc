#include "engine/cyclone/division.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <set>

#include <fmt/format.h>

#include "engine/alternate.h"
#include "engine/cyclone/span_header.h"
#include "engine/cyclone/store.h"

namespace engine::cyclone {
namespace {

constexpr std::uint32_t weight_max = 1000000;

bool read_number(std::string_view text, std::uint32_t most, std::uint32_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && value >= 1 && value <= most;
}

/// The URL in a key of `volumes::RequestKey`: what follows the first blank.
std::string_view url_of(std::string_view key) {
  const std::size_t blank = key.find(' ');
  return blank == std::string_view::npos ? key : key.substr(blank + 1);
}

Status check_division(const Division& division) {
  std::set<volumes::VolumeTag> tags;
  for (const VolumeShare& share : division.volumes) {
    if (share.weight == 0 || share.weight > weight_max || !tags.insert(share.tag).second) {
      return fail(Trouble::invalid,
                  fmt::format("volume {} is there twice, or has a weight of {}; allowed: each tag "
                              "once, weights from 1 to {}",
                              share.tag,
                              share.weight,
                              weight_max));
    }
  }
  for (const volumes::VolumeTag tag : division.hosting.volumes()) {
    if (!tags.contains(tag)) {
      return fail(
          Trouble::invalid,
          fmt::format("a hosting rule names volume {}, and the span has none of that tag", tag));
    }
  }
  if (const std::size_t bytes = division.hosting.to_text().size(); bytes > hosting_bytes_max) {
    return fail(Trouble::invalid,
                fmt::format("hosting rules of {} characters do not fit a span header; allowed: {}",
                            bytes,
                            hosting_bytes_max));
  }
  const std::uint64_t stripes = std::uint64_t{division.stripes} * division.volumes.size();
  if (stripes == 0 || stripes > stripe_count_max) {
    return fail(Trouble::invalid,
                fmt::format("{} volumes of {} stripes are not possible; allowed: 1 to {} stripes "
                            "in all",
                            division.volumes.size(),
                            division.stripes,
                            stripe_count_max));
  }
  return {};
}

}  // namespace

bool Division::operator==(const Division& other) const {
  return volumes == other.volumes && stripes == other.stripes &&
         hosting.to_text() == other.hosting.to_text();
}

Result<std::vector<VolumeShare>> parse_volumes(std::string_view text) {
  std::vector<VolumeShare> shares;
  std::string_view rest = text;
  while (true) {
    const std::string_view word = rest.substr(0, rest.find(','));
    const std::size_t colon = word.find(':');
    std::uint32_t tag = 0;
    VolumeShare share;
    const bool weighted = colon != std::string_view::npos;
    if (!read_number(word.substr(0, colon), UINT8_MAX, tag) ||
        (weighted && !read_number(word.substr(colon + 1), weight_max, share.weight))) {
      return fail(
          Trouble::invalid,
          fmt::format("'{}' does not name volumes; write 1:60,2:40 (tags from 1 to 255, each "
                      "with its weight) or 1,2",
                      text));
    }
    share.tag = static_cast<volumes::VolumeTag>(tag);
    shares.push_back(share);
    if (word.size() == rest.size()) {
      return shares;
    }
    rest.remove_prefix(word.size() + 1);
  }
}

Result<std::vector<StripePlace>> divide(std::uint64_t span_bytes,
                                        const Layout& layout,
                                        const Division& division) {
  if (const Status possible = check_division(division); !possible) {
    return tl::unexpected(possible.error());
  }
  if (span_bytes < span_reserved_bytes + stripe_bytes_min) {
    return fail(Trouble::invalid,
                fmt::format("a disk of {} bytes is too small; allowed: from {}",
                            span_bytes,
                            span_reserved_bytes + stripe_bytes_min));
  }
  const std::uint64_t blocks = (span_bytes - span_reserved_bytes) / store_block_bytes;
  const std::uint64_t weights = std::accumulate(
      division.volumes.begin(),
      division.volumes.end(),
      std::uint64_t{0},
      [](std::uint64_t sum, const VolumeShare& share) { return sum + share.weight; });
  std::vector<StripePlace> places;
  std::uint64_t weight = 0;
  for (const VolumeShare& share : division.volumes) {
    __extension__ using Wide = unsigned __int128;
    const auto at = [&](std::uint64_t part) {
      return static_cast<std::uint64_t>(Wide{blocks} * part / weights);
    };
    const std::uint64_t begin = at(weight), size = at(weight + share.weight) - begin;
    weight += share.weight;
    for (std::uint64_t n = 0; n < division.stripes; ++n) {
      const std::uint64_t from = begin + size * n / division.stripes;
      const std::uint64_t to = begin + size * (n + 1) / division.stripes;
      const auto geometry = make_geometry(
          span_reserved_bytes + from * store_block_bytes, (to - from) * store_block_bytes, layout);
      if (!geometry) {
        return tl::unexpected(geometry.error());
      }
      places.push_back({*geometry, share.tag});
    }
  }
  return places;
}

Placement::Placement(const std::vector<StripePlace>& places, const Division& division)
    : hosting_(division.hosting) {
  for (std::size_t first = 0; first < places.size(); first += division.stripes) {
    Volume volume;
    volume.tag = places[first].volume;
    volume.first = first;
    if (division.stripes > 1) {
      std::vector<volumes::StripeFacts> facts;
      for (std::size_t n = first; n < first + division.stripes; ++n) {
        const StripeGeometry& geometry = places[n].geometry;
        facts.push_back(
            {fmt::format("{}:{}", geometry.begin, geometry.end), geometry.end - geometry.begin});
      }
      volume.assignment.emplace(facts);
    }
    volumes_.push_back(std::move(volume));
  }
}

std::size_t Placement::stripe_of(std::string_view key) const {
  if (volumes_.size() == 1 && !volumes_.front().assignment) {
    return 0;
  }
  const std::string_view object = object_of(key);
  const volumes::VolumeTag tag = hosting_.volume_of(url_of(object));
  const auto volume = std::find_if(
      volumes_.begin(), volumes_.end(), [tag](const Volume& each) { return each.tag == tag; });
  return volume->first +
         (volume->assignment ? volume->assignment->stripe_of(object).value_or(0) : 0);
}

Result<StripeGeometry> geometry_of_disk(std::uint64_t bytes, const Layout& layout) {
  const auto places = divide(bytes, layout, Division{});
  return places ? Result<StripeGeometry>(places->front().geometry) : tl::unexpected(places.error());
}

}  // namespace engine::cyclone
