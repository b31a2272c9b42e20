#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "faultfs/crash_model.h"
#include "faultfs/sector_history.h"

namespace faultfs {

/// The entries that had completed at `point`.
[[nodiscard]] constexpr std::uint32_t completed_at(const CrashPoint& point) {
  return point.inside ? point.entry - 1 : point.entry;
}

/// Single sectors of the disks as one crash plan leaves them: the persistence model (prose:
/// crash_model.cc) applied to one sector after another.
///
/// Keeps references to all it is made of. The plan must be legal.
class CutSectors {
 public:
  /// What the model knows of a log.
  struct Facts {
    const std::vector<Image>& base;
    const WriteLog& log;
    const DeviceProfile& profile;
    const SectorHistory& history;
  };
  /// What one sector holds.
  struct Sector {
    DiskNumber disk = 0;
    std::uint64_t number = 0;
    Origin origin;
    bool as_base = false;  ///< as before the log began; then `bytes` are not filled
    std::array<std::byte, Image::page_bytes> bytes{};
  };

  CutSectors(const Facts& facts, const CrashPlan& plan);

  /// The last entry that may have changed anything: the one in flight, or the last completed.
  [[nodiscard]] std::uint32_t limit() const { return limit_; }
  /// The last touch of a sector up to `limit`, or `no_touch`.
  [[nodiscard]] Touch last_touch(DiskNumber disk, std::uint64_t sector) const;
  /// The range of bytes that a misdirected write hit; empty where there is none.
  [[nodiscard]] std::uint64_t target_begin() const { return target_begin_; }
  [[nodiscard]] std::uint64_t target_end() const { return target_end_; }

  /// Fills the content and origin of `sector`, whose disk and number are set and whose
  /// `last_touch` is `last`.
  void settle(Touch last, Sector& sector) const;

 private:
  struct Overlay {
    Touch touch;               // no_touch: the misdirected write
    std::uint32_t size_bytes;  // of a tear
  };
  bool decide(Touch touch, Sector& sector, std::vector<Overlay>& overlays) const;
  bool decide_lost(std::uint32_t entry, Sector& sector) const;
  void make_noise(std::uint32_t entry, Sector& sector) const;
  void make_foreign(std::uint32_t entry, Sector& sector) const;
  [[nodiscard]] Touch foreign_touch(std::uint32_t entry, const Sector& sector) const;
  void version_of(Touch touch, Sector& sector) const;
  void lay_over(const Overlay& overlay, Sector& sector) const;
  [[nodiscard]] bool is_durable(std::uint32_t entry) const;
  [[nodiscard]] const Fate* fate_of(std::uint32_t entry) const;

  Facts facts_;
  const CrashPlan& plan_;
  std::uint32_t completed_;
  std::uint32_t limit_;
  const Fate* misdirected_ = nullptr;
  std::uint64_t target_begin_ = 0;
  std::uint64_t target_end_ = 0;
};

}  // namespace faultfs
