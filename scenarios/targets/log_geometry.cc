#include "scenarios/targets/log_geometry.h"

#include <algorithm>

#include "engine/cyclone/directory.h"
#include "engine/cyclone/document.h"
#include "engine/cyclone/span_header.h"

namespace scenarios {

namespace {

engine::Result<engine::cyclone::StripeGeometry> cyclone_geometry(const TargetConfig& config,
                                                                 std::uint32_t slot_bytes) {
  engine::cyclone::Layout layout;
  layout.average_object_bytes = slot_bytes / 2;
  const std::uint64_t reserved = engine::cyclone::span_reserved_bytes;
  return engine::cyclone::make_geometry(
      reserved, config.disk_bytes - std::min(config.disk_bytes, reserved), layout);
}

}  // namespace

std::optional<LogGeometry> log_geometry(const TargetConfig& config, std::uint32_t unit_bytes) {
  if (config.target != "engine" || config.store != "cyclone") {
    return std::nullopt;
  }
  const auto stripe = cyclone_geometry(config, unit_bytes == 0 ? config.slot_bytes : unit_bytes);
  if (!stripe) {
    return std::nullopt;
  }
  LogGeometry log;
  log.data_bytes = stripe->data_bytes();
  log.fragment_bytes = stripe->fragment_bytes - engine::cyclone::document_header_bytes;
  log.fragment_overhead_bytes = engine::cyclone::document_header_bytes + stripe->sector_bytes;
  log.rows = 3 * stripe->buckets - engine::cyclone::Directory::eviction_batch(*stripe);
  return log;
}

faultfs::Status check_log(const TargetConfig& config) {
  const auto stripe = cyclone_geometry(config, config.slot_bytes);
  return stripe ? faultfs::Status{} : faultfs::fail(stripe.error().message);
}

}  // namespace scenarios
