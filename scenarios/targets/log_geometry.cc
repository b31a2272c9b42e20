#include "scenarios/targets/log_geometry.h"

#include <algorithm>

#include "engine/cyclone/directory.h"
#include "engine/cyclone/document.h"
#include "engine/volumes/label.h"
#include "scenarios/targets/engine_home.h"

namespace scenarios {

namespace {

engine::Result<std::vector<engine::cyclone::StripePlace>> stripes_of(const TargetConfig& config,
                                                                     std::uint32_t slot_bytes) {
  const std::uint64_t label_bytes = config.disks > 1 ? engine::volumes::label_bytes : 0;
  return engine::cyclone::divide(config.disk_bytes - std::min(config.disk_bytes, label_bytes),
                                 cyclone_layout(slot_bytes),
                                 division_of_disk(config));
}

}  // namespace

std::size_t LogGeometry::log_of(Key key) const {
  const std::string object = object_name(key, alternates);
  if (homes) {
    return homes->home_of(object);
  }
  return placement ? placement->stripe_of(object) : 0;
}

std::size_t disk_of(const TargetConfig& config, Key key) {
  return config.disks > 1 ? disk_homes(config).home_of(stored_name(config, key)) : 0;
}

std::optional<LogGeometry> log_geometry(const TargetConfig& config, std::uint32_t unit_bytes) {
  if (config.target != "engine" || config.store != "cyclone") {
    return std::nullopt;
  }
  const auto places = stripes_of(config, unit_bytes == 0 ? config.slot_bytes : unit_bytes);
  if (!places) {
    return std::nullopt;
  }
  LogGeometry log;
  log.data_bytes = log.fragment_bytes = log.rows = UINT64_MAX;
  for (const engine::cyclone::StripePlace& place : *places) {
    const engine::cyclone::StripeGeometry& stripe = place.geometry;
    const std::uint64_t rows =
        3 * stripe.buckets - engine::cyclone::Directory::eviction_batch(stripe);
    log.data_bytes = std::min(log.data_bytes, stripe.data_bytes());
    log.fragment_bytes = std::min<std::uint64_t>(
        log.fragment_bytes, stripe.fragment_bytes - engine::cyclone::document_header_bytes);
    log.fragment_overhead_bytes = engine::cyclone::document_header_bytes + stripe.sector_bytes;
    log.rows = std::min(log.rows, rows);
  }
  log.logs = places->size();
  log.alternates = config.alternates;
  if (config.disks > 1) {
    log.logs = config.disks;
    log.homes = std::make_shared<engine::volumes::Homes>(disk_homes(config));
  } else if (log.logs > 1) {
    log.placement = std::make_shared<engine::cyclone::Placement>(*places, cyclone_division(config));
  }
  return log;
}

faultfs::Status check_log(const TargetConfig& config) {
  const auto places = stripes_of(config, config.slot_bytes);
  return places ? faultfs::Status{} : faultfs::fail(places.error().message);
}

}  // namespace scenarios
