#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "faultfs/crash_model.h"
#include "faultfs/state_digest.h"
#include "scenarios/recording.h"

namespace runner {

/// Ways to judge a crash state without running the cache on it, none of which loses anything; prose
/// in pruning.cc. Each can be switched off (`--no-prune NAME`).
struct PruneOptions {
  bool contents = true;  ///< contents of a place with equal bytes count as one
  bool image = true;     ///< disks with the same bytes are run once
  bool reads = true;     ///< so are those that agree in all that was read
  bool answers = true;   ///< what was seen is judged once for each crash point
  [[nodiscard]] static PruneOptions none() { return {false, false, false, false}; }
};

[[nodiscard]] const std::vector<std::string>& prune_names();
/// Switches `name` off. Error: names the word and the allowed ones.
[[nodiscard]] faultfs::Status switch_off(const std::string& name, PruneOptions& options);

/// The runs of one log so far, by what they read. Bounded in memory: what does not fit is run
/// again.
class Pruner {
 public:
  /// What one run of the cache showed.
  struct Run {
    std::shared_ptr<scenarios::Examination> seen;
    std::shared_ptr<const std::vector<faultfs::SectorPlace>> reads;  ///< all of them in `places`
    std::shared_ptr<const faultfs::WriteLog> recovery;  ///< of its first start; null: not asked for
  };

  /// `recording` must outlive it.
  Pruner(const scenarios::Recording& recording, const PruneOptions& options);

  [[nodiscard]] const faultfs::LogDigests& digests() const { return digests_; }
  /// As `LogDigests::state`. Sectors that only recoveries write become places from here on.
  [[nodiscard]] faultfs::LogDigests::State state(std::uint32_t limit,
                                                 std::vector<faultfs::SectorPlace> deviating,
                                                 const std::vector<faultfs::Image>& disks);

  /// The run that stands for `state`, restarted with `unit_bytes`; null where there is none yet.
  [[nodiscard]] const Run* find(const faultfs::LogDigests::State& state, std::uint32_t unit_bytes);
  /// Makes a run share what it saw with an earlier one that saw the same. True when that is kept as
  /// long as this lives; false where there is no more room.
  bool share(Run& run);
  /// Keeps a run that is shared.
  void add(const faultfs::LogDigests::State& state, std::uint32_t unit_bytes, const Run& run);

  /// True when what was `seen` in a shared run was found to hold at `point`.
  [[nodiscard]] bool held_before(const scenarios::Examination& seen,
                                 const faultfs::CrashPoint& point) const;
  void note_held(const scenarios::Examination& seen, const faultfs::CrashPoint& point);

 private:
  struct Key {
    faultfs::Digest digest;
    std::uint32_t unit_bytes = 0;
    [[nodiscard]] bool operator==(const Key&) const = default;
  };
  struct HashKey {
    std::size_t operator()(const Key& key) const { return key.digest.low ^ key.unit_bytes; }
  };
  using Runs = std::unordered_map<Key, Run, HashKey>;
  /// The runs that read just these places.
  struct ReadSet {
    faultfs::Digest name;  // of the places
    faultfs::LogDigests::Part part;
    std::size_t places = 0;  // so many were watched
    Runs runs;
  };
  /// True when `state` deviates nowhere but in the places that had been watched for `set`.
  [[nodiscard]] static bool fits(const ReadSet& set, const faultfs::LogDigests::State& state);
  ReadSet& set_of(const std::vector<faultfs::SectorPlace>& reads);

  const scenarios::Recording& recording_;
  PruneOptions options_;
  faultfs::LogDigests digests_;
  faultfs::LogDigests::Part all_;
  Runs images_;
  std::vector<std::unique_ptr<ReadSet>> sets_;  // those that helped last come first
  std::map<faultfs::Digest, std::shared_ptr<scenarios::Examination>> seen_;
  std::set<std::tuple<const scenarios::Examination*, std::uint32_t, bool, faultfs::CutKind>> held_;
  std::uint64_t seen_bytes_ = 0, kept_ = 0;
};

}  // namespace runner
