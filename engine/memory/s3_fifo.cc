#include <algorithm>
#include <list>
#include <unordered_map>

#include "engine/memory/policy.h"

namespace engine::memory {
namespace {

constexpr std::uint64_t small_share = 10;  // the small queue has one part in this many
constexpr int uses_max = 3;                // two bits
constexpr int uses_to_promote = 2;
constexpr std::uint64_t ghost_share = 4;  // names take at most one part in this many
constexpr std::uint64_t ghost_overhead_bytes = 64;

class S3Fifo final : public Policy {
 public:
  explicit S3Fifo(std::uint64_t capacity_bytes) : capacity_bytes_(capacity_bytes) {}

  [[nodiscard]] std::vector<std::string> insert(std::string_view key,
                                                std::uint64_t size_bytes) override {
    std::string name(key);
    const auto ghost = ghost_index_.find(name);
    const bool known = ghost != ghost_index_.end();
    if (known) {
      forget_ghost(ghost->second);
    }
    // Room is made first, so that a newcomer is never what goes for itself.
    std::vector<std::string> gone;
    if (size_bytes > capacity_bytes_) {
      return {std::move(name)};
    }
    while (used_bytes() + size_bytes > capacity_bytes_) {
      evict(gone);
    }
    push(known ? main_ : small_, {std::move(name), size_bytes, 0});
    return gone;
  }
  void hit(std::string_view key) override {
    const auto found = index_.find(std::string(key));
    if (found != index_.end()) {
      int& uses = found->second.row->uses;
      uses = std::min(uses + 1, uses_max);
    }
  }
  void erase(std::string_view key) override {
    const auto found = index_.find(std::string(key));
    if (found != index_.end()) {
      Queue& queue = *found->second.queue;
      queue.used_bytes -= found->second.row->size_bytes;
      queue.rows.erase(found->second.row);
      index_.erase(found);
    }
  }
  [[nodiscard]] std::uint64_t used_bytes() const override {
    return small_.used_bytes + main_.used_bytes;
  }

 private:
  struct Row {
    std::string key;
    std::uint64_t size_bytes = 0;
    int uses = 0;
  };
  /// The newest first.
  struct Queue {
    std::list<Row> rows;
    std::uint64_t used_bytes = 0;
  };
  struct Place {
    Queue* queue = nullptr;
    std::list<Row>::iterator row;
  };

  void push(Queue& queue, Row row) {
    queue.used_bytes += row.size_bytes;
    queue.rows.push_front(std::move(row));
    index_[queue.rows.front().key] = {&queue, queue.rows.begin()};
  }
  static Row pop(Queue& queue) {
    Row row = std::move(queue.rows.back());
    queue.rows.pop_back();
    queue.used_bytes -= row.size_bytes;
    return row;
  }

  /// Lets one object go, or moves one on towards that; ends because every move uses up a use.
  void evict(std::vector<std::string>& gone) {
    const bool small_is_full =
        small_.used_bytes >= std::max<std::uint64_t>(capacity_bytes_ / small_share, 1);
    if (!small_.rows.empty() && (small_is_full || main_.rows.empty())) {
      Row row = pop(small_);
      if (row.uses >= uses_to_promote) {
        row.uses = 0;
        push(main_, std::move(row));
        return;
      }
      index_.erase(row.key);
      remember(row.key);
      gone.push_back(std::move(row.key));
      return;
    }
    Row row = pop(main_);
    if (row.uses > 0) {
      --row.uses;
      push(main_, std::move(row));
      return;
    }
    index_.erase(row.key);
    gone.push_back(std::move(row.key));
  }

  void remember(const std::string& key) {
    ghosts_.push_front(key);
    ghost_index_[key] = ghosts_.begin();
    ghost_bytes_ += key.size() + ghost_overhead_bytes;
    while (ghost_bytes_ > capacity_bytes_ / ghost_share && !ghosts_.empty()) {
      forget_ghost(std::prev(ghosts_.end()));
    }
  }
  void forget_ghost(std::list<std::string>::iterator ghost) {
    ghost_bytes_ -= ghost->size() + ghost_overhead_bytes;
    ghost_index_.erase(*ghost);
    ghosts_.erase(ghost);
  }

  std::uint64_t capacity_bytes_;
  Queue small_, main_;
  std::unordered_map<std::string, Place> index_;
  std::list<std::string> ghosts_;
  std::unordered_map<std::string, std::list<std::string>::iterator> ghost_index_;
  std::uint64_t ghost_bytes_ = 0;
};

}  // namespace

std::unique_ptr<Policy> make_s3_fifo(std::uint64_t capacity_bytes) {
  return std::make_unique<S3Fifo>(capacity_bytes);
}

}  // namespace engine::memory
