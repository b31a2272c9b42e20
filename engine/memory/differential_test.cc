// The stores against the RAM-only one, which is the reference: any history of calls gives the same
// answers, as long as nobody runs out of room; and where room is short, what is found is still
// what the reference holds.

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "engine/cyclone/store.h"
#include "engine/memory/ram_cache.h"
#include "engine/memory/ram_store.h"
#include "engine/rock/rig_test.h"

namespace engine::memory {
namespace {

using rock::TestDevice;

/// One call, as drawn.
struct Call {
  enum class Kind {
    put,
    get,
    range,
    update,
    purge,
    begin_abort,
    sync,
    tick,
    purge_all,
    count
  } kind;
  int key = 0;
  std::size_t size_bytes = 0;
};

void showValue(const Call& call, std::ostream& out) {
  constexpr std::array<const char*, 9> names = {
      "put", "get", "range", "update", "purge", "begin_abort", "sync", "tick", "purge_all"};
  out << names.at(static_cast<std::size_t>(call.kind)) << " k" << call.key << ' '
      << call.size_bytes;
}

rc::Gen<std::vector<Call>> calls(std::size_t size_bytes_max) {
  const auto kind = rc::gen::map(rc::gen::inRange(0, static_cast<int>(Call::Kind::count)),
                                 [](int n) { return static_cast<Call::Kind>(n); });
  return rc::gen::container<std::vector<Call>>(rc::gen::build<Call>(
      rc::gen::set(&Call::kind, kind),
      rc::gen::set(&Call::key, rc::gen::inRange(0, 6)),
      rc::gen::set(&Call::size_bytes, rc::gen::inRange<std::size_t>(0, size_bytes_max + 1))));
}

/// What a call answered, comparable.
struct Answer {
  bool ok = false;
  bool yes = false;
  std::string header;
  std::uint64_t body_bytes = 0;
  std::vector<std::byte> body;
  [[nodiscard]] bool operator==(const Answer&) const = default;
};

Answer look(Store& store, const std::string& key, ByteRange range) {
  GetReply reply;
  const Status got = store.get(key, range, reply);
  return {got.has_value(), reply.hit, reply.header, reply.body_bytes, reply.body};
}

Answer put(Store& store, const std::string& key, std::size_t size_bytes, std::uint64_t version) {
  const auto upload = store.begin_put(key, "h" + std::to_string(version), size_bytes);
  if (!upload) {
    return {};
  }
  const Status done = store.append(*upload, rock::body(version, size_bytes));
  return {done && store.commit(*upload), true, "", 0, {}};
}

Answer carry_out(Store& store, const Call& call, std::uint64_t version) {
  const std::string key = "k" + std::to_string(call.key);
  const auto yes_or_no = [](const Result<bool>& result) {
    return Answer{result.has_value(), result && *result, "", 0, {}};
  };
  switch (call.kind) {
    case Call::Kind::put:
      return put(store, key, call.size_bytes, version);
    case Call::Kind::get:
      return look(store, key, {});
    case Call::Kind::range:
      return look(store, key, {call.size_bytes / 2, call.size_bytes / 3});
    case Call::Kind::update:
      return yes_or_no(store.update_header(key, "u" + std::to_string(version)));
    case Call::Kind::purge:
      return yes_or_no(store.purge(key));
    case Call::Kind::begin_abort: {
      const auto upload = store.begin_put(key, "a", call.size_bytes);
      return {upload && store.abort(*upload), true, "", 0, {}};
    }
    case Call::Kind::sync:
      return {store.sync().has_value(), false, "", 0, {}};
    case Call::Kind::purge_all:
      return {store.purge_all().has_value(), false, "", 0, {}};
    default:
      // How much background work there is differs from store to store.
      return {store.tick().has_value(), false, "", 0, {}};
  }
}

/// A store of each kind with room for `size_bytes`, and what they stand on.
struct Stores {
  explicit Stores(std::uint64_t size_bytes) : device(size_bytes) {
    rock::Config config;
    config.slot_bytes = 1024;
    config.seed = 7;
    rock = std::move(*rock::open_store(device, config));
    RamStoreConfig ram;
    ram.capacity_bytes = 64 << 20;
    reference = std::move(*open_ram_store(ram));
  }
  TestDevice device;
  std::unique_ptr<Store> rock, reference;
};

TEST(Differential, RockAnswersAsMemoryDoes) {
  EXPECT_TRUE(rc::check([] {
    Stores stores(1 << 20);
    std::uint64_t version = 0;
    for (const Call& call : *calls(5000)) {
      ++version;
      RC_ASSERT(carry_out(*stores.rock, call, version) ==
                carry_out(*stores.reference, call, version));
    }
  }));
}

TEST(Differential, RockAnswersAsMemoryDoesAfterARestart) {
  EXPECT_TRUE(rc::check([] {
    Stores stores(1 << 20);
    std::uint64_t version = 0;
    for (const Call& call : *calls(5000)) {
      ++version;
      static_cast<void>(carry_out(*stores.rock, call, version));
      static_cast<void>(carry_out(*stores.reference, call, version));
    }
    RC_ASSERT(stores.rock->close().has_value());
    rock::Config config;
    config.slot_bytes = 1024;
    config.seed = 8;
    const auto again = rock::open_store(stores.device, config);
    for (bool more = true; more;) {
      more = *(*again)->tick();
    }
    for (int key = 0; key < 6; ++key) {
      const std::string name = "k" + std::to_string(key);
      RC_ASSERT(look(**again, name, {}) == look(*stores.reference, name, {}));
    }
  }));
}

TEST(Differential, FullRockForgetsAndNeverLies) {
  EXPECT_TRUE(rc::check([] {
    Stores stores(rock::reserved_bytes + 12 * 1024);
    std::uint64_t version = 0;
    for (const Call& call : *calls(5000)) {
      ++version;
      const Answer rock = carry_out(*stores.rock, call, version);
      const Answer reference = carry_out(*stores.reference, call, version);
      const bool read = call.kind == Call::Kind::get || call.kind == Call::Kind::range;
      RC_ASSERT(!read || !rock.yes || rock == reference);
      if (!rock.ok || (call.kind == Call::Kind::update && !rock.yes)) {
        // What one refused the other must not keep, or they hold different versions from now on.
        const std::string key = "k" + std::to_string(call.key);
        static_cast<void>(stores.rock->purge(key));
        static_cast<void>(stores.reference->purge(key));
      }
    }
  }));
}

/// Stores that are full all the time: what they give up to make room is not served from memory.
TEST(Differential, RamCacheServesNothingThatTheStoreGaveUp) {
  TestDevice rock_disk(rock::reserved_bytes + 40 * 1024);
  TestDevice cyclone_disk(256 << 10);
  rock::Config rock;
  rock.slot_bytes = 1024;
  cyclone::Config cyclone;
  cyclone.layout.average_object_bytes = 2048;
  RamStoreConfig ram;
  ram.capacity_bytes = 40 * 1024;
  std::vector<std::unique_ptr<Store>> stores;
  stores.push_back(std::move(*rock::open_store(rock_disk, rock)));
  stores.push_back(std::move(*cyclone::open_store(cyclone_disk, cyclone)));
  stores.push_back(std::move(*open_ram_store(ram)));
  for (auto& store : stores) {
    RamCacheConfig config;
    config.capacity_bytes = 1 << 20;
    const auto cached = std::move(*make_ram_cache(std::move(store), config));
    for (bool more = true; more;) {
      more = *cached->tick();
    }
    for (std::uint64_t version = 0; version < 120; ++version) {
      const std::uint64_t key = mix(7, version) % 40;
      static_cast<void>(
          put(*cached, "k" + std::to_string(key), 200 + mix(8, version) % 20000, version));
      for (int other = 0; other < 40; ++other) {
        const std::string name = "k" + std::to_string(other);
        EXPECT_EQ(look(*cached, name, {}).yes, *cached->verify(name)) << name << " " << version;
      }
    }
    EXPECT_GT(cached->stats().counters.at("ram_given_up"), 5U);
    EXPECT_GT(cached->stats().counters.at("ram_hits"), 100U);
  }
}

TEST(Differential, RamCacheChangesNoAnswer) {
  for (const char* policy : {"lru", "s3fifo"}) {
    EXPECT_TRUE(rc::check([policy] {
      Stores stores(1 << 20);
      RamCacheConfig config;
      config.capacity_bytes = 8000;
      config.cutoff_bytes = 3000;
      config.policy = policy;
      const auto cached = make_ram_cache(std::move(stores.rock), config);
      std::uint64_t version = 0;
      for (const Call& call : *calls(5000)) {
        ++version;
        RC_ASSERT(carry_out(**cached, call, version) ==
                  carry_out(*stores.reference, call, version));
      }
    }));
  }
}

}  // namespace
}  // namespace engine::memory
