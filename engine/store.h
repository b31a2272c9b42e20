#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/gates.h"
#include "engine/base/result.h"

namespace engine {

/// Names one upload (a put in progress) of one store; never reused while the store is open.
using UploadId = std::uint64_t;

/// Part of a body; the default is the whole of it.
struct ByteRange {
  std::uint64_t offset_bytes = 0;
  std::uint64_t size_bytes = UINT64_MAX;
};

/// Answer to a get. `hit` false: a miss, and the rest is empty.
struct GetReply {
  bool hit = false;
  std::string header;            ///< as stored with the put or the last header update
  std::uint64_t body_bytes = 0;  ///< of the whole object
  std::vector<std::byte> body;   ///< the range asked for, cut at the object's end
  /// Of a whole body: where it lies, in words of the store, for `still`. Not sent to clients.
  std::vector<std::uint64_t> parts;
};

/// What one allocation unit (rock: slot) is used for. Exactly one row per unit.
struct UnitUse {
  enum class Kind : std::uint8_t { free, entry, upload, quarantine, unscanned };
  Kind kind = Kind::free;
  std::uint64_t entry = 0;  ///< index into `Inspection::entries` (entry), or the UploadId (upload)
};

struct EntryUse {
  std::string key;
  std::uint64_t write_id = 0;
  std::uint64_t body_bytes = 0;
  std::vector<std::uint32_t>
      units;  ///< the chain, in order; a unit in two chains is a defect the harness looks for
  /// Another alternate's unit that this one is found through: the head that they share. It is in
  /// the chain of that one alone, as its first.
  std::optional<std::uint32_t> through = std::nullopt;
};

/// One of the disks of a store that has several (volumes/); its units are numbered in one run.
struct DiskUse {
  std::string name;
  std::uint32_t volume = 0;  ///< its tag
  std::uint32_t first_unit = 0, unit_count = 0;
  std::string trouble;  ///< why it is not used; empty: it is
};

/// The structure of a store, for the slots-conserved property and the inspection verbs. Built from
/// the store's own tables without repairing them.
struct Inspection {
  std::vector<UnitUse> units;
  std::vector<EntryUse> entries;
  std::vector<DiskUse> disks;  ///< empty: one disk without a label

  /// That of the next part of the store: its units are numbered behind those that are here. Its
  /// disks are not taken.
  void add(Inspection&& part);
};

/// What a rebuild did. The parts add up: scanned = empty + loaded + refused + superseded.
struct RecoveryReport {
  bool finished = false;
  std::uint64_t units_total = 0, scanned = 0;
  std::uint64_t empty = 0, loaded = 0, refused = 0, superseded = 0;
  std::uint64_t entries = 0;
  std::uint64_t ticks = 0;

  /// That of a part of the store: numbers are summed, and finished is what all parts are.
  void add(const RecoveryReport& part) {
    finished = finished && part.finished;
    units_total += part.units_total;
    scanned += part.scanned;
    empty += part.empty;
    loaded += part.loaded;
    refused += part.refused;
    superseded += part.superseded;
    entries += part.entries;
    ticks += part.ticks;
  }
};

struct Stats {
  std::map<std::string, std::uint64_t> refusals;  ///< gate name → how often it refused something
  std::map<std::string, std::uint64_t> counters;  ///< puts, hits, misses, evictions, barriers …
  RecoveryReport recovery;

  /// Those of a part of the store: everything is summed.
  void add(const Stats& part);
};

/// A cache store: streamed puts, gets, purges, header updates. One thread at a time. A key may name
/// an alternate of an object (alternate.h); each is answered by itself. What is
/// acknowledged (a call that returned ok) survives a kill; what is durable survives a power cut:
/// everything acknowledged before a `sync` that returned, and every purge that returned, where the
/// store's configuration claims it.
class Store {
 public:
  virtual ~Store() = default;

  /// Begins storing an object of `body_bytes` under `key`. An older version stays readable until
  /// `commit` (or goes at once, by configuration). `header`: at most a quarter of a slot.
  [[nodiscard]] virtual Result<UploadId> begin_put(std::string_view key,
                                                   std::string_view header,
                                                   std::uint64_t body_bytes) = 0;
  /// Adds body bytes in order; needs memory for one slot only. More than `body_bytes` is `invalid`.
  [[nodiscard]] virtual Status append(UploadId upload, std::span<const std::byte> bytes) = 0;
  /// Ends the upload; all of `body_bytes` must have arrived. The object is readable from now on.
  [[nodiscard]] virtual Status commit(UploadId upload) = 0;
  [[nodiscard]] virtual Status abort(UploadId upload) = 0;

  /// Looks `key` up into `reply`, whose buffers are reused. Nothing unverified is returned.
  [[nodiscard]] virtual Status get(std::string_view key, ByteRange range, GetReply& reply) = 0;
  /// True while what a get of the whole object gave, with these `parts`, is what it would give: the
  /// object was neither replaced nor given up to make room. Asks tables in memory only.
  [[nodiscard]] virtual bool still(std::string_view key, std::span<const std::uint64_t> parts) {
    return !key.empty() && !parts.empty();
  }
  /// Ok with `true` where a get of the whole object hits on what is stored, past every copy in
  /// memory; for the inspection.
  [[nodiscard]] virtual Result<bool> verify(std::string_view key) {
    GetReply reply;
    const Status got = get(key, {}, reply);
    return got ? Result<bool>(reply.hit) : tl::unexpected(got.error());
  }
  /// Replaces the header and keeps the body. Ok with `false` where there is no such object.
  [[nodiscard]] virtual Result<bool> update_header(std::string_view key,
                                                   std::string_view header) = 0;
  /// Ok with `false` where there was no such object (the key is still durably absent afterwards).
  [[nodiscard]] virtual Result<bool> purge(std::string_view key) = 0;
  /// Every key is durably absent when it returned, and where it failed any may be. Uploads in
  /// progress are no objects yet: they go on, and may be committed afterwards.
  [[nodiscard]] virtual Status purge_all() = 0;
  /// Makes everything acknowledged so far durable.
  [[nodiscard]] virtual Status sync() = 0;
  /// One slice of background work (rebuild). True while there is more to do.
  [[nodiscard]] virtual Result<bool> tick() = 0;
  /// As `tick`, up to `slices` times while there is more to do.
  [[nodiscard]] virtual Result<bool> ticks(std::uint64_t slices) {
    Result<bool> more = true;
    for (; slices > 0 && more && *more; --slices) {
      more = tick();
    }
    return more;
  }
  /// A clean stop: open uploads are aborted, what is pending is made durable.
  [[nodiscard]] virtual Status close() = 0;

  /// The uploads in progress, for the process that opens the store next (`resume`); what they have
  /// stored so far is durable. The store stays open. Error: it is as before.
  [[nodiscard]] virtual Result<std::vector<std::byte>> pack_uploads() {
    return fail(Trouble::invalid, "this store cannot be handed over; allowed: cyclone");
  }
  /// Goes on with the uploads that `pack_uploads` gave; they keep their ids. Comes before any
  /// `begin_put`.
  [[nodiscard]] virtual Status resume(std::span<const std::byte> uploads) {
    return uploads.empty() ? Status{}
                           : fail(Trouble::invalid, "this store takes no uploads of another");
  }
  /// True where an upload of `key` or of another alternate of its object is in progress, as far as
  /// the store knows.
  [[nodiscard]] virtual bool being_put(std::string_view /*key*/) { return false; }

  [[nodiscard]] virtual Inspection inspect() const = 0;
  [[nodiscard]] virtual Stats stats() const = 0;
  /// The gates that have refused something since the opening, and how often: a part of `stats`.
  [[nodiscard]] virtual std::vector<GateRefusals> refusals() const {
    std::vector<GateRefusals> found;
    for (const auto& [gate, count] : stats().refusals) {
      if (count > 0) {
        found.push_back({gate, count});
      }
    }
    return found;
  }

 protected:
  Store() = default;
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
};

}  // namespace engine
