#include "engine/memory/ram_store.h"

#include <algorithm>
#include <list>
#include <map>
#include <string>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

namespace engine::memory {
namespace {

constexpr std::size_t key_bytes_max = 4096;

struct Object {
  std::string key, header;
  std::vector<std::byte> body;
  std::uint64_t write_id = 0;
};

struct Upload {
  Object object;
  std::uint64_t body_bytes = 0;  ///< announced
};

/// Objects in the order of their last use, the latest first.
class RamStore final : public Store {
 public:
  explicit RamStore(const RamStoreConfig& config) : config_(config) {}

  [[nodiscard]] Result<UploadId> begin_put(std::string_view key,
                                           std::string_view header,
                                           std::uint64_t body_bytes) override;
  [[nodiscard]] Status append(UploadId id, std::span<const std::byte> bytes) override;
  [[nodiscard]] Status commit(UploadId id) override;
  [[nodiscard]] Status abort(UploadId id) override;
  [[nodiscard]] Status get(std::string_view key, ByteRange range, GetReply& reply) override;
  /// Whoever replaces an object says so; that it went to make room shows here.
  [[nodiscard]] bool still(std::string_view key, std::span<const std::uint64_t>) override {
    return index_.contains(std::string(key));
  }
  [[nodiscard]] Result<bool> update_header(std::string_view key, std::string_view header) override;
  [[nodiscard]] Result<bool> purge(std::string_view key) override;
  [[nodiscard]] Status purge_all() override;
  [[nodiscard]] Status sync() override { return open(); }
  [[nodiscard]] Result<bool> tick() override {
    const Status may = open();
    return may ? Result<bool>(false) : tl::unexpected(may.error());
  }
  [[nodiscard]] Status close() override;
  [[nodiscard]] Inspection inspect() const override;
  [[nodiscard]] Stats stats() const override;

 private:
  using Objects = std::list<Object>;

  [[nodiscard]] Status open() const {
    return closed_ ? fail(Trouble::gone, "the store is closed") : Status{};
  }
  [[nodiscard]] Status check_header(std::string_view header) const;
  [[nodiscard]] Result<Upload*> find_upload(UploadId id);
  [[nodiscard]] Object* use(std::string_view key);
  /// Evicts until `bytes` more fit; false: only uploads are left. `kept` is not evicted.
  [[nodiscard]] bool make_room(std::uint64_t bytes, const Object* kept = nullptr);
  void drop(Objects::iterator object);

  static std::uint64_t cost(std::size_t key, std::size_t header, std::uint64_t body) {
    return object_overhead_bytes + key + header + body;
  }
  static std::uint64_t cost(const Object& object) {
    return cost(object.key.size(), object.header.size(), object.body.size());
  }
  static std::uint64_t cost(const Upload& upload) {
    return cost(upload.object.key.size(), upload.object.header.size(), upload.body_bytes);
  }

  RamStoreConfig config_;
  bool closed_ = false;
  std::uint64_t used_bytes_ = 0;
  UploadId last_upload_ = 0;
  std::uint64_t last_write_ = 0;
  std::map<UploadId, Upload> uploads_;
  Objects objects_;
  std::unordered_map<std::string, Objects::iterator> index_;
  std::map<std::string, std::uint64_t> counters_ = {{"puts", 0},
                                                    {"aborts", 0},
                                                    {"gets", 0},
                                                    {"hits", 0},
                                                    {"misses", 0},
                                                    {"updates", 0},
                                                    {"purges", 0},
                                                    {"purges_of_all", 0},
                                                    {"evictions", 0}};
};

Status RamStore::check_header(std::string_view header) const {
  return header.size() <= config_.header_bytes_max
             ? Status{}
             : fail(Trouble::invalid,
                    fmt::format("a header of {} bytes; allowed: at most {}",
                                header.size(),
                                config_.header_bytes_max));
}

void RamStore::drop(Objects::iterator object) {
  used_bytes_ -= cost(*object);
  index_.erase(object->key);
  objects_.erase(object);
}

bool RamStore::make_room(std::uint64_t bytes, const Object* kept) {
  while (used_bytes_ > config_.capacity_bytes || bytes > config_.capacity_bytes - used_bytes_) {
    if (objects_.empty() || &objects_.back() == kept) {
      return false;
    }
    ++counters_["evictions"];
    drop(std::prev(objects_.end()));
  }
  return true;
}

Object* RamStore::use(std::string_view key) {
  const auto found = index_.find(std::string(key));
  if (found == index_.end()) {
    return nullptr;
  }
  objects_.splice(objects_.begin(), objects_, found->second);
  return &*found->second;
}

Result<UploadId> RamStore::begin_put(std::string_view key,
                                     std::string_view header,
                                     std::uint64_t body_bytes) {
  Status may = open();
  if (may && (key.empty() || key.size() > key_bytes_max)) {
    may = fail(Trouble::invalid,
               fmt::format("a key of {} bytes; allowed: 1 to {}", key.size(), key_bytes_max));
  }
  may = may ? check_header(header) : may;
  if (!may) {
    return tl::unexpected(may.error());
  }
  for (const auto& [id, upload] : uploads_) {
    if (upload.object.key == key) {
      return fail(Trouble::busy, fmt::format("{} is being written by another upload", key));
    }
  }
  // The first test keeps the sum within its type.
  if (body_bytes > config_.capacity_bytes ||
      !make_room(cost(key.size(), header.size(), body_bytes))) {
    return fail(
        Trouble::full,
        fmt::format(
            "an object of {} bytes; the whole store holds {}", body_bytes, config_.capacity_bytes));
  }
  Upload& upload = uploads_[++last_upload_];
  upload.object.key = key;
  upload.object.header = header;
  upload.object.write_id = ++last_write_;
  upload.body_bytes = body_bytes;
  used_bytes_ += cost(upload);
  return last_upload_;
}

Result<Upload*> RamStore::find_upload(UploadId id) {
  const Status may = open();
  if (!may) {
    return tl::unexpected(may.error());
  }
  const auto found = uploads_.find(id);
  return found == uploads_.end()
             ? Result<Upload*>(fail(Trouble::gone, fmt::format("no upload {} is in progress", id)))
             : &found->second;
}

Status RamStore::append(UploadId id, std::span<const std::byte> bytes) {
  const auto upload = find_upload(id);
  if (!upload) {
    return tl::unexpected(upload.error());
  }
  std::vector<std::byte>& body = (*upload)->object.body;
  if (bytes.size() > (*upload)->body_bytes - body.size()) {
    return fail(Trouble::invalid,
                fmt::format("{} more bytes for a body of {} of which {} have arrived",
                            bytes.size(),
                            (*upload)->body_bytes,
                            body.size()));
  }
  body.insert(body.end(), bytes.begin(), bytes.end());
  return {};
}

Status RamStore::commit(UploadId id) {
  const auto upload = find_upload(id);
  if (!upload) {
    return tl::unexpected(upload.error());
  }
  Object& object = (*upload)->object;
  if (object.body.size() != (*upload)->body_bytes) {
    return fail(Trouble::invalid,
                fmt::format("upload {} has {} of the {} bytes of its body",
                            id,
                            object.body.size(),
                            (*upload)->body_bytes));
  }
  const auto old = index_.find(object.key);
  if (old != index_.end()) {
    drop(old->second);
  }
  objects_.push_front(std::move(object));
  index_[objects_.front().key] = objects_.begin();
  uploads_.erase(id);
  ++counters_["puts"];
  return {};
}

Status RamStore::abort(UploadId id) {
  const auto upload = find_upload(id);
  if (!upload) {
    return tl::unexpected(upload.error());
  }
  used_bytes_ -= cost(**upload);
  uploads_.erase(id);
  ++counters_["aborts"];
  return {};
}

Status RamStore::get(std::string_view key, ByteRange range, GetReply& reply) {
  const Status may = open();
  if (!may) {
    return may;
  }
  reply.hit = false;
  reply.header.clear();
  reply.body_bytes = 0;
  reply.body.clear();
  ++counters_["gets"];
  const Object* const object = use(key);
  ++counters_[object != nullptr ? "hits" : "misses"];
  if (object == nullptr) {
    return {};
  }
  const std::span<const std::byte> body = object->body;
  const std::size_t begin = std::min<std::uint64_t>(range.offset_bytes, body.size());
  const std::size_t count = std::min<std::uint64_t>(range.size_bytes, body.size() - begin);
  reply.hit = true;
  reply.header = object->header;
  reply.body_bytes = body.size();
  reply.body.assign(body.begin() + static_cast<std::ptrdiff_t>(begin),
                    body.begin() + static_cast<std::ptrdiff_t>(begin + count));
  return {};
}

Result<bool> RamStore::update_header(std::string_view key, std::string_view header) {
  Status may = open();
  may = may ? check_header(header) : may;
  if (!may) {
    return tl::unexpected(may.error());
  }
  Object* const object = use(key);
  if (object == nullptr) {
    return false;
  }
  const std::uint64_t more =
      header.size() > object->header.size() ? header.size() - object->header.size() : 0;
  if (!make_room(more, object)) {
    return fail(Trouble::full, "no object can be evicted for the longer header");
  }
  used_bytes_ += header.size();
  used_bytes_ -= object->header.size();
  object->header = header;
  object->write_id = ++last_write_;
  ++counters_["updates"];
  return true;
}

Result<bool> RamStore::purge(std::string_view key) {
  const Status may = open();
  if (!may) {
    return tl::unexpected(may.error());
  }
  const auto found = index_.find(std::string(key));
  if (found == index_.end()) {
    return false;
  }
  drop(found->second);
  ++counters_["purges"];
  return true;
}

/// What uploads in progress take stays taken.
Status RamStore::purge_all() {
  const Status may = open();
  while (may && !objects_.empty()) {
    drop(objects_.begin());
  }
  counters_["purges_of_all"] += may ? 1 : 0;
  return may;
}

Status RamStore::close() {
  uploads_.clear();
  objects_.clear();
  index_.clear();
  used_bytes_ = 0;
  closed_ = true;
  return {};
}

/// One unit for each object and upload, and one for the room that is left.
Inspection RamStore::inspect() const {
  Inspection view;
  for (const Object& object : objects_) {
    const auto unit = static_cast<std::uint32_t>(view.units.size());
    view.units.push_back({UnitUse::Kind::entry, view.entries.size()});
    view.entries.push_back({object.key, object.write_id, object.body.size(), {unit}});
  }
  for (const auto& [id, upload] : uploads_) {
    view.units.push_back({UnitUse::Kind::upload, id});
  }
  view.units.push_back({UnitUse::Kind::free, 0});
  return view;
}

Stats RamStore::stats() const {
  Stats stats;
  stats.counters = counters_;
  stats.counters["used_bytes"] = used_bytes_;
  stats.recovery.finished = true;
  return stats;
}

}  // namespace

Result<std::unique_ptr<Store>> open_ram_store(const RamStoreConfig& config) {
  if (config.capacity_bytes < object_overhead_bytes) {
    return fail(Trouble::invalid,
                fmt::format("a memory store of {} bytes is too small; allowed: from {}",
                            config.capacity_bytes,
                            object_overhead_bytes));
  }
  return std::make_unique<RamStore>(config);
}

}  // namespace engine::memory
