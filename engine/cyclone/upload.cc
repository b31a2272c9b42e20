// Fragments first, the head last: an object exists from the moment its head is durable, and until
// then it is some fragments nobody asks for. What is left of an upload that was given up, and of an
// object that was replaced, stays in the log and in the directory until the cursor comes round.
#include "engine/cyclone/upload.h"

#include <algorithm>

#include <fmt/format.h>

namespace engine::cyclone {

Uploads::Uploads(Core& core, Writer& writer, Log& log, Reader& reader, Evacuation& evacuation)
    : core_(core), writer_(writer), log_(log), reader_(reader), evacuation_(evacuation) {}

Status Uploads::check(std::string_view name,
                      std::string_view header,
                      std::uint64_t body_bytes) const {
  const std::uint32_t header_max = core_.geometry.fragment_bytes / 2;
  if (name.empty() || name.size() > name_bytes_max) {
    return fail(
        Trouble::invalid,
        fmt::format(
            "a key of {} bytes is not possible; allowed: 1 to {}", name.size(), name_bytes_max));
  }
  if (header.size() + name.size() > header_max) {
    return fail(Trouble::invalid,
                fmt::format("a key and header of {} bytes do not fit; allowed: {} together",
                            name.size() + header.size(),
                            header_max));
  }
  if (body_bytes > core_.geometry.data_bytes() / 2) {
    return fail(Trouble::full,
                fmt::format("a body of {} bytes is more than half of the stripe's {}",
                            body_bytes,
                            core_.geometry.data_bytes()));
  }
  return {};
}

/// Random, and with another tag than the object's key, so that looking for a head never reads a
/// fragment.
Key Uploads::any_key(const Key& other) {
  Key key = other;
  while (key.tag() == other.tag()) {
    const std::uint64_t low = core_.random.next();
    key = make_key(low, core_.random.next());
  }
  return key;
}

Result<UploadId> Uploads::begin(std::string_view name,
                                std::string_view header,
                                std::uint64_t body_bytes) {
  const Status possible = check(name, header, body_bytes);
  if (!possible) {
    return tl::unexpected(possible.error());
  }
  Upload upload;
  upload.name = name;
  upload.header = header;
  upload.key = key_of(name);
  upload.earliest = upload.next = any_key(upload.key);
  upload.pinned = is_pinned(core_.config, name);
  upload.body_bytes = body_bytes;
  upload.failed_writes = core_.counters.failed_writes;
  Vector vector;
  vector.name = name;
  vector.header = header;
  upload.resident =
      document_header_bytes + vector_bytes(vector) + body_bytes <= core_.geometry.fragment_bytes;
  table_.emplace(++last_id_, std::move(upload));
  return last_id_;
}

Result<Uploads::Table::iterator> Uploads::find(UploadId id) {
  const auto row = table_.find(id);
  if (row == table_.end()) {
    return fail(Trouble::gone, fmt::format("there is no upload {}", id));
  }
  return row;
}

Status Uploads::write_fragment(Upload& upload) {
  DocumentHeader header;
  header.kind = DocumentKind::fragment;
  header.object_bytes = upload.body_bytes;
  header.first_key = upload.key;
  header.key = upload.next;
  header.body_offset = upload.written;
  header.pinned = upload.pinned;
  const Status way = evacuation_.make_way(document_header_bytes + upload.buffer.size());
  const auto at = way ? writer_.append(header, {}, upload.buffer) : tl::unexpected(way.error());
  if (!at) {
    return tl::unexpected(at.error());
  }
  upload.written += upload.buffer.size();
  upload.next = next_fragment(upload.next);
  upload.buffer.clear();
  return {};
}

Status Uploads::append(UploadId id, std::span<const std::byte> bytes) {
  const auto found = find(id);
  if (!found) {
    return tl::unexpected(found.error());
  }
  Upload& upload = (*found)->second;
  if (bytes.size() > upload.body_bytes - upload.received) {
    return fail(Trouble::invalid,
                fmt::format("{} bytes are too many: of {} announced, {} have arrived",
                            bytes.size(),
                            upload.body_bytes,
                            upload.received));
  }
  upload.received += bytes.size();
  while (!bytes.empty()) {
    if (upload.buffer.size() == fragment_content()) {
      const Status done = write_fragment(upload);
      if (!done) {
        table_.erase(*found);
        ++core_.counters.aborts;
        return done;
      }
    }
    const std::size_t part =
        std::min<std::size_t>(bytes.size(), fragment_content() - upload.buffer.size());
    const auto taken = bytes.first(part);
    upload.buffer.insert(upload.buffer.end(), taken.begin(), taken.end());
    bytes = bytes.subspan(part);
  }
  return {};
}

/// Appends the head, and takes the older heads of the key out of the directory.
Status Uploads::write_head(Upload& upload, std::uint32_t order) {
  Vector vector;
  vector.name = upload.name;
  vector.header = upload.header;
  vector.earliest = upload.earliest;
  vector.resident = upload.resident;
  vector.fragment_content_bytes = upload.resident ? 0 : fragment_content();
  vector.order = order;
  std::vector<std::byte> meta(vector_bytes(vector));
  encode_vector(vector, meta);
  DocumentHeader header;
  header.kind = DocumentKind::head;
  header.object_bytes = upload.body_bytes;
  header.first_key = header.key = upload.key;
  header.pinned = upload.pinned;
  // The older head may be among what is moved: it is looked for behind that.
  Status done = evacuation_.make_way(document_header_bytes + meta.size() + upload.buffer.size());
  done = done ? reader_.heads_of(upload.key, old_rows_) : done;
  if (!done) {
    return done;
  }
  header.body_offset = old_rows_.empty() ? 0 : old_rows_.back().offset_blocks;
  const auto at = writer_.append(header, meta, upload.buffer);
  if (!at) {
    return tl::unexpected(at.error());
  }
  // In this order, as roll-forward does it: a row more or less decides what a full segment forgets.
  for (const Row& row : old_rows_) {
    log_.replace(upload.key, row);
  }
  const std::uint64_t bytes = document_header_bytes + meta.size() + upload.buffer.size();
  log_.index(upload.key, *at, bytes, true, upload.pinned);
  return {};
}

Status Uploads::publish(Upload& upload) {
  Status done;
  if (!upload.resident && !upload.buffer.empty()) {
    done = write_fragment(upload);
  }
  // Before a head says that it replaces the version there is.
  if (done && upload.failed_writes != core_.counters.failed_writes) {
    return fail(Trouble::device, "a part of the body could not be written");
  }
  done = done ? write_head(upload, 0) : done;
  if (done && (!core_.config.acknowledge_buffered || log_.over_high_water())) {
    done = writer_.flush();
  }
  if (done && upload.failed_writes != core_.counters.failed_writes) {
    return fail(Trouble::device, "a part of the body could not be written");
  }
  return done;
}

Status Uploads::commit(UploadId id) {
  const auto found = find(id);
  if (!found) {
    return tl::unexpected(found.error());
  }
  Upload& upload = (*found)->second;
  if (upload.received != upload.body_bytes) {
    return fail(Trouble::invalid,
                fmt::format("upload {} has {} of the {} bytes of its body",
                            id,
                            upload.received,
                            upload.body_bytes));
  }
  const Status done = publish(upload);
  core_.counters.puts += done ? 1 : 0;
  table_.erase(*found);
  return done;
}

Status Uploads::abort(UploadId id) {
  const auto found = find(id);
  if (!found) {
    return tl::unexpected(found.error());
  }
  table_.erase(*found);
  ++core_.counters.aborts;
  return {};
}

void Uploads::abort_all() {
  core_.counters.aborts += table_.size();
  table_.clear();
}

/// A new head under the new header. A resident body goes along; where the two do not fit one
/// document any more it becomes a fragment. Other bodies stay where they are.
Result<bool> Uploads::update_header(std::string_view name, std::string_view header) {
  const Status possible = check(name, header, 0);
  if (!possible) {
    return tl::unexpected(possible.error());
  }
  const Key key = key_of(name);
  const auto head = reader_.find_head(key, name);
  Vector vector;
  if (!head || !*head || !decode_vector((*head)->meta, vector)) {
    return head ? Result<bool>(false) : tl::unexpected(head.error());
  }
  Upload upload;
  upload.name = name;
  upload.header = header;
  upload.key = key;
  upload.pinned = is_pinned(core_.config, name);
  upload.earliest = upload.next = vector.earliest;
  upload.body_bytes = (*head)->header.object_bytes;
  upload.resident = vector.resident;
  upload.failed_writes = core_.counters.failed_writes;
  upload.buffer.assign((*head)->content.begin(), (*head)->content.end());
  const std::uint32_t order = vector.order + 1;
  vector.header = header;
  const std::uint64_t bytes = document_header_bytes + vector_bytes(vector) + upload.buffer.size();
  Status done;
  if (upload.resident && bytes > core_.geometry.fragment_bytes) {
    upload.resident = false;
    upload.earliest = upload.next = any_key(key);
    done = write_fragment(upload);
  }
  done = done ? write_head(upload, order) : done;
  if (done && (!core_.config.acknowledge_buffered || log_.over_high_water())) {
    done = writer_.flush();
  }
  if (!done) {
    return tl::unexpected(done.error());
  }
  ++core_.counters.updates;
  return true;
}

/// Written even where the directory knows no such object: a row that was dropped in memory may
/// still be in a copy on the disk.
Result<bool> Uploads::purge(std::string_view name) {
  const Key key = key_of(name);
  Status done = evacuation_.make_way(document_header_bytes + name.size());
  done = done ? reader_.heads_of(key, old_rows_) : done;
  for (const Row& row : old_rows_) {
    static_cast<void>(core_.directory.erase(key, row.offset_blocks));
  }
  if (done && core_.gates.on(Gate::durable_purge)) {
    core_.gates.refuse(Gate::durable_purge);
    DocumentHeader header;
    header.kind = DocumentKind::purge;
    header.first_key = header.key = key;
    header.body_offset = old_rows_.empty() ? 0 : old_rows_.back().offset_blocks;
    const auto at = writer_.append(header, std::as_bytes(std::span(name)), {});
    done = at ? writer_.flush() : tl::unexpected(at.error());
  }
  if (!done) {
    return tl::unexpected(done.error());
  }
  ++core_.header.dirty;
  ++core_.header.purge_epoch;
  ++core_.counters.purges;
  return !old_rows_.empty();
}

}  // namespace engine::cyclone
