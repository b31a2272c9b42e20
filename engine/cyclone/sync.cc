// A directory sync makes one of the two copies on the disk the newest one.
//
// The snapshot is taken whole, with an empty log buffer, so that every row in it points at a
// document that is durable. It gets the serial behind that of the newest whole copy: even serials
// go to copy A, odd ones to B, so the newest whole copy is never the one written over. Each piece
// is durable before the next is written: header, rows, and at last the footer, which says that the
// rest is there. A sync that fails leaves the serial where it was: the next one writes the same,
// already broken copy again and leaves the whole one alone.
//
// Documents go on being written between the pieces; the cursor in the snapshot is what roll-forward
// starts from.
#include "engine/cyclone/sync.h"

#include <algorithm>

namespace engine::cyclone {

Sync::Sync(Core& core) : core_(core), snapshot_(core.geometry.copy_bytes) {}

void Sync::loaded() {
  under_way_ = false;
  whole_serial_ = core_.header.sync_serial;
  synced_at_ = core_.log_bytes;
}

void Sync::begin() {
  core_.header.sync_serial = whole_serial_ + 1;
  snapshot_dirty_ = core_.header.dirty;
  ImageHeader header = core_.header;
  header.dirty = 0;
  header.agg_pos = header.write_pos;
  std::copy(core_.image.begin(), core_.image.end(), snapshot_.bytes().begin());
  store_header(header, snapshot_.bytes());
  seal(snapshot_.bytes(), core_.geometry);
  snapshot_at_ = core_.log_bytes;
  written_ = 0;
  under_way_ = true;
}

Status Sync::step() {
  if (!under_way_) {
    return {};
  }
  const StripeGeometry& geometry = core_.geometry;
  const std::uint64_t copy = geometry.copy_begin(core_.header.sync_serial & 1U);
  const std::uint64_t footer = geometry.footer_at();
  const std::uint64_t begin = written_;
  std::uint64_t end = geometry.header_bytes;
  if (begin >= footer) {
    end = geometry.copy_bytes;
  } else if (begin > 0) {
    end = std::min<std::uint64_t>(begin + core_.config.sync_piece_bytes, footer);
  }
  const Status written = core_.device.write(
      copy + begin, snapshot_.bytes().subspan(begin, end - begin), block::WriteMode::durable);
  if (!written) {
    ++core_.counters.failed_syncs;
    under_way_ = false;
    return written;
  }
  written_ = end;
  if (end == geometry.copy_bytes) {
    under_way_ = false;
    whole_serial_ = core_.header.sync_serial;
    synced_at_ = snapshot_at_;
    core_.header.dirty -= std::min(core_.header.dirty, snapshot_dirty_);
    ++core_.counters.syncs;
  }
  return {};
}

Status Sync::finish() {
  Status done;
  while (done && under_way_) {
    done = step();
  }
  return done;
}

}  // namespace engine::cyclone
