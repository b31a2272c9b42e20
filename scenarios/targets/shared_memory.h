#pragma once

/// What may happen to the shared memory of a cache between two of its lives. Words of the command
/// `shm WORD`; all but the first two happen once, when the life that is running has ended.
///
///     on, off          the lives from the next start on keep their directory there, or not
///     lost             the machine was off: nothing is left
///     purge_owner      somebody asks to purge what the running life owns; at once
///     other names      an accident, named by the gate that has to refuse what it leaves: bytes of
///                      the control segment, of a row or of an image are changed, and where the
///                      gate stands behind a digest, that is made to fit; or the system refuses a
///                      request of the next start
///
/// Not modelled: stores of the cache itself that are done in part (a kill between two stores).

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

namespace scenarios {

/// All that a cache has in shared memory at one time, and what its next start will meet.
struct SharedState {
  std::map<std::string, faultfs::Bytes> objects;
  std::string refusal;  ///< an accident that the next start meets; empty: none
};

/// Every word of `shm`, `on`, `off` and `lost` first.
[[nodiscard]] const std::vector<std::string_view>& shared_words();
[[nodiscard]] bool is_shared_word(std::string_view word);

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
};

}  // namespace scenarios
