#include "engine/rock/upload.h"

#include <algorithm>

#include <fmt/format.h>

namespace engine::rock {
namespace {

Status refuse_texts(const Core& core, std::string_view key, std::string_view header) {
  if (key.empty() || key.size() > key_text_bytes_max) {
    return fail(Trouble::invalid,
                fmt::format("a key of {} bytes; allowed: 1 to {}", key.size(), key_text_bytes_max));
  }
  const std::uint32_t header_bytes_max = core.geometry.slot_bytes / 4;
  if (header.size() > header_bytes_max) {
    return fail(Trouble::invalid,
                fmt::format("a header of {} bytes; allowed with slots of {}: at most {}",
                            header.size(),
                            core.geometry.slot_bytes,
                            header_bytes_max));
  }
  return {};
}

}  // namespace

Result<UploadId> Uploads::begin(std::string_view key,
                                std::string_view header,
                                std::uint64_t body_bytes) {
  if (const Status texts = refuse_texts(core_, key, header); !texts) {
    return tl::unexpected(texts.error());
  }
  const std::uint64_t meta_bytes = metadata_fixed_bytes + key.size() + header.size();
  const std::uint64_t room = std::uint64_t{core_.geometry.slot_count} * core_.geometry.capacity();
  if (body_bytes > room - meta_bytes) {
    return fail(Trouble::full,
                fmt::format("an object of {} bytes; the whole store holds {}", body_bytes, room));
  }
  const Digest digest = key_digest(key);
  if (in_progress(digest)) {
    return fail(Trouble::busy, fmt::format("{} is being written by another upload", key));
  }
  if (core_.config.replace_at_begin) {
    if (const auto old = core_.find_readable(digest)) {
      const Status done = core_.free_chain(core_.entries[*old], UnitUse::Kind::entry, *old);
      core_.drop_entry(*old, EntryState::retired);
      if (!done) {
        return tl::unexpected(done.error());
      }
    }
  }
  auto upload = fresh_upload();
  upload->object.key = digest;
  upload->object.text = key;
  upload->object.write = upload->object.chain = core_.next_write_id();
  upload->object.prefix_count = 1;
  upload->object.meta_bytes = static_cast<std::uint32_t>(meta_bytes);
  upload->object.body_bytes = body_bytes;
  std::vector<std::byte> metadata(meta_bytes);
  encode_metadata({key, header, 0}, metadata);
  put_payload(upload->buffer, 0, metadata);
  upload->payload_bytes = upload->object.meta_bytes;
  table_.emplace(++last_id_, std::move(upload));
  return last_id_;
}

std::unique_ptr<Uploads::Upload> Uploads::fresh_upload() {
  auto upload = std::make_unique<Upload>();
  if (spare_.empty()) {
    upload->buffer.resize(core_.geometry.slot_bytes);
  } else {
    upload->buffer.swap(spare_.back()->buffer);
    spare_.pop_back();
  }
  return upload;
}

void Uploads::close(Table::iterator upload) {
  spare_.push_back(std::move(upload->second));
  table_.erase(upload);
}

Result<Uploads::Table::iterator> Uploads::find(UploadId id) {
  const auto found = table_.find(id);
  if (found == table_.end()) {
    return fail(Trouble::gone, fmt::format("no upload {} is in progress", id));
  }
  return found;
}

bool Uploads::in_progress(const Digest& key) const {
  return std::any_of(table_.begin(), table_.end(), [&key](const auto& row) {
    return row.second->object.key == key;
  });
}

Status Uploads::reserve(std::int32_t& slot) {
  const auto taken = space_.take();
  if (!taken) {
    return tl::unexpected(taken.error());
  }
  slot = static_cast<std::int32_t>(*taken);
  return {};
}

Status Uploads::write_buffer(UploadId id, Upload& upload, bool tail) {
  std::int32_t next = no_slot;
  Status done = tail ? Status{} : reserve(next);
  if (done && upload.current == no_slot) {
    done = reserve(upload.current);
  }
  if (!done) {
    if (next != no_slot) {
      core_.release(static_cast<std::uint32_t>(next));
    }
    return done;
  }
  Entry& object = upload.object;
  const auto slot = static_cast<std::uint32_t>(upload.current);
  const bool inode = object.first == no_slot;
  core_.slots[slot] = {UnitUse::Kind::upload, next, upload.payload_bytes, id};
  (inode ? object.first : core_.slots[static_cast<std::uint32_t>(upload.last)].next) =
      upload.current;
  object.slot_count += tail ? 1U : 2U;  // so that this slot is the last one only where it is
  SlotHeader header = core_.header_at(object, object.slot_count - (tail ? 1U : 2U), slot);
  object.slot_count -= tail ? 0U : 1U;
  if (inode) {
    upload.overrides = core_.rebuilding;
    header.flags |= upload.overrides ? flag_overrides : 0U;
  }
  header.payload_checksum = payload_checksum(upload.buffer, upload.payload_bytes);
  if (!inode) {
    upload.suffix_digest = add_to_digest(upload.suffix_digest, header.payload_checksum);
  }
  header.suffix_digest = tail ? upload.suffix_digest : 0;
  done = core_.write_slot(slot, header, upload.buffer);
  upload.last = upload.current;
  upload.current = next;
  upload.payload_bytes = 0;
  return done;
}

Status Uploads::append(UploadId id, std::span<const std::byte> bytes) {
  const auto found = find(id);
  if (!found) {
    return tl::unexpected(found.error());
  }
  Upload& upload = *(*found)->second;
  if (bytes.size() > upload.object.body_bytes - upload.received) {
    return fail(Trouble::invalid,
                fmt::format("{} more bytes for a body of {} of which {} have arrived",
                            bytes.size(),
                            upload.object.body_bytes,
                            upload.received));
  }
  const std::uint32_t capacity = core_.geometry.capacity();
  while (!bytes.empty()) {
    if (upload.payload_bytes == capacity) {
      const Status done = write_buffer(id, upload, false);
      if (!done) {
        (void)give_up(*found);  // the first trouble is the one to tell
        return done;
      }
    }
    const auto part = std::min<std::size_t>(bytes.size(), capacity - upload.payload_bytes);
    put_payload(upload.buffer, upload.payload_bytes, bytes.first(part));
    upload.payload_bytes += static_cast<std::uint32_t>(part);
    upload.received += part;
    bytes = bytes.subspan(part);
  }
  return {};
}

Status Uploads::commit(UploadId id) {
  const auto found = find(id);
  if (!found) {
    return tl::unexpected(found.error());
  }
  Upload& upload = *(*found)->second;
  if (upload.received != upload.object.body_bytes) {
    return fail(Trouble::invalid,
                fmt::format("upload {} has {} of the {} bytes of its body",
                            id,
                            upload.received,
                            upload.object.body_bytes));
  }
  Status written = write_buffer(id, upload, true);
  if (written) {
    upload.object.durable_after = core_.next_barrier();
    written = replaces_unsurely(upload) ? core_.flush() : Status{};
  }
  if (!written) {
    (void)give_up(*found);
    return written;
  }
  const Status done = publish(upload);
  close(*found);
  return done;
}

/// While the rebuild runs, the version that goes may hide a still older one which was not found
/// yet: it must not go before the new one is there for good, or a cut could bring the oldest back.
bool Uploads::replaces_unsurely(const Upload& upload) const {
  const auto known = core_.find(upload.object.key);
  const bool replaces = known && (core_.entries[*known].state == EntryState::readable ||
                                  core_.entries[*known].state == EntryState::loading);
  return core_.rebuilding && replaces && core_.gates.on(Gate::durable_invalidation);
}

/// The object is readable from here on; then the old version goes, so that no cut leaves neither.
Status Uploads::publish(Upload& upload) {
  ++core_.counters.puts;
  const auto known = core_.find(upload.object.key);
  const std::uint32_t number = known ? *known : core_.add_entry(upload.object.key);
  Entry& entry = core_.entries[number];
  Status done;
  if (entry.state == EntryState::readable) {
    done = core_.free_chain(entry, UnitUse::Kind::entry, number);
  } else if (entry.state == EntryState::loading) {
    done = rebuild_.supersede(number);
  }
  entry = std::move(upload.object);
  entry.state = EntryState::readable;
  entry.verified = true;
  entry.since_start = true;
  auto at = entry.first;
  for (std::uint32_t place = 0; place < entry.slot_count; ++place) {
    SlotUse& use = core_.slots[static_cast<std::uint32_t>(at)];
    use.kind = UnitUse::Kind::entry;
    use.owner = number;
    at = use.next;
  }
  return done;
}

Status Uploads::give_up(Table::iterator row) {
  Upload& upload = *row->second;
  ++core_.counters.aborts;
  if (upload.current != no_slot) {
    core_.release(static_cast<std::uint32_t>(upload.current));  // reserved and never written
  }
  const Status done = core_.free_chain(upload.object, UnitUse::Kind::upload, row->first);
  close(row);
  return done;
}

Status Uploads::abort(UploadId id) {
  const auto found = find(id);
  return found ? give_up(*found) : tl::unexpected(found.error());
}

Status Uploads::abort_all() {
  Status outcome;
  while (!table_.empty()) {
    const Status done = give_up(table_.begin());
    outcome = outcome ? done : outcome;
  }
  return outcome;
}

}  // namespace engine::rock
