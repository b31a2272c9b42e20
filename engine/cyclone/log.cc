// One data write at a time, always at the cursor, always durable when it returns (FUA). So at a cut
// at most one write is in flight, and everything before it is on the medium.
//
// Documents are rounded to whole sectors: a write never shares a sector with an earlier one, which
// a device may destroy together with what it loses.
//
// Wrap: where the next document does not fit before the stripe's end the cursor goes back to the
// data area's start and the phase flips. The rows of the cycle before last, which have the phase
// that begins now, must go first: with one bit they would pass for new ones.
#include "engine/cyclone/log.h"

#include <algorithm>

namespace engine::cyclone {

Log::Log(Core& core) : core_(core), buffer_(core.geometry.aggregation_bytes) {}

void Log::restart() {
  buffered_ = 0;
  indexed_.clear();
  replaced_.clear();
  moved_from_.clear();
}

Window Log::window() const {
  return {core_.header.phase != 0, core_.data_offset(end_of_buffer())};
}

bool Log::over_high_water() const {
  return buffered_ >= core_.geometry.aggregation_bytes / 2;
}

std::uint64_t Log::next_place(std::uint64_t room) const {
  const bool fits = end_of_buffer() + room <= core_.geometry.end;
  return fits ? core_.data_offset(end_of_buffer()) : 0;
}

/// True where the buffer's write, with `room` more, would reach the old place of a document whose
/// new place is in the buffer.
bool Log::covers_moved(std::uint64_t room) {
  const std::uint64_t begin = core_.data_offset(core_.header.write_pos);
  const std::uint64_t end = core_.data_offset(end_of_buffer()) + room;
  const bool covers = std::any_of(moved_from_.begin(), moved_from_.end(), [=](std::uint64_t at) {
    return begin <= at && at < end;
  });
  if (!covers || !core_.gates.on(Gate::evacuation_order)) {
    return false;
  }
  core_.gates.refuse(Gate::evacuation_order);
  return true;
}

void Log::wrap() {
  ImageHeader& header = core_.header;
  core_.log_bytes += core_.geometry.end - header.write_pos;
  header.write_pos = header.agg_pos = core_.geometry.data_begin;
  header.phase ^= 1U;
  ++header.cycle;
  header.evacuated_bytes = 0;
  ++core_.counters.wraps;
  const bool begins = header.phase != 0;
  core_.directory.erase_if([begins](const Row& row) { return row.phase == begins; });
}

Result<std::uint64_t> Log::append(DocumentHeader header,
                                  std::span<const std::byte> meta,
                                  std::span<const std::byte> content) {
  const std::size_t length = document_header_bytes + meta.size() + content.size();
  const std::uint64_t room = rounded_length(length, core_.geometry);
  const bool fits_stripe = end_of_buffer() + room <= core_.geometry.end;
  if (!fits_stripe || buffered_ + room > core_.geometry.aggregation_bytes || covers_moved(room)) {
    const Status written = flush();
    if (!written) {
      return tl::unexpected(written.error());
    }
  }
  if (!fits_stripe) {
    wrap();
  }
  if (buffered_ == 0) {
    first_serial_ = core_.header.write_serial;
    first_link_ = core_.header.link;
  }
  const auto into = buffer_.bytes().subspan(buffered_, room);
  std::copy(meta.begin(), meta.end(), into.begin() + document_header_bytes);
  const auto behind_meta = static_cast<std::ptrdiff_t>(document_header_bytes + meta.size());
  const auto end = std::copy(content.begin(), content.end(), into.begin() + behind_meta);
  std::fill(end, into.end(), std::byte{0});
  header.length = static_cast<std::uint32_t>(length);
  header.meta_bytes = static_cast<std::uint32_t>(meta.size());
  header.serial = core_.header.write_serial++;
  header.link = core_.header.link;
  header.nonce = core_.nonce;
  header.sync_serial = core_.header.sync_serial;
  header.content_checksum =
      content_checksum(into.subspan(document_header_bytes, meta.size() + content.size()));
  core_.header.link = encode_document(header, into);
  const std::uint64_t at = core_.data_offset(end_of_buffer());
  if (header.moved_from != 0) {
    moved_from_.push_back((header.moved_from - 1) * block_bytes);
    core_.header.evacuated_bytes += room;
  }
  buffered_ += room;
  ++core_.counters.documents;
  ++core_.header.dirty;
  return at;
}

void Log::index(
    const Key& key, std::uint64_t data_offset, std::uint64_t bytes, bool head, bool pinned) {
  Row row;
  row.offset_blocks = data_offset / block_bytes + 1;
  row.set_size(bytes);
  row.phase = core_.header.phase != 0;
  row.head = head;
  row.pinned = pinned;
  core_.directory.insert(key, row, window());
  indexed_.push_back({key, row.offset_blocks});
}

void Log::replace(const Key& key, const Row& row) {
  if (core_.directory.erase(key, row.offset_blocks)) {
    replaced_.push_back({key, row});
  }
}

std::vector<Log::Replaced> Log::replaced_on_disk() const {
  std::vector<Replaced> rows = replaced_;
  std::erase_if(rows, [this](const Replaced& each) {
    return std::any_of(indexed_.begin(), indexed_.end(), [&each](const Indexed& own) {
      return own.offset_blocks == each.row.offset_blocks;
    });
  });
  return rows;
}

/// What could not be written is forgotten, and what it would have replaced is there as before.
Status Log::flush() {
  if (buffered_ == 0) {
    return {};
  }
  ImageHeader& header = core_.header;
  header.agg_pos = header.write_pos + buffered_;
  const Status written = core_.device.write(
      header.write_pos, buffer_.bytes().first(buffered_), block::WriteMode::durable);
  ++core_.counters.data_writes;
  if (written) {
    header.last_write_pos = header.write_pos;
    header.write_pos += buffered_;
    core_.log_bytes += buffered_;
  } else {
    ++core_.counters.failed_writes;
    header.write_serial = first_serial_;
    header.link = first_link_;
    for (const Indexed& each : indexed_) {
      static_cast<void>(core_.directory.erase(each.key, each.offset_blocks));
    }
  }
  header.agg_pos = header.write_pos;
  const std::vector<Replaced> back = written ? std::vector<Replaced>() : replaced_on_disk();
  restart();
  for (const Replaced& each : back) {
    if (window().holds(each.row)) {
      core_.directory.insert(each.key, each.row, window());
    }
  }
  return written;
}

Status Log::read(std::uint64_t data_offset, std::span<std::byte> into) {
  const std::uint64_t written = core_.data_offset(core_.header.write_pos);
  if (data_offset >= written && data_offset < written + buffered_) {
    const auto from = buffer_.bytes().subspan(data_offset - written);
    std::copy_n(from.begin(), std::min(from.size(), into.size()), into.begin());
    return {};
  }
  ++core_.counters.document_reads;
  return core_.device.read(core_.geometry.data_begin + data_offset, into);
}

}  // namespace engine::cyclone
