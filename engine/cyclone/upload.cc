// Fragments first, the head last: an object exists from the moment its head is durable, and until
// then it is some fragments nobody asks for. What is left of an upload that was given up, and of an
// object that was replaced, stays in the log and in the directory until the cursor comes round.
//
// A head has all alternates of its object, so whatever changes one of them writes the head again
// with the others as they were. At most one body is in the head. The one that is put goes there
// where it fits, and the one that was there becomes a fragment; every other change takes the body
// that is there along, as long as it fits. So an alternate's body is never older in the log than
// its put, and is lost with its own fragments, not with another's.
//
// Example: fragments of 8K; k|a of 3K is put, its body is in head 1. k|b of 20K is put: three
// fragments, and head 2 with both vectors and the body of k|a. k|c of 1K is put: the body of k|a
// becomes a fragment, head 3 has three vectors and the body of k|c. Purge of k|b: head 4 has two
// vectors, and the body of k|c again.
#include "engine/cyclone/upload.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "engine/alternate.h"

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
  upload.key = key_of(object_of(name));
  upload.earliest = upload.next = any_key(upload.key);
  upload.pinned = is_pinned(core_.config, object_of(name));
  upload.body_bytes = body_bytes;
  upload.failed_writes = core_.counters.failed_writes;
  add(++last_id_, std::move(upload));
  return last_id_;
}

void Uploads::add(UploadId id, Upload upload) {
  if (live_ != nullptr) {
    live_->list_open(upload.key);
  }
  table_.insert_or_assign(id, std::move(upload));
}

void Uploads::drop(Table::iterator upload) {
  if (live_ != nullptr) {
    live_->unlist_open(upload->second.key);
  }
  table_.erase(upload);
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
        drop(*found);
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

/// The body that is resident in the head becomes a fragment of its own.
Status Uploads::displace(const Key& key, HeadDraft& draft) {
  const Alternate* resident = draft.resident();
  if (resident == nullptr) {
    return {};
  }
  Upload moved;
  moved.key = key;
  moved.body_bytes = resident->object_bytes;
  moved.next = any_key(key);
  moved.pinned = is_pinned(core_.config, draft.vector().object);
  moved.buffer = draft.displace(moved.next, fragment_content());
  return moved.buffer.empty() ? Status{} : write_fragment(moved);
}

/// Appends the head, and takes the older heads of the key out of the directory.
Status Uploads::write_head(const Key& key, const HeadDraft& draft) {
  std::vector<std::byte> meta(vector_bytes(draft.vector()));
  encode_vector(draft.vector(), meta);
  DocumentHeader header;
  header.kind = DocumentKind::head;
  header.object_bytes = draft.vector().alternates.front().object_bytes;
  header.first_key = header.key = key;
  header.pinned = is_pinned(core_.config, draft.vector().object);
  // The older head may be among what is moved: it is looked for behind that.
  Status done = evacuation_.make_way(draft.document_bytes());
  done = done ? reader_.heads_of(key, old_rows_) : done;
  if (!done) {
    return done;
  }
  header.body_offset = old_rows_.empty() ? 0 : old_rows_.back().offset_blocks;
  const auto at = writer_.append(header, meta, draft.content());
  if (!at) {
    return tl::unexpected(at.error());
  }
  // In this order, as roll-forward does it: a row more or less decides what a full segment forgets.
  for (const Row& row : old_rows_) {
    log_.replace(key, row);
  }
  log_.index(key, *at, draft.document_bytes(), true, header.pinned);
  return {};
}

/// The body as fragments, or, where it fits, in the head; then another body leaves it.
Status Uploads::place_body(Upload& upload, HeadDraft& draft) {
  const std::uint64_t without_body = draft.document_bytes() - draft.content().size();
  Status done;
  if (upload.written == 0 && without_body + upload.buffer.size() <= core_.geometry.fragment_bytes) {
    done = displace(upload.key, draft);
    draft.settle(std::move(upload.buffer));
    return done;
  }
  if (!upload.buffer.empty()) {
    done = write_fragment(upload);
  }
  return done ? fit(upload.key, draft) : done;
}

/// A head that is too long gives its resident body away.
Status Uploads::fit(const Key& key, HeadDraft& draft) {
  return draft.document_bytes() > core_.geometry.fragment_bytes ? displace(key, draft) : Status{};
}

Status Uploads::publish(Upload& upload) {
  HeadDraft draft;
  Status done = draft.load(reader_, upload.key, object_of(upload.name));
  if (!done) {
    return done;
  }
  Alternate written;
  written.name = alternate_of(upload.name);
  written.header = upload.header;
  written.object_bytes = upload.body_bytes;
  written.earliest = upload.earliest;
  written.fragment_content_bytes = fragment_content();
  core_.counters.alternates_evicted += draft.put(written, core_.geometry.fragment_bytes);
  done = place_body(upload, draft);
  // Before a head says that it replaces the version there is.
  if (done && upload.failed_writes != core_.counters.failed_writes) {
    return fail(Trouble::device, "a part of the body could not be written");
  }
  done = done ? write_head(upload.key, draft) : done;
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
  drop(*found);
  return done;
}

Status Uploads::abort(UploadId id) {
  const auto found = find(id);
  if (!found) {
    return tl::unexpected(found.error());
  }
  drop(*found);
  ++core_.counters.aborts;
  return {};
}

void Uploads::abort_all() {
  core_.counters.aborts += table_.size();
  while (!table_.empty()) {
    drop(table_.begin());
  }
}

bool Uploads::is_open(std::string_view name) const {
  const Key key = key_of(object_of(name));
  return std::any_of(
      table_.begin(), table_.end(), [&key](const auto& row) { return row.second.key == key; });
}

void Uploads::pack(FrameWriter& into) const {
  const auto lives = [this](const auto& row) {
    return row.second.failed_writes == core_.counters.failed_writes;
  };
  into.u64(last_id_);
  into.u32(static_cast<std::uint32_t>(std::count_if(table_.begin(), table_.end(), lives)));
  for (const auto& row : table_) {
    const auto& [id, upload] = row;
    if (!lives(row)) {
      continue;
    }
    into.u64(id);
    into.text(upload.name);
    into.text(upload.header);
    for (const Key& key : {upload.earliest, upload.next}) {
      into.u64(key.low());
      into.u64(key.high());
    }
    into.u64(upload.body_bytes);
    into.u64(upload.received);
    into.u64(upload.written);
    into.bytes(upload.buffer);
  }
}

bool Uploads::unpack(FrameReader& from) {
  last_id_ = from.u64();
  for (std::uint32_t count = from.u32(); count > 0 && from.whole(); --count) {
    const UploadId id = from.u64();
    Upload upload;
    upload.name = from.text();
    upload.header = from.text();
    upload.key = key_of(object_of(upload.name));
    upload.pinned = is_pinned(core_.config, object_of(upload.name));
    for (Key* key : {&upload.earliest, &upload.next}) {
      const std::uint64_t low = from.u64();
      *key = make_key(low, from.u64());
    }
    upload.body_bytes = from.u64();
    upload.received = from.u64();
    upload.written = from.u64();
    const auto buffer = from.bytes();
    upload.buffer.assign(buffer.begin(), buffer.end());
    upload.failed_writes = core_.counters.failed_writes;
    const bool sane = upload.written <= upload.received && upload.received <= upload.body_bytes &&
                      upload.buffer.size() == upload.received - upload.written &&
                      upload.buffer.size() <= fragment_content();
    if (!from.whole() || !sane) {
      return false;
    }
    add(id, std::move(upload));
  }
  return from.whole();
}

/// A new head, in which this alternate has the new header. A resident body goes along; where it
/// does not fit any more it becomes a fragment. Other bodies stay where they are.
Result<bool> Uploads::update_header(std::string_view name, std::string_view header) {
  const Status possible = check(name, header, 0);
  if (!possible) {
    return tl::unexpected(possible.error());
  }
  const Key key = key_of(object_of(name));
  HeadDraft draft;
  Status done = draft.load(reader_, key, object_of(name));
  const Alternate* found = done ? draft.vector().find(alternate_of(name)) : nullptr;
  if (found == nullptr) {
    return done ? Result<bool>(false) : tl::unexpected(done.error());
  }
  Alternate renewed = *found;
  renewed.header = header;
  ++renewed.order;
  core_.counters.alternates_evicted += draft.put(renewed, core_.geometry.fragment_bytes);
  done = fit(key, draft);
  done = done ? write_head(key, draft) : done;
  if (done && (!core_.config.acknowledge_buffered || log_.over_high_water())) {
    done = writer_.flush();
  }
  if (!done) {
    return tl::unexpected(done.error());
  }
  ++core_.counters.updates;
  return true;
}

/// What a purge has appended is durable, where purges are to be.
Status Uploads::settle_purge() {
  ++core_.header.dirty;
  if (!core_.gates.on(Gate::durable_purge)) {
    return {};
  }
  core_.gates.refuse(Gate::durable_purge);
  return writer_.flush();
}

/// Of an object with other alternates: a head without this one. A head that does not name it says
/// already that it is gone.
Result<bool> Uploads::purge(std::string_view name) {
  const Key key = key_of(object_of(name));
  HeadDraft draft;
  Status done = draft.load(reader_, key, object_of(name));
  if (!done) {
    return tl::unexpected(done.error());
  }
  bool found = draft.remove(alternate_of(name));
  if (draft.vector().count == 0) {
    const auto purged = purge_object(key, object_of(name));
    found = purged ? found || *purged : found;
    done = purged ? done : tl::unexpected(purged.error());
  } else if (found) {
    done = write_head(key, draft);
  }
  done = done ? settle_purge() : done;
  if (!done) {
    return tl::unexpected(done.error());
  }
  ++core_.counters.purges;
  return found;
}

/// Written even where the directory knows no such object: a row that was dropped in memory may
/// still be in a copy on the disk.
Result<bool> Uploads::purge_object(const Key& key, std::string_view object) {
  Status done = evacuation_.make_way(document_header_bytes + object.size());
  done = done ? reader_.heads_of(key, old_rows_) : done;
  for (const Row& row : old_rows_) {
    static_cast<void>(core_.directory.erase(key, row.offset_blocks));
  }
  if (done && core_.gates.on(Gate::durable_purge)) {
    DocumentHeader header;
    header.kind = DocumentKind::purge;
    header.first_key = header.key = key;
    header.body_offset = old_rows_.empty() ? 0 : old_rows_.back().offset_blocks;
    const auto at = writer_.append(header, std::as_bytes(std::span(object)), {});
    done = at ? done : tl::unexpected(at.error());
  }
  return done ? Result<bool>(!old_rows_.empty()) : tl::unexpected(done.error());
}

/// One document, whatever the stripe holds. Fragments stay in the directory: without a head nothing
/// leads to them, and those of uploads in progress will get theirs.
Status Uploads::purge_all() {
  if (core_.gates.on(Gate::durable_purge)) {
    DocumentHeader header;
    header.kind = DocumentKind::purge_all;
    const Status way = evacuation_.make_way(document_header_bytes);
    const auto at = way ? writer_.append(header, {}, {}) : tl::unexpected(way.error());
    if (!at) {
      return tl::unexpected(at.error());
    }
  }
  static_cast<void>(core_.directory.erase_if([](const Row& row) { return row.head; }));
  const Status done = settle_purge();
  if (done && core_.gates.on(Gate::durable_purge)) {
    core_.header.purge_epoch = core_.header.write_serial;
  }
  core_.counters.purges_of_all += done ? 1 : 0;
  return done;
}

}  // namespace engine::cyclone
