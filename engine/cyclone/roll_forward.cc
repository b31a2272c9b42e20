// From the copy's cursor the log is followed document by document. A document continues the log
// when its header is whole, its number is the next one, its link is the header checksum of the one
// before it, and its content is whole. Then it is what was written there next, in this instance and
// in no other, whether this opening wrote it or the one before; it is indexed as it was then. The
// first place where nothing continues the log is its end: what follows was in flight when the power
// went, or is left from an earlier lap.
//
// Near the stripe's end the log may go on at the data area's start. Only a document that continues
// it there is a wrap; when the first write after a wrap was torn, there is none, the cursor stays
// before the wrap, and the next put wraps again over whatever that write left. Rows of the cycle
// before that point there are harmless: what they find does not match their key or its checksum.
//
// A purge takes the heads of its key away, a purge of everything all heads; a head those of its key
// written before it. The first and the last name the row they
// end, and rows come and go in the order of the first time, so that a full segment forgets what it
// forgot then, and nothing that was evicted comes back. So does what was moved out of the cursor's
// way: it ends the row of its old place.
//
// Nothing is written while the log is followed, so a cut during recovery changes nothing: the next
// start finds the same copy and the same log. When it is done the *other* copy is written
// (stripe.cc).
//
// Where the log cannot be read (after several attempts) it may go on behind that place, with purges
// and newer versions that nobody can know of: all is forgotten (stripe.cc), as the reference does
// on any error. Taken for the end of the log it brought purged objects back.
//
// Example: copy says cursor 40K, number 7. At 40K document 7 (head of k1), at 44K document 8 (purge
// of k1), at 48K a document 5 of the lap before: k1 is gone, the cursor is 48K, the next number 9.
#include "engine/cyclone/roll_forward.h"

#include <algorithm>

#include "engine/cyclone/writer.h"

namespace engine::cyclone {
namespace {

std::uint64_t slice_bytes(const Core& core) {
  const std::uint64_t wanted = core.config.recovery_slice_bytes != 0
                                   ? core.config.recovery_slice_bytes
                                   : core.geometry.margin_bytes();
  return std::max<std::uint64_t>(wanted / core.geometry.sector_bytes * core.geometry.sector_bytes,
                                 core.geometry.fragment_bytes);
}

}  // namespace

RollForward::RollForward(Core& core, Log& log, Reader& reader)
    : core_(core), log_(log), reader_(reader), buffer_(slice_bytes(core)) {}

/// A whole slice, or as much as the device gives: a document's room, or a sector, which may be
/// enough to see that the log has ended.
Status RollForward::fill(std::uint64_t position) {
  constexpr int attempts = 3;
  const StripeGeometry& geometry = core_.geometry;
  begin_ = position;
  Status done;
  for (const std::uint64_t bytes : {std::uint64_t{buffer_.bytes().size()},
                                    std::uint64_t{geometry.fragment_bytes},
                                    std::uint64_t{geometry.sector_bytes}}) {
    end_ = std::min(position + bytes, geometry.end);
    for (int attempt = 0; attempt < attempts; ++attempt) {
      done = core_.device.read(begin_, buffer_.bytes().first(end_ - begin_));
      if (done) {
        return done;
      }
    }
  }
  end_ = begin_;
  return done;
}

std::span<const std::byte> RollForward::window(std::uint64_t position) {
  if (position < begin_ || position >= end_) {
    return {};
  }
  return buffer_.bytes().first(end_ - begin_).subspan(position - begin_);
}

bool RollForward::continues(std::uint64_t position, DecodedDocument& decoded) {
  const auto bytes = window(position);
  Gates& gates = core_.gates;
  if (bytes.size() < core_.geometry.sector_bytes) {
    return false;
  }
  decoded = decode_document(bytes);
  const DocumentHeader& header = decoded.header;
  if (!decoded.magic_ok) {
    return false;  // never written, or the middle of something
  }
  if (gates.on(Gate::document_header) && !decoded.checksum_ok) {
    gates.refuse(Gate::document_header);
    return false;
  }
  if (!lengths_possible(header, core_.geometry)) {
    gates.refuse(Gate::document_bounds);
    return false;
  }
  if (gates.on(Gate::log_link) &&
      (header.serial != core_.header.write_serial || header.link != core_.header.link)) {
    gates.refuse(Gate::log_link);
    return false;
  }
  cut_off_ = header.length > bytes.size();
  if (cut_off_) {
    return false;  // the rest of it is behind this slice
  }
  const auto content = bytes.first(header.length).subspan(document_header_bytes);
  if (gates.on(Gate::document_body) && content_checksum(content) != header.content_checksum) {
    gates.refuse(Gate::document_body);
    return false;
  }
  return true;
}

/// Those that `header` does not name: a stripe has one head for each key, so there are none in
/// order.
void RollForward::drop_heads(const Key& key) {
  static_cast<void>(reader_.heads_of(key, rows_));
  for (const Row& row : rows_) {
    superseded_ += core_.directory.erase(key, row.offset_blocks) ? 1 : 0;
  }
}

/// The rows that `header` says are over.
void RollForward::drop_what_ends(const DocumentHeader& header) {
  if (header.kind == DocumentKind::purge_all) {
    core_.header.purge_epoch = header.serial + 1;
    superseded_ += core_.directory.erase_if([](const Row& row) { return row.head; });
  } else if (header.kind == DocumentKind::fragment) {
    superseded_ += header.moved_from != 0 && core_.directory.erase(header.key, header.moved_from);
  } else {
    // By its row where the document names it: the head itself may be overwritten by now.
    superseded_ += core_.directory.erase(header.first_key, header.body_offset) ? 1 : 0;
    drop_heads(header.first_key);
  }
}

void RollForward::index(const DocumentHeader& header, std::uint64_t position) {
  drop_what_ends(header);
  const std::uint64_t room = rounded_length(header.length, core_.geometry);
  core_.header.last_write_pos = position;
  core_.header.write_pos = core_.header.agg_pos = position + room;
  core_.header.evacuated_bytes += header.moved_from != 0 ? room : 0;
  core_.log_bytes += room;
  ++core_.header.dirty;
  const bool head = header.kind == DocumentKind::head;
  if (!head && header.kind != DocumentKind::fragment) {
    return;
  }
  log_.index(header.key, core_.data_offset(position), header.length, head, header.pinned);
  log_.restart();
}

/// Reads at `position` and takes every document there that continues the log. False: not one.
bool RollForward::take_run(std::uint64_t position) {
  const StripeGeometry& geometry = core_.geometry;
  if (position + geometry.sector_bytes > geometry.end) {
    return false;
  }
  cut_off_ = false;
  if (!fill(position)) {
    ++unreadable_;
    return false;
  }
  DecodedDocument decoded;
  std::uint64_t taken = 0;
  while (core_.log_bytes < geometry.data_bytes() && continues(position, decoded)) {
    if (position != core_.header.write_pos) {
      log_.wrap();
    }
    core_.header.write_serial = decoded.header.serial + 1;
    core_.header.link = decoded.checksum;
    index(decoded.header, position);
    position = core_.header.write_pos;
    ++taken;
  }
  documents_ += taken;
  unreadable_ += taken == 0 && cut_off_ ? 1 : 0;  // a slice has room for any document
  return taken > 0;
}

bool RollForward::step() {
  const std::uint64_t position = core_.header.write_pos;
  if (take_run(position)) {
    return true;
  }
  // A document that had room before the stripe's end would not have wrapped.
  const bool may_have_wrapped =
      !lost() && position + core_.geometry.fragment_bytes > core_.geometry.end;
  return may_have_wrapped && take_run(core_.geometry.data_begin);
}

}  // namespace engine::cyclone
