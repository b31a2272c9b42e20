#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "faultfs/device.h"
#include "scenarios/body.h"
#include "scenarios/targets/config.h"
#include "scenarios/targets/shared_memory.h"

namespace scenarios {

/// What a target runs on. The target keeps the reference; everything outlives it.
struct Rig {
  faultfs::Device& device;  ///< its disks are the target's storage, as `disk_specs(config)` says
  std::filesystem::path disk_dir;  ///< where the disks appear as files; empty: memory device only
  std::filesystem::path work_dir;  ///< private scratch for configuration, logs, sockets
  int pin_cpu = -1;                ///< CPU for child processes; -1: not pinned
  /// The engine's process survives its lives: a kill drops its store, a start opens the disk again.
  bool persistent_engine = false;
  /// The engine's processes are copies of one that has opened nothing (engine/service/lives.h).
  bool forked_engine = false;
};

/// What a target can do beyond put, get, start and kill. What it cannot is left out of its
/// histories.
struct Traits {
  bool deterministic = false;  ///< same commands, same seed: same write log
  bool header_update = false, purge = false, sync = false, range = false, slow_put = false;
  bool whole_at_last_byte = false;  ///< a put is complete with its last byte, whatever its client
                                    ///< does then (HTTP): giving it up later says nothing
  bool forgets_unsynced = false;    ///< a kill too takes what no sync has followed
  /// It writes in a circle of this many bytes, over what is oldest; 0: it does not.
  std::uint64_t circle_bytes = 0;
  int laps_of_four = 3;  ///< so many of four histories go round the circle, where it is one
  Key pinned = 0;        ///< the first so many keys stay, however often the circle comes round
  bool sliced_rebuild = false;  ///< rebuild is driven by `tick`
  bool inspects = false;        ///< `inspect` answers
  bool purge_all = false;       ///< `purge_all` is there
  bool reformats = false;       ///< can be restarted with another slot size
  bool shares_memory = false;   ///< keeps something in shared memory from life to life
  bool in_process = false;      ///< dies with the harness: runs on the memory device
  bool hands_over = false;      ///< another instance can go on with the store and its slow puts
  bool slow_stop = false;       ///< a stop takes time: it can be killed in it, or be started beside
  bool crowds = false;          ///< several clients can ask for an object that is being put
};

enum class Outcome {
  done,     ///< acknowledged
  refused,  ///< the cache said no (full, too large, busy); it goes on
  lost,     ///< no answer: the device was cut, or the process is gone
};

struct Reply {
  Outcome outcome = Outcome::done;
  std::string detail;  ///< of a refusal or loss, one sentence
  bool open = false;   ///< of a refusal: the cache may yet do it, and will not say
};

struct GetReply {
  enum class Kind { hit, miss, failed } kind = Kind::miss;
  std::string header;               ///< the text given at put or update, as served
  std::uint64_t claimed_bytes = 0;  ///< body length the cache announced for the whole object
  bool broken_off = false;          ///< hit: fewer bytes came, and the client was told so
  bool hung = false;  ///< failed: no end of an answer in all the time that was given, alive or not
  faultfs::Bytes body;  ///< what arrived (of the range asked for)
  std::string detail;   ///< failed: why

  /// Nothing is left of an earlier answer but the room of its buffers.
  void clear() {
    header.clear();
    detail.clear();
    body.clear();
    broken_off = hung = false;
  }
};

/// How a process ended that should not have.
struct Death {
  int signal = 0;  ///< 0: it exited
  int exit_code = 0;
  std::string log_tail;                ///< last lines of its log
  std::filesystem::path program = {};  ///< what died, where that is known
  std::filesystem::path core = {};  ///< its core file, until the next start; empty: none was left
};

/// What one unit of storage (slot) is used for, as the target tells it. See engine/store.h.
struct Structure {
  struct Entry {
    std::string key;
    std::vector<std::uint32_t> units;
  };
  std::vector<Entry> entries;
  std::vector<std::uint32_t> free_units;
  std::uint32_t unit_count = 0;
  std::uint32_t held_units = 0;    ///< uploads, quarantine, not scanned yet
  std::string conservation_error;  ///< empty: each unit is used exactly once, as the table says
};

/// A cache under test. Operations block until answered; the harness gives one at a time, except
/// that uploads of different keys may be open at once. `Status` errors are trouble of the world
/// only.
class Target {
 public:
  virtual ~Target() = default;
  [[nodiscard]] virtual Traits traits() const = 0;

  /// Starts the cache on the disks as they are. `seed` is its own randomness for this life.
  /// `slot_bytes` 0: as configured. Returns when it answers; a rebuild in slices may be unfinished.
  /// Reply::lost: it died or never became ready (the `death` says how).
  [[nodiscard]] virtual faultfs::Result<Reply> start(std::uint64_t seed,
                                                     std::uint32_t slot_bytes) = 0;

  virtual Reply begin_put(Key key, std::string_view header, std::uint64_t body_bytes) = 0;
  /// As `begin_put`, and further clients ask for the key while it is being put.
  virtual Reply begin_crowd(Key key, std::string_view header, std::uint64_t body_bytes) {
    return begin_put(key, header, body_bytes);
  }
  virtual Reply append(Key key, faultfs::ByteView bytes) = 0;
  virtual Reply finish_put(Key key) = 0;
  virtual Reply abort_put(Key key) = 0;
  /// `size_bytes` UINT64_MAX: to the end.
  virtual GetReply get(Key key, std::uint64_t offset_bytes, std::uint64_t size_bytes) = 0;
  /// As `get`, into `reply`, whose buffers a target may reuse.
  virtual void get_into(Key key,
                        std::uint64_t offset_bytes,
                        std::uint64_t size_bytes,
                        GetReply& reply) {
    reply = get(key, offset_bytes, size_bytes);
  }
  /// As `get_into` of all of each key, in this order, until `take`, which finds the answer in
  /// `reply`, returns false. A target may ask for all of them at once.
  virtual void get_each(const std::vector<Key>& keys,
                        GetReply& reply,
                        const std::function<bool(Key key)>& take) {
    for (const Key key : keys) {
      reply.clear();
      get_into(key, 0, UINT64_MAX, reply);
      if (!take(key)) {
        return;
      }
    }
  }
  /// A whole put; given up where the cache refuses its bytes.
  virtual Reply put(Key key, std::string_view header, faultfs::ByteView body) {
    Reply reply = begin_put(key, header, body.size());
    if (reply.outcome == Outcome::done) {
      reply = append(key, body);
      const Reply ended = reply.outcome == Outcome::done ? finish_put(key) : abort_put(key);
      reply = reply.outcome == Outcome::done || ended.outcome == Outcome::lost ? ended : reply;
    }
    return reply;
  }
  virtual Reply purge(Key key) = 0;
  /// Every key (`Traits::purge_all`).
  virtual Reply purge_all() { return {Outcome::refused, "it cannot purge everything"}; }
  virtual Reply update_header(Key key, std::string_view header) = 0;
  virtual Reply sync() = 0;
  /// One slice of background work; `more` says whether there is more.
  virtual Reply tick(bool& more) = 0;
  /// `tick` until there is no more, or an answer other than done, at most `ticks_max` times.
  virtual Reply rebuild(std::uint64_t ticks_max, bool& more) {
    Reply reply;
    for (more = true; more && ticks_max > 0 && reply.outcome == Outcome::done; --ticks_max) {
      reply = tick(more);
    }
    more = more && reply.outcome == Outcome::done;
    return reply;
  }
  /// A clean stop, as its users would do it.
  virtual Reply stop() = 0;
  /// SIGKILL and reap (in process: drop without closing). Never fails; also cleans what it left.
  virtual void kill() = 0;
  /// As `stop`, but that the slow puts go on after the next `start` (`Traits::hands_over`).
  virtual Reply hand_over() { return {Outcome::refused, "it cannot be handed over"}; }
  /// Asks it to stop, and kills it so many milliseconds later (`Traits::slow_stop`).
  virtual void kill_in_stop(std::uint32_t /*milliseconds*/) { kill(); }
  /// Asks it to stop and starts the next life at once, again and again until that is up, while the
  /// old one is still ending (`Traits::slow_stop`). Otherwise as `start`.
  [[nodiscard]] virtual faultfs::Result<Reply> overlap(std::uint64_t seed) {
    return start(seed, 0);
  }
  /// From the next start on the disks are files of the same names in `directory`; empty: those of
  /// the rig again. False: it cannot.
  [[nodiscard]] virtual bool move_to(const std::filesystem::path& directory) {
    return directory.empty();
  }
  /// As `kill`, and the next start is a new process, also where one serves many lives.
  virtual void renew() { kill(); }

  /// `shm WORD` (shared_memory.h); for targets that share memory.
  virtual void order_shared(std::string_view /*word*/) {}
  /// What is in shared memory now; null: the target has none.
  [[nodiscard]] virtual std::shared_ptr<const SharedState> save_shared() { return nullptr; }
  /// Between two lives: that is what the next one finds. Null: nothing.
  virtual void restore_shared(const std::shared_ptr<const SharedState>& /*state*/) {}
  /// Lives that were over after a store into shared memory, as ordered; a part of what they are
  /// asked then may still be answered.
  [[nodiscard]] virtual std::uint64_t kills_at_stores() { return 0; }
  /// The store at which the last of them was over, in words.
  [[nodiscard]] virtual std::string killed_at_store() { return {}; }
  /// True where the life that runs took over what the one before left in shared memory.
  [[nodiscard]] virtual bool attached() { return false; }

  [[nodiscard]] virtual std::optional<Structure> structure() = 0;
  /// Set when the process ended by itself since `start`.
  [[nodiscard]] virtual std::optional<Death> death() = 0;
  /// The gates that refused something in this life so far, and how often.
  [[nodiscard]] virtual std::vector<std::pair<std::string, std::uint64_t>> gate_refusals() = 0;
  /// What the target logged in this life, for the case directory.
  [[nodiscard]] virtual std::string log_text() = 0;
};

/// Why `config` cannot run here ("squid is not installed: apt-get install squid"), or ok.
[[nodiscard]] faultfs::Status available(const TargetConfig& config, bool on_memory_device);

/// Makes the target for `config` on `rig`: in this process where `rig.disk_dir` is empty.
[[nodiscard]] faultfs::Result<std::unique_ptr<Target>> make_target(const TargetConfig& config,
                                                                   const Rig& rig);

}  // namespace scenarios
