#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "scenarios/life_notes.h"
#include "scenarios/reading.h"
#include "scenarios/recording.h"

namespace scenarios {

/// A put that was begun and not ended.
struct Upload {
  Key key = 0;
  std::size_t operation = 0;  ///< index in the history
  std::uint64_t sent_bytes = 0;
};

/// One history being run and written down (how: at the head of record.cc). What a client does is in
/// record.cc, what ends lives and begins others in record_lives.cc. Keeps references to all it is
/// given.
class Recorder {
 public:
  Recorder(Target& target, const Rig& rig, Recording& recording)
      : target_(target),
        device_(rig.device),
        recording_(recording),
        history_(recording.history),
        reader_(target, *recording.bodies, recording.history),
        traits_(target.traits()),
        notes_(target, recording) {}

  /// From blank disks to the last command. Error: trouble of the world.
  faultfs::Status run();

 private:
  faultfs::Status run_one(const Command& command);
  void run_operation(const Command& command);
  faultfs::Status restart(const Command& command);

  [[nodiscard]] std::size_t begin_operation(OperationKind kind, Key key);
  bool end_operation(std::size_t index, const Reply& reply);
  bool answered(const Reply& reply, std::string_view what);
  [[nodiscard]] std::string name(const Operation& operation) const;

  void begin_upload(const Command& command);
  void send(Upload& upload, std::uint64_t size_bytes);
  void finish_upload(Key key);
  void abort_upload(Key key);
  [[nodiscard]] Upload* open_upload(Key key);
  void forget_upload(Key key);
  Reading read(const Command& command);
  void update(const Command& command);
  void tick(std::uint64_t count);

  faultfs::Status start(std::string_view after, bool to_end);
  faultfs::Status reformat(std::uint32_t slot_bytes);
  faultfs::Status overlap();
  faultfs::Status hand_over();
  faultfs::Status power_cut(const Command& command);
  void stop_cleanly();
  [[nodiscard]] std::uint64_t kills_so_far() const;
  [[nodiscard]] bool killed_by_fault() const;
  faultfs::Status restart_killed();

  Target& target_;
  faultfs::Device& device_;
  Recording& recording_;
  History& history_;
  Reader reader_;
  Traits traits_;
  LifeNotes notes_;
  std::vector<Upload> uploads_;
  std::uint32_t slot_bytes_ = 0;  ///< 0: as configured
  std::uint32_t starts_ = 0;
  bool may_be_killed_ = false;    ///< a fault kills the cache
  std::uint64_t kills_seen_ = 0;  ///< by faults, and answered with a restart
  bool over_ = false;             ///< the target is gone and did not come back
};

}  // namespace scenarios
