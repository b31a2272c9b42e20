// A copy is only worth something while the log behind its cursor is there: roll-forward reads it to
// the end. The write cursor comes round and eats it. So no data write may come more than 3/8 of a
// lap behind the newest whole copy; then the copy before that, which is needed where the newest one
// turns out damaged, is less than 6/8 of a lap behind, and both can be rolled forward. Where the
// directory cannot be synced (the device refuses), puts are refused before that limit is crossed.
// That is the gate `lap_guard`; without it a stripe that is lapped between two syncs comes back
// with rows of what was overwritten, and purged objects with them.
#include "engine/cyclone/writer.h"

#include <algorithm>

namespace engine::cyclone {
namespace {

constexpr std::uint64_t large_stripe_distance = 64ULL << 20U;

}  // namespace

std::uint64_t sync_distance(const StripeGeometry& geometry, const Config& config) {
  if (config.sync_bytes != 0) {
    return config.sync_bytes;
  }
  return std::min(geometry.data_bytes() / 4,
                  std::max(large_stripe_distance, 4 * geometry.copy_bytes));
}

std::uint64_t lap_limit(const StripeGeometry& geometry) {
  return geometry.data_bytes() / 8 * 3;
}

Status Writer::keep_distance(std::uint64_t coming_bytes) {
  if (!core_.gates.on(Gate::lap_guard)) {
    return {};
  }
  // A wrap leaves less than one document unused.
  const std::uint64_t coming =
      log_.buffered_bytes() + coming_bytes + 2ULL * core_.geometry.fragment_bytes;
  if (sync_.distance() + coming <= lap_limit(core_.geometry)) {
    return {};
  }
  core_.gates.refuse(Gate::lap_guard);
  Status done = sync_.finish();  // the snapshot under way may be new enough
  if (done && sync_.distance() + coming > lap_limit(core_.geometry)) {
    done = sync();
  }
  return done;
}

Result<std::uint64_t> Writer::append(const DocumentHeader& header,
                                     std::span<const std::byte> meta,
                                     std::span<const std::byte> content) {
  const std::uint64_t bytes = document_header_bytes + meta.size() + content.size();
  const Status room = keep_distance(rounded_length(bytes, core_.geometry));
  if (!room) {
    return tl::unexpected(room.error());
  }
  const auto at = log_.append(header, meta, content);
  if (at && header.kind == DocumentKind::fragment && header.moved_from == 0) {
    log_.index(header.key, *at, bytes, false, header.pinned);
  }
  return at;
}

/// A failed sync is tried again at the next flush, and stops nothing before the lap guard does.
Status Writer::flush() {
  const Status written = log_.flush();
  if (!written) {
    return written;
  }
  if (!sync_.under_way() && sync_.distance() >= sync_distance(core_.geometry, core_.config)) {
    sync_.begin();
  }
  static_cast<void>(sync_.step());
  return {};
}

Status Writer::sync() {
  Status done = log_.flush();
  if (done) {
    sync_.begin();
    done = sync_.finish();
  }
  return done;
}

}  // namespace engine::cyclone
