// What Traffic Server does at a start (the preset `trafficserver`), hole for hole:
//
// - The documents between `last_write_pos` and `write_pos` must be there with numbers not above the
//   copy's; else the stripe was lapped without a sync, and everything is cleared.
// - From `write_pos` on, documents are followed by length while their sync serial is that of the
// one
//   before, or a higher one up to the copy's + 1. Nothing ties a document to the one before it, and
//   its content is not looked at.
// - Where that stops within one data write of the stripe's end it may have wrapped. The first
//   document at the data area's start must then have a number not below the last one's; if not, "it
//   did not wrap", and the stop is two data writes before the end.
// - Rows that point between `write_pos` and the stop plus two data writes are deleted. Where that
//   sum passes the stripe's end it is reduced by the end, without adding the start of the data
//   area.
// - The cursor stays at `write_pos`.
//
// The hole this shows: the first data write after a wrap is torn, its first document's first sector
// is lost, later sectors are not. Then "it did not wrap", nothing at the start of the data area is
// cleared, and the rows of the cycle before still point at documents whose header is theirs and
// whose body is another object's.
#include "engine/cyclone/clear_only.h"

#include <algorithm>
#include <optional>

namespace engine::cyclone {

ClearOnly::ClearOnly(Core& core) : core_(core), serial_(core.header.sync_serial) {}

std::optional<DocumentHeader> ClearOnly::look(std::uint64_t position) {
  const StripeGeometry& geometry = core_.geometry;
  const auto sector = core_.scratch.bytes().first(geometry.sector_bytes);
  if (position + sector.size() > geometry.end || !core_.device.read(position, sector)) {
    return std::nullopt;
  }
  const DecodedDocument decoded = decode_document(sector);
  if (!decoded.magic_ok || !lengths_possible(decoded.header, geometry)) {
    return std::nullopt;
  }
  return decoded.header;
}

bool ClearOnly::lapped() {
  std::uint64_t position = core_.header.last_write_pos;
  while (position < core_.header.write_pos) {
    const auto document = look(position);
    if (!document || document->serial > core_.header.write_serial) {
      return true;
    }
    last_sync_ = document->sync_serial;
    position += rounded_length(document->length, core_.geometry);
  }
  return false;
}

bool ClearOnly::follows(const std::optional<DocumentHeader>& document) const {
  return document && document->sync_serial >= last_sync_ && document->sync_serial <= serial_ + 1;
}

std::uint64_t ClearOnly::find_stop(bool& wrapped) {
  const StripeGeometry& geometry = core_.geometry;
  std::uint64_t position = core_.header.write_pos;
  // No more steps than a lap has sectors.
  for (std::uint64_t steps = geometry.data_bytes() / geometry.sector_bytes; steps > 0; --steps) {
    const auto document = look(position);
    if (follows(document)) {
      last_sync_ = document->sync_serial;
      last_write_ = document->serial;
      position += rounded_length(document->length, geometry);
      continue;
    }
    if (wrapped || position + geometry.aggregation_bytes < geometry.end) {
      return position;
    }
    const auto first = look(geometry.data_begin);
    if (!first || first->serial < last_write_) {
      return geometry.end - geometry.margin_bytes();
    }
    wrapped = true;
    position = geometry.data_begin;
  }
  return position;
}

void ClearOnly::clear_range(std::uint64_t begin, std::uint64_t end) {
  cleared_ += core_.directory.erase_if([begin, end](const Row& row) {
    const std::uint64_t at = row.data_offset();
    return begin < end ? at >= begin && at < end : at >= begin || at < end;
  });
}

void ClearOnly::clear_all() {
  cleared_ += core_.directory.erase_if([](const Row&) { return true; });
}

void ClearOnly::run() {
  const StripeGeometry& geometry = core_.geometry;
  if (core_.header.write_serial == 0) {
    return;  // the copy is that of a clear
  }
  if (lapped()) {
    clear_all();
    return;
  }
  bool wrapped = false;
  const std::uint64_t stop = find_stop(wrapped);
  const std::uint64_t from = core_.header.write_pos;
  core_.header.sync_serial = std::max(serial_, last_sync_);
  if (wrapped && stop == from) {
    return;
  }
  std::uint64_t end = stop + geometry.margin_bytes();
  if (end <= from && end + geometry.margin_bytes() > from) {
    clear_all();  // all but lapped
    return;
  }
  end = end > geometry.end ? end - geometry.end : end;
  clear_range(core_.data_offset(from), end < geometry.data_begin ? 0 : core_.data_offset(end));
}

}  // namespace engine::cyclone
