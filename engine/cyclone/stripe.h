#pragma once

#include <memory>

#include "engine/cyclone/load.h"
#include "engine/cyclone/roll_forward.h"
#include "engine/cyclone/upload.h"

namespace engine::cyclone {

/// One stripe: a directory in memory that its owner keeps, and its place on a device. One thread at
/// a time.
class Stripe {
 public:
  /// `live_image`: `geometry.copy_bytes`, on the heap or in shared memory; outlives the stripe.
  Stripe(block::Device& device,
         const Config& config,
         const StripeGeometry& geometry,
         std::span<std::byte> live_image,
         bool read_only = false);

  /// Begins a life from the disk: loads a copy, then `tick`s roll it forward. Where no copy can be
  /// trusted the stripe is empty. Nothing is written before recovery is over.
  [[nodiscard]] Status recover(const Instance& instance);
  /// Begins a life with the live image as it is: that of a stripe that was closed. The caller has
  /// asked `validate_image`; there is nothing to recover.
  void attach(const Instance& instance);
  /// Empties the stripe, durably: nothing of before is ever found again.
  [[nodiscard]] Status clear(const Instance& instance);

  /// The directory in shared memory is shown to other processes through `live`, as of each
  /// `publish`; `life`: the store's `life_mark`.
  void show(LiveStripe& live, std::string_view image_name, std::uint64_t life);
  /// Other processes see what was done so far. Before it is acknowledged.
  void publish();
  /// Reads what another process shows through `live`; for a stripe that is read only. False:
  /// nothing can be read now.
  [[nodiscard]] bool follow(const LiveStripe& live);

  [[nodiscard]] Uploads& uploads() { return uploads_; }
  [[nodiscard]] Reader& reader() { return reader_; }
  [[nodiscard]] Core& core() { return core_; }

  [[nodiscard]] Status sync();
  /// One slice of recovery, or one write of a directory sync. True while there is more to do.
  [[nodiscard]] Result<bool> tick();
  /// True where `tick` has something to do.
  [[nodiscard]] bool has_work() const {
    return core_.recovering || (!read_only_ && sync_.under_way());
  }
  /// What must be over before anything is changed.
  [[nodiscard]] Status finish_recovery();
  /// Open uploads are given up, everything is durable, and the live image is sealed.
  [[nodiscard]] Status close();

  [[nodiscard]] Inspection inspect();
  [[nodiscard]] Stats stats() const;

 private:
  void begin_life();
  [[nodiscard]] Result<bool> recovery_step();
  [[nodiscard]] Status forget();
  [[nodiscard]] Status write_copy();
  [[nodiscard]] bool recover_by_clearing();

  Core core_;
  Log log_;
  Sync sync_;
  Writer writer_;
  Reader reader_;
  Evacuation evacuation_;
  Uploads uploads_;
  RollForward roll_forward_;
  bool read_only_;
  bool other_copy_usable_ = false;
  LiveStripe* live_ = nullptr;
  std::string image_name_;
  std::uint64_t life_ = 0;
  int copies_to_forget_ = 0;  // still to be written after the log could not be followed
  RecoveryReport report_;
};

}  // namespace engine::cyclone
