#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/block/device.h"
#include "engine/handoff/board.h"
#include "engine/handoff/transfer.h"
#include "engine/service/disk_words.h"
#include "engine/service/server.h"

namespace engine::service {

struct StoreWords;

/// One of two instances of a store on one disk. Whoever has the lock on the disk writes; the other
/// one reads, through the directory that the writer shows in shared memory, and takes the right to
/// write when it is handed over (handoff/transfer.h), or when nobody has it any more. One thread.
class Cooperation {
 public:
  static constexpr std::chrono::milliseconds look_every{50};

  /// `disk` and `words`: checked. Writes where nobody does, else reads. Error: the disk is in use
  /// by an engine that does not cooperate, there are two instances already, or what opening it
  /// says.
  [[nodiscard]] static Result<std::unique_ptr<Cooperation>> start(
      const DiskWord& disk,
      const StoreWords& words,
      const std::filesystem::path& socket_file,
      handoff::Watch watch);
  ~Cooperation();
  Cooperation(const Cooperation&) = delete;
  Cooperation& operator=(const Cooperation&) = delete;
  Cooperation(Cooperation&&) = delete;
  Cooperation& operator=(Cooperation&&) = delete;

  /// The one to serve: perhaps another one after each call below. Null: nothing can be opened now.
  [[nodiscard]] Store* store() const { return store_.get(); }
  [[nodiscard]] bool writes() const { return writes_; }

  /// Readable when the other instance calls; then `answer`.
  [[nodiscard]] int descriptor() const { return listener_.descriptor(); }
  /// What came with the right to write, which this instance has now; none: nothing has changed.
  [[nodiscard]] std::optional<handoff::Freight> answer();
  /// To be called every `look_every`: where nobody writes, this instance does from then on.
  void look();
  /// Gives the right to write to the other instance, and with it what `freight` has: clients, and
  /// the listener where this instance ends. The text says to whom, and how long nobody was served.
  /// Error: why not; this instance writes as before, unless the message says that it reads.
  [[nodiscard]] Result<std::string> hand_over(handoff::Freight& freight,
                                              std::chrono::milliseconds patience);

 private:
  Cooperation(const DiskWord& disk, const StoreWords& words, handoff::Listener listener);
  [[nodiscard]] Status open_writer(Descriptor disk);
  [[nodiscard]] Status open_reader();
  void drop_store();
  [[nodiscard]] Status begin();
  [[nodiscard]] Result<handoff::Terms> terms() const;
  [[nodiscard]] Error go_back(const Error& why, const std::vector<std::byte>& uploads);
  [[nodiscard]] Result<handoff::Freight> take(handoff::Taker& taker);

  DiskWord word_;
  std::unique_ptr<StoreWords> words_;
  handoff::Listener listener_;
  handoff::Watch watch_;
  std::unique_ptr<handoff::Board> board_;
  Descriptor disk_;  // with the lock, while this instance writes
  std::unique_ptr<block::Device> device_;
  std::unique_ptr<Store> store_;
  bool writes_ = false;
  std::chrono::steady_clock::time_point next_look_;
};

}  // namespace engine::service
