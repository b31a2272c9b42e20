#include <list>
#include <unordered_map>

#include <fmt/format.h>

#include "engine/memory/policy.h"

namespace engine::memory {
namespace {

class Lru final : public Policy {
 public:
  explicit Lru(std::uint64_t capacity_bytes) : capacity_bytes_(capacity_bytes) {}

  [[nodiscard]] std::vector<std::string> insert(std::string_view key,
                                                std::uint64_t size_bytes) override {
    queue_.push_front({std::string(key), size_bytes});
    index_[queue_.front().key] = queue_.begin();
    used_bytes_ += size_bytes;
    std::vector<std::string> gone;
    while (used_bytes_ > capacity_bytes_) {
      gone.push_back(queue_.back().key);
      remove(std::prev(queue_.end()));
    }
    return gone;
  }
  void hit(std::string_view key) override {
    const auto found = index_.find(std::string(key));
    if (found != index_.end()) {
      queue_.splice(queue_.begin(), queue_, found->second);
    }
  }
  void erase(std::string_view key) override {
    const auto found = index_.find(std::string(key));
    if (found != index_.end()) {
      remove(found->second);
    }
  }
  [[nodiscard]] std::uint64_t used_bytes() const override { return used_bytes_; }

 private:
  struct Row {
    std::string key;
    std::uint64_t size_bytes = 0;
  };
  using Queue = std::list<Row>;

  void remove(Queue::iterator row) {
    used_bytes_ -= row->size_bytes;
    index_.erase(row->key);
    queue_.erase(row);
  }

  std::uint64_t capacity_bytes_;
  std::uint64_t used_bytes_ = 0;
  Queue queue_;
  std::unordered_map<std::string, Queue::iterator> index_;
};

}  // namespace

std::unique_ptr<Policy> make_lru(std::uint64_t capacity_bytes) {
  return std::make_unique<Lru>(capacity_bytes);
}

Result<std::unique_ptr<Policy>> make_policy(std::string_view name, std::uint64_t capacity_bytes) {
  if (name == "lru") {
    return make_lru(capacity_bytes);
  }
  if (name == "s3fifo") {
    return make_s3_fifo(capacity_bytes);
  }
  return fail(Trouble::invalid,
              fmt::format("'{}' is not a policy of the RAM cache; allowed: lru, s3fifo", name));
}

}  // namespace engine::memory
