#pragma once

// For tests: a disk whose durable writes are durable, and a rig to run a store on it.

#include <algorithm>
#include <cstring>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "engine/base/random.h"
#include "engine/cyclone/store.h"

namespace engine::cyclone {

using Bytes = std::vector<std::byte>;

/// A disk in memory. The write number `cut_at` is kept only as far as `keep` says, sector by
/// sector, and every request after it fails: the power went.
class TestDisk final : public block::Device {
 public:
  static constexpr std::size_t sector_bytes = 512;

  explicit TestDisk(std::uint64_t size_bytes) : now(size_bytes) {}

  [[nodiscard]] std::uint64_t size_bytes() const override { return now.size(); }
  [[nodiscard]] Status read(std::uint64_t offset_bytes, std::span<std::byte> into) override {
    if (offset_bytes > now.size() || into.size() > now.size() - offset_bytes) {
      return fail(Trouble::device, "outside the disk");
    }
    if (std::any_of(bad.begin(), bad.end(), [&](std::uint64_t at) {
          return offset_bytes <= at && at < offset_bytes + into.size();
        })) {
      return fail(Trouble::device, "latent sector error");
    }
    std::copy_n(now.begin() + static_cast<std::ptrdiff_t>(offset_bytes), into.size(), into.begin());
    return {};
  }
  [[nodiscard]] Status write(std::uint64_t offset_bytes,
                             std::span<const std::byte> from,
                             block::WriteMode mode) override {
    all_durable = all_durable && mode == block::WriteMode::durable;
    const std::uint64_t number = writes++;
    if (number > cut_at || refuse_writes_at.contains(offset_bytes) ||
        refuse_writes.contains(number)) {
      return fail(Trouble::device, "the device refuses");
    }
    for (std::size_t at = 0; at < from.size(); at += sector_bytes) {
      const std::size_t part = std::min(sector_bytes, from.size() - at);
      if (number < cut_at || mix(keep, at / sector_bytes) % 4 < keep % 5) {
        std::copy_n(from.begin() + static_cast<std::ptrdiff_t>(at),
                    part,
                    now.begin() + static_cast<std::ptrdiff_t>(offset_bytes + at));
      }
    }
    return number < cut_at ? Status{} : fail(Trouble::device, "the power went");
  }
  [[nodiscard]] Status flush() override { return {}; }
  [[nodiscard]] Status discard(std::uint64_t, std::uint64_t) override { return {}; }

  void power_on() { cut_at = UINT64_MAX; }

  Bytes now;
  std::uint64_t writes = 0;
  std::uint64_t cut_at = UINT64_MAX;
  std::uint64_t keep = 0;  ///< 0 mod 5: nothing of the torn write; 4 mod 5: all of it
  bool all_durable = true;
  std::set<std::uint64_t> bad;               ///< reads that touch these bytes fail
  std::set<std::uint64_t> refuse_writes_at;  ///< writes that begin here fail
  std::set<std::uint64_t> refuse_writes;     ///< writes of these numbers (`writes`) fail
};

/// A body that tells its version: 8-byte words of (version, position).
inline Bytes body(std::uint64_t version, std::size_t size_bytes) {
  Bytes bytes(size_bytes);
  for (std::size_t at = 0; at < size_bytes; at += sizeof(std::uint64_t)) {
    const std::uint64_t word = mix(version, at / sizeof word);
    std::memcpy(&bytes[at], &word, std::min(sizeof word, size_bytes - at));
  }
  return bytes;
}

/// A store on a test disk, started and killed at will.
class CycloneRig {
 public:
  explicit CycloneRig(std::uint64_t size_bytes = 512ULL << 10U) : disk(size_bytes) {
    config.layout.average_object_bytes = 2048;
  }

  /// Opens (a kill of the one before). False: the device refuses.
  [[nodiscard]] bool start(bool to_end = true) {
    store.reset();
    config.seed = mix(0x5eed, ++lives);
    auto opened = open_store(disk, config);
    if (!opened) {
      return false;
    }
    store = std::move(*opened);
    for (Result<bool> more = true; to_end && more && *more;) {
      more = store->tick();
      if (!more) {
        return false;
      }
    }
    return true;
  }
  [[nodiscard]] Status put(std::string_view key,
                           const Bytes& bytes,
                           std::string_view header = "h") const {
    const auto upload = store->begin_put(key, header, bytes.size());
    if (!upload) {
      return tl::unexpected(upload.error());
    }
    const Status done = store->append(*upload, bytes);
    return done ? store->commit(*upload) : done;
  }
  [[nodiscard]] GetReply get(std::string_view key, ByteRange range = {}) const {
    GetReply reply;
    static_cast<void>(store->get(key, range, reply));
    return reply;
  }
  [[nodiscard]] bool hits(std::string_view key, const Bytes& bytes) const {
    const GetReply reply = get(key);
    return reply.hit && reply.body == bytes && reply.body_bytes == bytes.size();
  }
  [[nodiscard]] std::uint64_t refused(std::string_view gate) const {
    return store->stats().refusals.at(std::string(gate));
  }
  [[nodiscard]] std::uint64_t count(const std::string& counter) const {
    return store->stats().counters.at(counter);
  }

  TestDisk disk;
  Config config;
  std::unique_ptr<Store> store;
  std::uint64_t lives = 0;
};

}  // namespace engine::cyclone
