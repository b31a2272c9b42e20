#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "faultfs/image.h"
#include "faultfs/read_watch.h"
#include "faultfs/write_log.h"

namespace faultfs {

/// 128 bits that stand for content: equal bytes in equal places give equal ones, others do not in
/// practice. Those of several places add up, in any order.
struct Digest {
  std::uint64_t low = 0, high = 0;
  Digest& operator+=(const Digest& other) {
    low += other.low;
    high += other.high;
    return *this;
  }
  Digest& operator-=(const Digest& other) {
    low -= other.low;
    high -= other.high;
    return *this;
  }
  [[nodiscard]] auto operator<=>(const Digest&) const = default;  // NOLINT: no pointer
};

/// Of any bytes; `seed` says what they are.
[[nodiscard]] Digest digest_of(ByteView bytes, std::uint64_t seed);

/// Every sector that writes and discards of `log` touch, ascending.
[[nodiscard]] std::vector<SectorPlace> touched_sectors(const WriteLog& log,
                                                       std::uint32_t sector_bytes);

/// A digest of crash states of one log, or of some places in them, that costs what a state
/// deviates from "all kept" and not what the disks hold. Only the places that the log touches
/// differ between its crash states, so only these count.
///
/// Keeps nothing of what it is made of but digests: some fifty bytes for each sector of each write.
class LogDigests {
 public:
  LogDigests(const std::vector<Image>& base, const WriteLog& log, std::uint32_t sector_bytes);

  /// Every sector that the log touches, ascending; then those that `extend` added.
  [[nodiscard]] const std::shared_ptr<const std::vector<SectorPlace>>& places() const {
    return places_;
  }

  /// Makes the sectors of `others` places too, where they are not; in the log they are as in
  /// `base`. True where there was one: parts made before do not know it.
  bool extend(const std::vector<SectorPlace>& others, const std::vector<Image>& base);

  /// One crash state: the places where it deviates from the disks on which everything up to entry
  /// `limit` is kept, and by what.
  struct State {
    struct Deviation {
      std::uint32_t place = 0;  // index in `places`
      Digest by;
    };
    std::uint32_t limit = 0;
    std::vector<Deviation> deviations;
  };
  /// The state on `disks`, which may deviate at `deviating` (in any order, also several times).
  /// None where one of them is no place of the log.
  [[nodiscard]] std::optional<State> state(std::uint32_t limit,
                                           std::vector<SectorPlace> deviating,
                                           const std::vector<Image>& disks) const;

  /// Some of the places.
  struct Part {
    std::vector<bool> holds;   // by index in `places`
    std::vector<Digest> kept;  // by limit: where all is kept
  };
  [[nodiscard]] Part part(const std::vector<SectorPlace>& places) const;
  /// What `state` holds in the places of `part`, as one digest.
  [[nodiscard]] static Digest digest(const Part& part, const State& state);

 private:
  struct Version {
    std::uint32_t entry;
    Digest digest;
  };
  struct Change {
    std::uint32_t place;
    Digest by;
  };
  [[nodiscard]] std::size_t index_of(const SectorPlace& place) const;
  [[nodiscard]] Digest read(const SectorPlace& place, const std::vector<Image>& disks) const;

  std::uint32_t sector_bytes_;
  std::size_t touched_ = 0;                      // places of the log
  std::map<SectorPlace, std::size_t> extended_;  // the others, by index
  std::shared_ptr<const std::vector<SectorPlace>> places_;
  std::vector<std::vector<Version>> versions_;  // by place, ascending by entry; first: base
  std::vector<std::vector<Change>> changes_;    // by entry - 1
};

}  // namespace faultfs
