#include "engine/memory/ram_cache.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>

namespace engine::memory {
namespace {

constexpr std::uint64_t copy_overhead_bytes = 128;

class RamCache final : public Store {
 public:
  RamCache(std::unique_ptr<Store> store,
           const RamCacheConfig& config,
           std::unique_ptr<Policy> policy)
      : store_(std::move(store)),
        capacity_bytes_(config.capacity_bytes),
        cutoff_bytes_(config.cutoff_bytes),
        policy_(std::move(policy)) {}

  [[nodiscard]] Result<UploadId> begin_put(std::string_view key,
                                           std::string_view header,
                                           std::uint64_t body_bytes) override {
    auto upload = store_->begin_put(key, header, body_bytes);
    // A store may give the old version up here, not at commit, and also where it refuses the new
    // one: then it must be gone here too.
    forget(key);
    if (upload) {
      uploads_[*upload] = key;
    }
    return upload;
  }
  [[nodiscard]] Status append(UploadId upload, std::span<const std::byte> bytes) override {
    const Status taken = store_->append(upload, bytes);
    const auto found = uploads_.find(upload);
    if (!taken && found != uploads_.end()) {
      forget(found->second);
    }
    return taken;
  }
  [[nodiscard]] Status commit(UploadId upload) override {
    return end(upload, store_->commit(upload));
  }
  [[nodiscard]] Status abort(UploadId upload) override {
    return end(upload, store_->abort(upload));
  }

  [[nodiscard]] Status get(std::string_view key, ByteRange range, GetReply& reply) override;

  [[nodiscard]] Result<bool> verify(std::string_view key) override { return store_->verify(key); }
  [[nodiscard]] Result<bool> update_header(std::string_view key, std::string_view header) override {
    forget(key);
    return store_->update_header(key, header);
  }
  [[nodiscard]] Result<bool> purge(std::string_view key) override {
    forget(key);
    return store_->purge(key);
  }
  [[nodiscard]] Status purge_all() override {
    for (const auto& [key, copy] : copies_) {
      policy_->erase(key);
    }
    copies_.clear();
    return store_->purge_all();
  }
  [[nodiscard]] Status sync() override { return store_->sync(); }
  [[nodiscard]] Result<bool> tick() override { return store_->tick(); }
  [[nodiscard]] Status close() override {
    copies_.clear();
    return store_->close();
  }
  [[nodiscard]] Inspection inspect() const override { return store_->inspect(); }
  [[nodiscard]] Stats stats() const override {
    Stats stats = store_->stats();
    stats.counters["ram_hits"] = hits_;
    stats.counters["ram_misses"] = misses_;
    stats.counters["ram_evictions"] = evictions_;
    stats.counters["ram_given_up"] = given_up_;
    stats.counters["ram_bytes"] = policy_->used_bytes();
    stats.counters["ram_bytes_max"] = capacity_bytes_;
    stats.counters["ram_objects"] = copies_.size();
    return stats;
  }

 private:
  struct Copy {
    std::string header;
    std::vector<std::byte> body;
    std::vector<std::uint64_t> parts;  ///< of the store's, where it lies
  };

  void forget(std::string_view key) {
    if (copies_.erase(std::string(key)) > 0) {
      policy_->erase(key);
    }
  }
  [[nodiscard]] Status end(UploadId upload, Status outcome) {
    const auto found = uploads_.find(upload);
    if (found != uploads_.end()) {
      // A get between begin and commit may have brought the old version in again.
      forget(found->second);
      if (outcome || outcome.error().trouble != Trouble::invalid) {
        uploads_.erase(found);
      }
    }
    return outcome;
  }
  void keep(std::string_view key, const GetReply& reply) {
    const std::uint64_t size_bytes = copy_overhead_bytes + key.size() + reply.header.size() +
                                     reply.body.size() + reply.parts.size() * sizeof(std::uint64_t);
    if (reply.body.size() > cutoff_bytes_) {
      return;
    }
    copies_[std::string(key)] = {reply.header, reply.body, reply.parts};
    for (const std::string& gone : policy_->insert(key, size_bytes)) {
      copies_.erase(gone);
      ++evictions_;
    }
  }

  std::unique_ptr<Store> store_;
  std::uint64_t capacity_bytes_, cutoff_bytes_;
  std::unique_ptr<Policy> policy_;
  std::unordered_map<std::string, Copy> copies_;
  std::unordered_map<UploadId, std::string> uploads_;
  std::uint64_t hits_ = 0, misses_ = 0, evictions_ = 0, given_up_ = 0;
};

Status RamCache::get(std::string_view key, ByteRange range, GetReply& reply) {
  const auto found = copies_.find(std::string(key));
  const bool given_up = found != copies_.end() && !store_->still(key, found->second.parts);
  if (given_up) {
    ++given_up_;
    forget(key);
  }
  if (given_up || found == copies_.end()) {
    ++misses_;
    Status got = store_->get(key, range, reply);
    if (got && reply.hit && reply.body.size() == reply.body_bytes) {
      keep(key, reply);
    }
    return got;
  }
  ++hits_;
  policy_->hit(key);
  const std::vector<std::byte>& body = found->second.body;
  const std::size_t begin = std::min<std::uint64_t>(range.offset_bytes, body.size());
  const std::size_t count = std::min<std::uint64_t>(range.size_bytes, body.size() - begin);
  reply.hit = true;
  reply.header = found->second.header;
  reply.body_bytes = body.size();
  reply.body.assign(body.begin() + static_cast<std::ptrdiff_t>(begin),
                    body.begin() + static_cast<std::ptrdiff_t>(begin + count));
  return {};
}

}  // namespace

Result<std::unique_ptr<Store>> make_ram_cache(std::unique_ptr<Store> store,
                                              const RamCacheConfig& config) {
  auto policy = make_policy(config.policy, config.capacity_bytes);
  if (!policy) {
    return tl::unexpected(policy.error());
  }
  if (config.capacity_bytes == 0) {
    return store;
  }
  return std::make_unique<RamCache>(std::move(store), config, std::move(*policy));
}

}  // namespace engine::memory
