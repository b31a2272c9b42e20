#pragma once

/// What may happen to the shared memory of a cache between two of its lives. Words of the command
/// `shm WORD`; all but the first two happen once, when the life that is running has ended.
///
///     on, off          the lives from the next start on keep their directory there, or not
///     lost             the machine was off: nothing is left
///     purge_owner      somebody asks to purge what the running life owns; at once
///     store:N          the life is killed after its store number N into shared memory from now on,
///                      1 the first: what is there then is what the next one finds (in memory only)
///     other names      an accident, named by the gate that has to refuse what it leaves: bytes of
///                      the control segment, of a row or of an image are changed, and where the
///                      gate stands behind a digest, that is made to fit; or the system refuses a
///                      request of the next start
///
/// How the moment of a store is caught: store_trap.h.

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/cyclone/division.h"
#include "engine/restart/process_memory.h"
#include "faultfs/base/bytes.h"
#include "scenarios/targets/store_trap.h"

namespace scenarios {

/// All that a cache has in shared memory at one time, and what its next start will meet.
struct SharedState {
  std::map<std::string, faultfs::Bytes> objects;
  std::string refusal;  ///< an accident that the next start meets; empty: none
};

/// Every word of `shm` but `store:N`; `on`, `off` and `lost` first.
[[nodiscard]] const std::vector<std::string_view>& shared_words();
[[nodiscard]] bool is_shared_word(std::string_view word);
/// The number of `store:N`; 0: it is another word.
[[nodiscard]] std::uint64_t store_number(std::string_view word);

/// The shared memory of one target, below one prefix.
class SharedGround {
 public:
  /// `refusing`: where `memory` can be told to refuse requests; null: the machine's own.
  SharedGround(engine::restart::SharedMemory& memory,
               engine::restart::ProcessMemory* refusing,
               std::string prefix_word);
  ~SharedGround();
  SharedGround(const SharedGround&) = delete;
  SharedGround& operator=(const SharedGround&) = delete;
  SharedGround(SharedGround&&) = delete;
  SharedGround& operator=(SharedGround&&) = delete;

  /// What lives use now: their prefix, which an accident may have spoiled.
  [[nodiscard]] std::string prefix_word() const;
  [[nodiscard]] bool on() const { return on_; }
  /// How often a purge was refused because of a living owner, since this was last asked.
  [[nodiscard]] std::uint64_t take_purges_refused() { return std::exchange(purges_refused_, 0); }
  /// True where the life that runs was killed at a store.
  [[nodiscard]] bool dead() const { return trap_ && trap_->sprung(); }
  /// How many lives were, the running one with them.
  [[nodiscard]] std::uint64_t kills() const { return kills_ + (dead() ? 1 : 0); }
  /// Of the last of them: "store 17 into shared memory: row 12 of segment 0, word 3".
  [[nodiscard]] std::string killed_at() const;
  /// `places`: the stripes of the life that runs.
  void order(std::string_view word, std::vector<engine::cyclone::StripePlace> places);
  /// The life has ended: what was ordered happens.
  void life_ended();
  /// What the next start meets is over.
  void start_ended();

  [[nodiscard]] std::shared_ptr<const SharedState> save();
  /// Null: nothing is there. The lives that follow keep their directory in shared memory.
  void restore(const std::shared_ptr<const SharedState>& state);

 private:
  void remove_all();
  void put_objects(const std::map<std::string, faultfs::Bytes>& objects);
  void happen(const std::string& accident);
  /// How many images are looked for.
  [[nodiscard]] std::size_t images() const;
  void refuse(const std::string& accident);

  engine::restart::SharedMemory& memory_;
  engine::restart::ProcessMemory* refusing_;
  std::string prefix_word_, prefix_;
  std::vector<engine::cyclone::StripePlace> places_;
  bool on_ = true, ordered_on_ = true;
  std::vector<std::string> ordered_;
  std::string refusal_;
  std::uint64_t purges_refused_ = 0;
  std::optional<StoreTrap> trap_;  // where the memory is this process's own
  std::uint64_t trapped_store_ = 0, kills_ = 0;
  std::string killed_at_;  // of the life before
};

}  // namespace scenarios
