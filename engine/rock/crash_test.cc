// Random histories and random cuts: what the hardened store claims on an honest device with a
// volatile write cache. A cut keeps any subset of the volatile sectors; the oracle below knows what
// was acknowledged and what was durable.

#include <map>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "engine/rock/rig_test.h"

namespace engine::rock {
namespace {

/// What is known of one key.
struct Known {
  std::map<std::uint64_t, std::set<std::string>> possible;  ///< version → headers it may have
  std::string header;                                       ///< acknowledged last
  std::optional<std::uint64_t> current;                     ///< acknowledged last; empty: absent
  bool durable = false;      ///< the current body survives a power cut
  bool fresh = false;        ///< stored in this life: readable during the rebuild
  bool overwriting = false;  ///< a put was begun and has not ended
};

class CrashTest : public ::testing::TestWithParam<std::uint64_t> {
 protected:
  [[nodiscard]] static std::string name(std::uint64_t key) { return fmt::format("k{}", key); }
  [[nodiscard]] static Bytes body_of(std::uint64_t version) {
    const std::uint64_t draw = mix(version, 77);
    return body(version, draw % 2 == 0 ? 2000 : 1 + draw / 2 % 3400);
  }

  void put(std::uint64_t key) {
    Known& known = known_[key];
    const std::uint64_t version = ++versions_;
    const std::string header = fmt::format("put{}", version);
    known.overwriting = true;
    known.durable = false;  // it may lawfully go from here on
    known.possible[version] = {header};
    if (rig_.put(name(key), body_of(version), header)) {
      known.current = version;
      known.header = header;
      known.fresh = true;
      known.overwriting = false;
    }
  }

  void abandoned_put(std::uint64_t key) {
    Known& known = known_[key];
    const Bytes bytes = body_of(++versions_);
    known.durable = false;
    const bool before = std::exchange(known.overwriting, true);
    const auto upload = rig_.store->begin_put(name(key), "never", bytes.size());
    if (upload && rig_.store->append(*upload, std::span(bytes).first(bytes.size() / 2)) &&
        random_.below(2) == 0) {
      known.overwriting = rig_.store->abort(*upload) ? before : true;
    } else if (upload) {
      open_.push_back(*upload);
    }
  }

  void update(std::uint64_t key) {
    Known& known = known_[key];
    const std::string header(1 + random_.below(250), static_cast<char>('a' + ++versions_ % 26));
    for (auto& [version, headers] : known.possible) {
      headers.insert(header);
    }
    const auto done = rig_.store->update_header(name(key), header);
    if (done && *done) {
      known.header = header;
      known.fresh = true;
    }
  }

  void purge(std::uint64_t key) {
    const auto done = rig_.store->purge(name(key));
    Known& known = known_[key];
    if (done) {
      known = Known{};
    } else {
      known.durable = false;
    }
  }

  void sync() {
    if (!rig_.store->sync()) {
      return;
    }
    for (auto& [key, known] : known_) {
      if (!known.overwriting) {
        settle(known, known.current, known.header);
      }
    }
  }

  /// From now on only `version` is possible, and it is durable.
  static void settle(Known& known,
                     std::optional<std::uint64_t> version,
                     const std::string& header) {
    if (!version) {
      known = Known{};
      return;
    }
    known = Known{{{*version, {header}}}, header, version, true, known.fresh};
  }

  std::optional<std::uint64_t> read(std::uint64_t key, std::string& header) {
    const GetReply reply = rig_.get(name(key));
    if (!reply.hit) {
      return std::nullopt;
    }
    header = reply.header;
    for (const auto& [version, headers] : known_[key].possible) {
      if (reply.body == body_of(version)) {
        EXPECT_TRUE(headers.contains(reply.header)) << name(key) << ": " << reply.header;
        return version;
      }
    }
    ADD_FAILURE() << name(key) << " answers with bytes of no allowed version";
    return std::nullopt;
  }

  /// During a rebuild: a miss, or what was there; what was stored in this life is a hit.
  void check_meanwhile(std::uint64_t key) {
    std::string header;
    const auto version = read(key, header);
    if (known_[key].fresh && !cut_) {
      EXPECT_EQ(version, known_[key].current) << name(key);
      EXPECT_EQ(header, known_[key].header) << name(key);
    }
  }

  void operate() {
    const std::uint64_t key = random_.below(4);
    switch (random_.below(10)) {
      case 0:
      case 1:
      case 2:
        return put(key);
      case 3:
        return abandoned_put(key);
      case 4:
      case 5:
        return update(key);
      case 6:
        return purge(key);
      case 7:
        return sync();
      case 8:
        return check_meanwhile(key);
      default:
        (void)rig_.store->tick();
    }
  }

  void end_life(bool power_cut) {
    rig_.store.reset();
    open_.clear();
    for (auto& [key, known] : known_) {
      known.fresh = false;
    }
    if (power_cut) {
      power_cut_ = true;
      const std::uint64_t seed = random_.next();
      const std::uint64_t keep_of_8 = 1 + random_.below(7);
      rig_.device.cut([&](std::size_t write, std::size_t sector) {
        return mix(seed, write * 4096 + sector) % 8 < keep_of_8;
      });
    }
    rig_.device.requests_left = UINT64_MAX;
  }

  /// Recovers, with cuts inside the recovery, and compares.
  void recover() {
    while (random_.below(3) == 0) {  // a cut falls into the recovery
      rig_.device.requests_left = random_.below(6);
      rig_.config.seed = mix(0xcafe, ++lives_);
      auto opened = make_store(rig_.device, rig_.config, false);
      while (opened && (*opened)->tick().value_or(false)) {
      }
      end_life(true);
    }
    rig_.start();
    for (auto& [key, known] : known_) {
      std::string header;
      const auto version = read(key, header);
      if (!known.overwriting && (known.durable || !power_cut_)) {
        EXPECT_EQ(version, known.current) << name(key) << (power_cut_ ? " was durable" : "");
      }
      if (version && version == known.current && !power_cut_) {
        EXPECT_EQ(header, known.header) << name(key);
      }
      settle(known, version, header);
    }
    power_cut_ = false;
    rig_.expect_conserved();
    EXPECT_EQ(rig_.store->stats().counters.at("evictions"), 0U);
  }

  StoreRig rig_{96, 1024};
  Random random_{GetParam()};
  std::uint64_t versions_ = 0, lives_ = 0;
  std::map<std::uint64_t, Known> known_;
  std::vector<UploadId> open_;
  bool cut_ = false, power_cut_ = false;
};

TEST_P(CrashTest, NeverLiesAndForgetsNothingDurable) {
  rig_.config.rebuild_slice_slots = 1 + static_cast<std::uint32_t>(random_.below(4));
  rig_.config.allocator = static_cast<Allocator>(random_.below(3));
  rig_.config.policy = static_cast<ContradictionPolicy>(random_.below(2));
  rig_.device.tells_holes = random_.below(2) == 0;
  rig_.device.cheap_bytes = random_.below(2) == 0 ? 0 : 8192;
  rig_.start();
  for (int life = 0; life < 30 && !HasFailure(); ++life) {
    if (life > 0 && random_.below(2) == 0) {
      rig_.start(false);  // traffic meets the rebuild
    }
    const std::uint64_t count = 1 + random_.below(12);
    const bool dies_inside = random_.below(2) == 0;
    for (std::uint64_t n = 0; n < count; ++n) {
      if (dies_inside && n + 1 == count) {
        rig_.device.requests_left = random_.below(8);
        cut_ = true;
      }
      operate();
    }
    end_life(cut_ || random_.below(2) == 0);
    cut_ = false;
    recover();
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, CrashTest, ::testing::Range<std::uint64_t>(0, 200));

}  // namespace
}  // namespace engine::rock
