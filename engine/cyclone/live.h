#pragma once

/// An open stripe as another process sees it, beside its owner (handoff/board.h has it in shared
/// memory): where its directory is, which of its rows count, and what is being put.
///
/// The owner raises `version` before and after every change of the directory, so it is odd within
/// one (a sequence lock: one writer, readers that ask again). What a reader finds is proven by the
/// document itself, so the lock keeps rows from being mixed up, and no more.
///
/// Example: a reader sees version 8, walks a chain, sees version 10: a row was moved meanwhile, and
/// it walks again. The owner is killed at version 11: nobody will finish that change, every look
/// ends as a miss, and the next life begins with a version of its own.

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/cyclone/key.h"

namespace engine::cyclone {

/// What of a stripe's header a reader needs.
struct LiveState {
  std::uint64_t write_pos = 0;  ///< bytes from the disk's beginning
  std::uint64_t purge_epoch = 0;
  std::uint32_t phase = 0;
};

/// In shared memory; all zeros at first. One owner at a time stores, any process loads.
class alignas(64) LiveStripe {
 public:
  static constexpr std::size_t image_name_bytes = 32;
  static constexpr std::size_t open_count = 32;

  // The owner's side.

  /// Nothing can be read until `publish`. Takes over from an owner that was killed.
  void hide();
  /// Readers may use the image `name` of this size while the disk is in this life (`life_mark`).
  void show(std::string_view name, std::uint64_t image_bytes, std::uint64_t life);
  void publish(const LiveState& state);
  void begin_change();
  void end_change();
  /// Lists the object as being put. More than `open_count` are not listed.
  void list_open(const Key& object);
  void unlist_open(const Key& object);

  // A reader's side.

  /// 0: nothing can be read.
  [[nodiscard]] std::uint64_t life() const { return life_.load(std::memory_order_acquire); }
  [[nodiscard]] std::uint64_t image_bytes() const { return image_bytes_; }
  [[nodiscard]] std::string image_name() const;
  [[nodiscard]] LiveState state() const;
  [[nodiscard]] bool is_open(const Key& object) const;
  /// Lets `look` read what the owner may be changing, again until nothing changed meanwhile. False:
  /// it went on for some milliseconds, or the owner ended within a change.
  template <typename Look>
  [[nodiscard]] bool stable(const Look& look) const {
    for (unsigned attempt = 0; attempt < attempts_max; ++attempt) {
      const std::uint64_t before = version_.load(std::memory_order_acquire);
      if (before % 2 == 0) {
        look();
        std::atomic_thread_fence(std::memory_order_acquire);
        if (version_.load(std::memory_order_relaxed) == before) {
          return true;
        }
      }
      wait(attempt);
    }
    return false;
  }

 private:
  static constexpr unsigned attempts_max = 64;
  static void wait(unsigned attempt);
  [[nodiscard]] static std::uint64_t mark_of(const Key& object);

  std::atomic<std::uint64_t> version_;
  std::atomic<std::uint64_t> life_;
  std::atomic<std::uint64_t> write_pos_, purge_epoch_;
  std::atomic<std::uint32_t> phase_;
  std::uint32_t unused_;
  std::uint64_t image_bytes_;  // this and the name: stored before life_
  std::array<char, image_name_bytes> image_name_;
  std::array<std::atomic<std::uint64_t>, open_count> open_;  // 0: free
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(sizeof(LiveStripe) == 384);

/// From here to the end of the block the directory changes; `live` null: nobody looks.
class Change {
 public:
  explicit Change(LiveStripe* live) : live_(live) {
    if (live_ != nullptr) {
      live_->begin_change();
    }
  }
  ~Change() {
    if (live_ != nullptr) {
      live_->end_change();
    }
  }
  Change(const Change&) = delete;
  Change& operator=(const Change&) = delete;
  Change(Change&&) = delete;
  Change& operator=(Change&&) = delete;

 private:
  LiveStripe* live_;
};

}  // namespace engine::cyclone
