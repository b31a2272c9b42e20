#include "engine/volumes/homes.h"

#include "engine/alternate.h"

namespace engine::volumes {
namespace {

/// The URL in a key of `RequestKey`: what follows the first blank.
std::string_view url_of(std::string_view key) {
  const std::size_t blank = key.find(' ');
  return blank == std::string_view::npos ? key : key.substr(blank + 1);
}

}  // namespace

Homes::Homes(const std::vector<DiskFacts>& disks, Hosting hosting) : hosting_(std::move(hosting)) {
  std::map<VolumeTag, std::vector<StripeFacts>> stripes;
  for (std::size_t number = 0; number < disks.size(); ++number) {
    const DiskFacts& disk = disks[number];
    volumes_[disk.tag].disks.push_back(number);
    stripes[disk.tag].push_back({disk.name, disk.share_bytes});
  }
  for (auto& [tag, volume] : volumes_) {
    volume.assignment.emplace_back(stripes[tag]);
  }
}

std::size_t Homes::home_of(std::string_view key) const {
  const std::string_view object = object_of(key);  // its alternates stay together
  const Volume& volume = volumes_.at(hosting_.volume_of(url_of(object)));
  return volume.disks[volume.assignment.front().stripe_of(object).value_or(0)];
}

const std::vector<std::size_t>& Homes::disks_of(VolumeTag tag) const {
  return volumes_.at(tag).disks;
}

}  // namespace engine::volumes
