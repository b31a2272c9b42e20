#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/restart/control.h"

namespace engine::restart {

class RestartLife;
struct TableClaim;

/// Says that nobody writes one stripe's image any more. Made by `StripeImage::seal` only, and
/// needed, one for each image, to raise the clean mark.
class SealedImage {
 public:
  SealedImage(SealedImage&&) noexcept = default;
  SealedImage& operator=(SealedImage&&) noexcept = default;
  SealedImage(const SealedImage&) = delete;
  SealedImage& operator=(const SealedImage&) = delete;
  ~SealedImage();

 private:
  friend class FastRestart;
  friend class StripeImage;
  SealedImage() = default;
  std::unique_ptr<Mapping> mapping_;  ///< read-only; kept so that a late writer is stopped
  std::shared_ptr<RestartLife> life_;
  std::size_t slot_ = 0;
  Binding disk_;
};

/// Gives pages of the heap back.
struct UnmapPages {
  std::size_t size_bytes = 0;
  void operator()(std::byte* bytes) const;
};

/// The memory of one stripe's directory, in shared memory or on the heap, and the right to write
/// it. One thread at a time.
class StripeImage {
 public:
  StripeImage(StripeImage&&) noexcept;
  StripeImage& operator=(StripeImage&&) noexcept;
  StripeImage(const StripeImage&) = delete;
  StripeImage& operator=(const StripeImage&) = delete;
  ~StripeImage();

  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }
  /// True where the bytes are the directory that the life before sealed for this disk; the owner
  /// checks its structure and then uses it or refuses it. False: all bytes are 0.
  [[nodiscard]] bool attached() const { return attached_; }
  [[nodiscard]] bool shared() const { return mapping_ != nullptr; }
  /// Of the object; empty where the bytes are on the heap.
  [[nodiscard]] const std::string& name() const { return name_; }

  /// The structural validator refused the attached directory: counts it and zeroes the bytes.
  void refuse_structure(std::string_view why);
  /// The disk went bad or a flush failed: the next start rebuilds this stripe from its disk.
  void distrust(std::string_view why);
  /// Ends the right to write. `disk`: what the stripe's disk durably says now. The bytes are made
  /// read-only first and digested afterwards, so a writer that was overlooked cannot go unnoticed.
  [[nodiscard]] SealedImage seal(const Binding& disk) &&;

 private:
  friend class FastRestart;
  StripeImage() = default;
  /// Attaches or creates the image that `claim` allows; leaves it empty where neither can be.
  void share(const TableClaim& claim, std::uint64_t size_bytes);

  std::string identity_, name_;
  std::span<std::byte> bytes_;
  bool attached_ = false;
  std::unique_ptr<Mapping> mapping_;
  std::unique_ptr<std::byte, UnmapPages> heap_;
  std::shared_ptr<RestartLife> life_;
  std::size_t slot_ = 0;
};

/// One life of a process with the directories of its stripes in shared memory:
///
///     FastRestart restart(posix_shared_memory(), request, log);
///     StripeImage image = restart.take(identity, size, what_the_disk_says);   // any thread
///     ... validate or load, run ...
///     restart.finish_start();                                                 // once all took
///     restart.mark_clean({std::move(image).seal(what_the_disk_says)});        // orderly stop
///
/// Without the last line the next start finds no clean mark and rebuilds. Nothing here reads or
/// writes a disk.
class FastRestart {
 public:
  FastRestart(SharedMemory& memory, const StartRequest& request, Log log);
  ~FastRestart();
  FastRestart(const FastRestart&) = delete;
  FastRestart& operator=(const FastRestart&) = delete;
  FastRestart(FastRestart&&) noexcept;
  FastRestart& operator=(FastRestart&&) noexcept;

  [[nodiscard]] Mode mode() const;
  /// Memory for the stripe called `identity`; on the heap where shared memory cannot be had. Error:
  /// no memory at all.
  [[nodiscard]] Result<StripeImage> take(std::string_view identity,
                                         std::uint64_t size_bytes,
                                         const Binding& disk);
  /// After all stripes took theirs: removes images that no stripe claimed; none, where none
  /// claimed any.
  void finish_start();
  /// Raises the clean mark if `images` are all that were taken from shared memory. False: it stays
  /// down. Afterwards no image is given out, and `images` are gone.
  bool mark_clean(std::vector<SealedImage>&& images);

  /// Gate name → refusals.
  [[nodiscard]] std::map<std::string, std::uint64_t> refusals() const;
  /// attached, created, heap, orphans, huge_pages …
  [[nodiscard]] std::map<std::string, std::uint64_t> counters() const;

 private:
  std::shared_ptr<RestartLife> life_;
};

}  // namespace engine::restart
