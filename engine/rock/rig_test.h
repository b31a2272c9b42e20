#pragma once

// For tests: a disk in memory with a volatile write cache, and a rig to run a store on it.

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "engine/base/random.h"
#include "engine/rock/rock_store.h"
#include "engine/rock/store.h"

namespace engine::rock {

using Bytes = std::vector<std::byte>;

/// A disk whose writes are volatile until a flush. `cut` decides sector by sector what stays.
class TestDevice final : public block::Device {
 public:
  static constexpr std::size_t sector_bytes = 512;
  struct Write {
    std::uint64_t offset_bytes = 0;
    Bytes bytes;
  };

  explicit TestDevice(std::uint64_t size_bytes) : now(size_bytes), durable(size_bytes) {}

  [[nodiscard]] std::uint64_t size_bytes() const override { return now.size(); }
  [[nodiscard]] Status read(std::uint64_t offset_bytes, std::span<std::byte> into) override {
    ++reads;
    if (offset_bytes <= unreadable && unreadable < offset_bytes + into.size()) {
      return fail(Trouble::device, "latent sector error");
    }
    std::copy_n(now.begin() + static_cast<std::ptrdiff_t>(offset_bytes), into.size(), into.begin());
    return {};
  }
  [[nodiscard]] Status write(std::uint64_t offset_bytes,
                             std::span<const std::byte> from,
                             block::WriteMode) override {
    if (requests_left == 0) {
      return fail(Trouble::device, "the device was cut");
    }
    --requests_left;
    ++writes;
    pending.push_back({offset_bytes, Bytes(from.begin(), from.end())});
    apply(now, pending.back(), [](std::size_t) { return true; });
    return {};
  }
  [[nodiscard]] Status flush() override {
    if (requests_left == 0) {
      return fail(Trouble::device, "the device was cut");
    }
    --requests_left;
    ++flushes;
    if (!lying) {
      settle();
    }
    return {};
  }
  [[nodiscard]] Status discard(std::uint64_t, std::uint64_t) override { return {}; }
  [[nodiscard]] std::uint64_t blank_until(std::uint64_t offset_bytes) override {
    if (!tells_holes) {
      return offset_bytes;
    }
    const auto zero = [](std::byte each) { return each == std::byte{}; };
    const auto begin = now.begin() + static_cast<std::ptrdiff_t>(offset_bytes);
    const auto data = std::find_if_not(begin, now.end(), zero);
    return static_cast<std::uint64_t>(data - now.begin());
  }
  [[nodiscard]] std::uint32_t cheap_read_bytes() const override { return cheap_bytes; }

  /// Everything written is durable.
  void settle() {
    durable = now;
    pending.clear();
  }
  /// A power cut: of the volatile write `n`, sector `s` stays where `keep(n, s)`.
  void cut(const std::function<bool(std::size_t, std::size_t)>& keep) {
    for (std::size_t n = 0; n < pending.size(); ++n) {
      apply(durable, pending[n], [&](std::size_t sector) { return keep(n, sector); });
    }
    now = durable;
    pending.clear();
    requests_left = UINT64_MAX;
  }

  Bytes now, durable;
  std::vector<Write> pending;
  bool lying = false;
  std::uint64_t requests_left = UINT64_MAX;
  std::uint64_t reads = 0, writes = 0, flushes = 0;
  bool tells_holes = false;               ///< `blank_until` knows every zero
  std::uint32_t cheap_bytes = 0;          ///< `cheap_read_bytes`
  std::uint64_t unreadable = UINT64_MAX;  ///< reads that touch this byte fail

 private:
  template <typename Keep>
  static void apply(Bytes& disk, const Write& write, const Keep& keep) {
    for (std::size_t at = 0; at < write.bytes.size();) {
      const std::size_t part = std::min(sector_bytes - (write.offset_bytes + at) % sector_bytes,
                                        write.bytes.size() - at);
      if (keep((write.offset_bytes + at) / sector_bytes - write.offset_bytes / sector_bytes)) {
        std::copy_n(write.bytes.begin() + static_cast<std::ptrdiff_t>(at),
                    part,
                    disk.begin() + static_cast<std::ptrdiff_t>(write.offset_bytes + at));
      }
      at += part;
    }
  }
};

/// A body that tells its version: 8-byte words of (version, position).
inline Bytes body(std::uint64_t version, std::size_t size_bytes) {
  Bytes bytes(size_bytes);
  for (std::size_t at = 0; at < size_bytes; ++at) {
    bytes[at] = static_cast<std::byte>(mix(version, at / 8) >> (at % 8 * 8));
  }
  return bytes;
}

/// A store on a test disk, started and killed at will.
class StoreRig {
 public:
  explicit StoreRig(std::uint32_t slots = 16, std::uint32_t slot_bytes = 1024)
      : device(reserved_bytes + std::uint64_t{slots} * slot_bytes) {
    config.slot_bytes = slot_bytes;
  }

  [[nodiscard]] std::uint32_t capacity() const { return config.slot_bytes - slot_overhead_bytes; }

  /// Opens (a kill of the one before); `rebuilt`: and drives the rebuild to its end.
  void start(bool rebuilt = true) {
    store.reset();
    config.seed = mix(0x5eed, ++lives);
    auto opened = make_store(device, config, false);
    ASSERT_TRUE(opened) << opened.error().message;
    store = std::move(*opened);
    if (rebuilt) {
      finish_rebuild();
    }
  }
  void finish_rebuild() {
    for (int ticks = 0; ticks < 10000; ++ticks) {
      const auto more = store->tick();
      if (more && !*more) {
        return;
      }
    }
    FAIL() << "the rebuild does not end";
  }
  Status put(std::string_view key, const Bytes& bytes, std::string_view header = "h") {
    const auto upload = store->begin_put(key, header, bytes.size());
    if (!upload) {
      return tl::unexpected(upload.error());
    }
    const Status done = store->append(*upload, bytes);
    return done ? store->commit(*upload) : done;
  }
  GetReply get(std::string_view key, ByteRange range = {}) {
    GetReply reply;
    const Status done = store->get(key, range, reply);
    EXPECT_TRUE(done) << done.error().message;
    return reply;
  }
  [[nodiscard]] bool hits(std::string_view key, const Bytes& bytes) {
    const GetReply reply = get(key);
    return reply.hit && reply.body == bytes && reply.body_bytes == bytes.size();
  }
  [[nodiscard]] std::uint64_t refused(Gate gate) const {
    return store->stats().refusals.at(std::string(gate_table.name(gate)));
  }
  void switch_off(Gate gate) { config.gates_off.push_back(gate); }
  /// Each slot is used exactly once, as the two tables of the inspection say.
  void expect_conserved() const {
    const Inspection view = store->inspect();
    std::vector<int> uses(view.units.size());
    for (std::size_t entry = 0; entry < view.entries.size(); ++entry) {
      for (const std::uint32_t unit : view.entries[entry].units) {
        ++uses.at(unit);
        EXPECT_EQ(view.units.at(unit).kind, UnitUse::Kind::entry);
        EXPECT_EQ(view.units.at(unit).entry, entry);
      }
    }
    for (std::size_t unit = 0; unit < uses.size(); ++unit) {
      EXPECT_EQ(uses[unit], view.units[unit].kind == UnitUse::Kind::entry ? 1 : 0) << unit;
    }
  }
  [[nodiscard]] std::span<std::byte> slot(std::uint32_t number) {
    return std::span(device.now)
        .subspan(reserved_bytes + std::size_t{number} * config.slot_bytes, config.slot_bytes);
  }
  /// Changes a slot's header on the medium as somebody would who can compute checksums.
  void forge(std::uint32_t number, const std::function<void(SlotHeader&)>& change) {
    DecodedSlot decoded = decode_slot(slot(number));
    change(decoded.header);
    encode_slot(decoded.header, slot(number));
  }

  TestDevice device;
  Config config;
  std::unique_ptr<RockStore> store;
  std::uint64_t lives = 0;
};

}  // namespace engine::rock
