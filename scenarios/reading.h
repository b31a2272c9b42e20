#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "scenarios/body_library.h"
#include "scenarios/history.h"
#include "scenarios/targets/target.h"

namespace scenarios {

/// Asks a target for objects and turns its answers into readings. A right answer costs a comparison
/// of memory; only a wrong one is classified. Keeps references to all it is given.
class Reader {
 public:
  Reader(Target& target, BodyLibrary& bodies, const History& history)
      : target_(target), bodies_(bodies), history_(history) {}

  [[nodiscard]] Reading read(Key key,
                             std::uint64_t offset_bytes = 0,
                             std::uint64_t size_bytes = UINT64_MAX);

  /// As `read` of all of each key, in this order, until `take` returns false.
  void read_each(const std::vector<Key>& keys, const std::function<bool(Reading reading)>& take);

  /// Operations that are not in the history (the traffic of an examination) and may be met too.
  void also_know(const std::vector<Operation>* operations) { more_operations_ = operations; }

 private:
  [[nodiscard]] Reading understand(Key key, std::uint64_t offset_bytes);
  [[nodiscard]] std::vector<Piece> pieces(const Reading& reading);
  [[nodiscard]] bool is_right(const Reading& reading);

  Target& target_;
  BodyLibrary& bodies_;
  const History& history_;
  const std::vector<Operation>* more_operations_ = nullptr;
  GetReply reply_;
};

/// A target's life from start to the end of its rebuild.
struct Start {
  Reply reply;                  ///< of the start, or of the tick that got no answer
  bool recovery_ended = false;  ///< within a generous number of ticks
};

/// Starts the target, and ticks until there is nothing more to do where `to_end`. Error: trouble of
/// the world.
[[nodiscard]] faultfs::Result<Start> start_and_rebuild(Target& target,
                                                       std::uint64_t seed,
                                                       const Geometry& geometry,
                                                       bool to_end);

}  // namespace scenarios
