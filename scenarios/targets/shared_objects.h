#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "scenarios/targets/shared_memory.h"

namespace scenarios {

/// What a program nobody here wrote keeps in shared memory: every object of /dev/shm whose name
/// begins with `prefix`, as bytes. Words of `shm` mean here:
///
///     on, off      the lives from the next start on are told to use shared memory, or not
///     lost         nothing is left when the life that runs has ended
///     others       half of them, by a hash of the word: stale, the objects as they were when the
///                  life before ended come back; the others: poked, one byte of one object is
///                  changed, by that hash too
class SharedObjects {
 public:
  explicit SharedObjects(std::string prefix) : prefix_(std::move(prefix)) {}
  ~SharedObjects() { remove_all(); }
  SharedObjects(const SharedObjects&) = delete;
  SharedObjects& operator=(const SharedObjects&) = delete;

  [[nodiscard]] const std::string& prefix() const { return prefix_; }
  [[nodiscard]] bool on() const { return on_; }
  void order(std::string_view word);
  /// The life has ended: what was ordered happens.
  void life_ended();
  [[nodiscard]] std::shared_ptr<const SharedState> save() const;
  /// Null: nothing is there.
  void restore(const std::shared_ptr<const SharedState>& state);

 private:
  void remove_all();
  void poke(std::string_view word);

  std::string prefix_, ordered_;
  std::shared_ptr<const SharedState> before_;  ///< when the life before ended
  bool on_ = true;
};

}  // namespace scenarios
