#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/block/device.h"
#include "engine/rock/config.h"
#include "engine/rock/format.h"
#include "engine/rock/free_slots.h"
#include "engine/store.h"

namespace engine::rock {

/// What one slot is used for, and its place in a chain. 24 bytes per slot is all that stays in
/// memory after a rebuild.
struct SlotUse {
  UnitUse::Kind kind = UnitUse::Kind::unscanned;
  std::int32_t next = no_slot;
  std::uint32_t payload_bytes = 0;
  std::uint64_t owner = 0;  ///< number of the entry, or the upload
};

enum class EntryState : std::uint8_t {
  vacant,
  loading,  ///< slots were found, completeness is not proven (during a rebuild)
  readable,
  refused,  ///< found contradictory during this rebuild: later slots are refused too
  retired,  ///< evicted or purged during this rebuild: later slots are older, and superseded
};

/// One object, or during a rebuild what is known of it.
struct Entry {
  Digest key;
  std::string text;  ///< the key's name; empty where the medium did not tell
  WriteId write;     ///< of the head: the put, or the last header update
  WriteId chain;     ///< of the body
  std::int32_t first = no_slot;
  std::uint32_t slot_count = 0;
  std::uint32_t prefix_count = 0;  ///< slots a header update replaces; 0: a chain without inode
  std::uint32_t first_index = 0;   ///< other than 0 only without inode
  std::uint32_t meta_bytes = 0;
  std::uint64_t body_bytes = 0;
  EntryState state = EntryState::vacant;
  bool verified = false;     ///< every payload checksum was seen right since the opening
  bool pinned = false;       ///< not to be evicted now
  bool since_start = false;  ///< stored or updated since the opening: older slots are superseded
  std::uint64_t durable_after = 0;  ///< durable when the store has made so many barriers

  // While the rebuild runs:
  std::int32_t list = no_slot;  ///< its slots found so far, last found first
  std::uint32_t list_count = 0;
  std::int32_t body_inode = no_slot;
  std::uint32_t count_expected = 0;  ///< slots of the chain, once its tail is known
  bool head_seen = false;
  bool contested = false;  ///< slots of different versions were found
};

struct Counters {
  std::uint64_t puts = 0, aborts = 0, gets = 0, hits = 0, misses = 0, updates = 0, purges = 0,
                purges_of_all = 0;
  std::uint64_t evictions = 0, barriers = 0, invalidations = 0, slot_reads = 0, slot_writes = 0;
  std::uint64_t unreadable_slots = 0;
};

/// The state of one open store, shared by the parts that work on it (upload, reader, update,
/// rebuild, space). Holds the invariants of the tables: a slot is free, or in quarantine, or has
/// one owner.
class Core {
 public:
  Core(block::Device& target, Config settings, Geometry layout, bool inspection_only);

  block::Device& device;
  const Config config;
  const Geometry geometry;
  const bool read_only;
  Gates gates;
  Counters counters;
  Digest instance;
  std::uint32_t epoch = 0;
  std::uint64_t nonce = 0;
  bool rebuilding = true;
  std::vector<SlotUse> slots;
  std::vector<Entry> entries;
  FreeSlots free;
  std::vector<std::byte> scratch;  ///< one slot, for whoever reads

  [[nodiscard]] WriteId next_write_id();

  /// The entry of `key` in whatever state; none where nothing is known of it.
  [[nodiscard]] std::optional<std::uint32_t> find(const Digest& key) const;
  [[nodiscard]] std::optional<std::uint32_t> find_readable(const Digest& key) const;
  std::uint32_t add_entry(const Digest& key);
  /// Takes the entry out of the index; during a rebuild it is remembered as `state`.
  void drop_entry(std::uint32_t number, EntryState state);

  /// The header that the slot at position `place` of the entry's chain carries.
  [[nodiscard]] SlotHeader header_at(const Entry& entry,
                                     std::uint32_t place,
                                     std::uint32_t slot) const;

  /// Puts `header` (with its payload checksum) over `bytes` and writes the used part in one
  /// request.
  [[nodiscard]] Status write_slot(std::uint32_t slot,
                                  const SlotHeader& header,
                                  std::span<std::byte> bytes);
  /// Reads the slot's header and `payload_bytes` of payload into `scratch`.
  [[nodiscard]] Result<DecodedSlot> read_slot(std::uint32_t slot, std::uint32_t payload_bytes);

  /// Reads the next slots of the chain from `slot` on, `count` of them at most, in one request
  /// where they lie close together and the device calls that cheap; `read_slot` takes them from
  /// there until `forget_ahead`.
  void read_ahead(std::uint32_t slot, std::uint32_t count);
  [[nodiscard]] bool is_ahead(std::uint32_t slot) const {
    return slot >= ahead_first_ && slot - ahead_first_ < ahead_count_;
  }
  void forget_ahead() { ahead_count_ = 0; }

  /// Makes a slot that may hold something on the medium unused: durably where the gate is on (free
  /// header now, reuse after the next barrier), in memory only where it is off.
  [[nodiscard]] Status invalidate(std::uint32_t slot, SlotHeader was);
  /// Invalidates every slot of the chain that is used as `kind` by `owner`.
  [[nodiscard]] Status free_chain(const Entry& entry, UnitUse::Kind kind, std::uint64_t owner);
  /// Puts a slot that was never written, or is durably empty, into the free set. Its place in a
  /// chain is remembered until it is taken again: with gates off another chain may share it, and is
  /// read on as Squid would.
  void release(std::uint32_t slot);
  /// The next slot of the free set, now in use by an upload.
  [[nodiscard]] std::optional<std::uint32_t> take_free();

  /// A barrier: everything written is durable, and what was in quarantine is free.
  [[nodiscard]] Status flush();
  /// The value for `Entry::durable_after` of what has just been written.
  [[nodiscard]] std::uint64_t next_barrier() const { return barriers_done_ + 1; }
  /// A barrier, where none was made since `entry` was stored.
  [[nodiscard]] Status make_durable(const Entry& entry);
  [[nodiscard]] bool in_quarantine() const { return !quarantine_.empty(); }
  /// True where something was written since the last barrier.
  [[nodiscard]] bool dirty() const { return dirty_; }
  /// A write outside of the slots.
  [[nodiscard]] Status write(std::uint64_t offset_bytes, std::span<const std::byte> from);

 private:
  struct DigestHash {
    [[nodiscard]] std::size_t operator()(const Digest& digest) const { return digest.low; }
  };

  std::uint32_t counter_ = 0;
  std::uint64_t barriers_done_ = 0;
  std::vector<std::byte> ahead_;
  std::uint32_t ahead_first_ = 0, ahead_count_ = 0;
  bool dirty_ = true;  // a predecessor may have left volatile writes
  std::vector<std::uint32_t> quarantine_;
  std::vector<std::uint32_t> vacant_;
  std::unordered_map<Digest, std::uint32_t, DigestHash> index_;
};

}  // namespace engine::rock
