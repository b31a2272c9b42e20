// A store whose directory is kept in shared memory: what the next life attaches, what it refuses,
// and that both tell what the disk and a store in memory alone tell.
#include <gtest/gtest.h>

#include "engine/cyclone/test_disk.h"
#include "engine/cyclone/wrong_image.h"
#include "engine/memory/ram_store.h"
#include "engine/restart/process_memory.h"
#include "engine/restart/purge.h"

namespace engine::cyclone {
namespace {

/// Lives on one disk and one shared memory.
class SharedRig {
 public:
  SharedRig() : disk(512ULL << 10U) {
    config.layout.average_object_bytes = 2048;
    shared.memory = &memory;
    shared.config.enabled = true;
    shared.log = [this](std::string_view line) { log.append(line).append("\n"); };
  }

  /// Starts, killing the life before. `kept`: with shared memory.
  void start(bool kept = true) {
    store.reset();
    log.clear();
    config.seed = mix(0x5a, ++lives);
    auto opened = open_store(disk, config, kept ? shared : SharedDirectory{});
    ASSERT_TRUE(opened) << opened.error().message;
    store = std::move(*opened);
    for (Result<bool> more = true; more && *more;) {
      more = store->tick();
    }
  }
  void stop() {
    ASSERT_TRUE(store->close());
    store.reset();
  }
  void put(std::string_view key, std::uint64_t version, std::size_t bytes = 3000) const {
    put_into(*store, key, version, bytes);
  }
  static void put_into(Store& into,
                       std::string_view key,
                       std::uint64_t version,
                       std::size_t bytes) {
    const auto upload = into.begin_put(key, "h", bytes);
    ASSERT_TRUE(upload && into.append(*upload, body(version, bytes)) && into.commit(*upload));
  }
  [[nodiscard]] bool hits(std::string_view key,
                          std::uint64_t version,
                          std::size_t bytes = 3000) const {
    GetReply reply;
    return store->get(key, {}, reply) && reply.hit && reply.body == body(version, bytes);
  }
  [[nodiscard]] bool misses(std::string_view key) const {
    GetReply reply;
    return store->get(key, {}, reply) && !reply.hit;
  }
  [[nodiscard]] bool attached() const { return store->stats().counters.at("attached") == 1; }
  [[nodiscard]] std::uint64_t refused(const char* gate) const {
    return store->stats().refusals.at(gate);
  }

  TestDisk disk;
  restart::ProcessMemory memory;
  SharedDirectory shared;
  Config config;
  std::unique_ptr<Store> store;
  std::uint64_t lives = 0;
  std::string log;
};

TEST(SharedDirectoryTest, AStopIsAttachedAndReadsNoRows) {
  SharedRig rig;
  rig.start();
  EXPECT_FALSE(rig.attached());
  rig.put("a", 1);
  rig.put("b", 2, 30000);
  rig.stop();
  const auto geometry = *geometry_of_disk(rig.disk.size_bytes(), rig.config.layout);
  for (unsigned copy = 0; copy < 2; ++copy) {
    rig.disk.bad.insert(geometry.copy_begin(copy) + geometry.header_bytes);  // a rebuild would fail
  }
  rig.start();
  EXPECT_TRUE(rig.attached()) << rig.log;
  EXPECT_TRUE(rig.hits("a", 1));
  EXPECT_TRUE(rig.hits("b", 2, 30000));
}

TEST(SharedDirectoryTest, AKillIsRebuilt) {
  SharedRig rig;
  rig.start();
  rig.put("a", 1);
  rig.start();
  EXPECT_FALSE(rig.attached());
  EXPECT_EQ(rig.refused("control_clean"), 1U);
  EXPECT_TRUE(rig.hits("a", 1));
}

/// Scenario 39: a life without shared memory lies between, and changes nothing, something, or
/// everything; it stops in order, or is killed.
TEST(SharedDirectoryTest, ALifeWithoutItMakesItStale) {
  for (const int puts : {0, 1, 200}) {
    for (const bool killed : {false, true}) {
      SharedRig rig;
      rig.start();
      rig.put("a", 1);
      rig.stop();
      rig.start(false);
      for (int n = 0; n < puts; ++n) {
        rig.put("a", 100 + static_cast<std::uint64_t>(n));
      }
      if (!killed) {
        rig.stop();
      }
      rig.start();
      EXPECT_FALSE(rig.attached()) << puts << killed;
      EXPECT_EQ(rig.refused("binding_serials"), 1U);
      EXPECT_TRUE(rig.hits("a", puts == 0 ? 1U : 99U + static_cast<std::uint64_t>(puts)));
    }
  }
}

TEST(SharedDirectoryTest, WithoutTheBindingAStaleImageRollsBack) {
  SharedRig rig;
  rig.config.gates_off = {"binding_serials", "binding_cursor"};
  rig.start();
  rig.put("a", 1);
  rig.stop();
  rig.start(false);
  rig.put("a", 2);
  rig.stop();
  rig.start();
  EXPECT_TRUE(rig.attached());
  EXPECT_TRUE(rig.hits("a", 1)) << "the image of the life before last";
}

/// Scenario 43: the disk is another one, or this one at another time.
TEST(SharedDirectoryTest, ADiskOfAnotherTimeIsNotItsDisk) {
  SharedRig rig;
  rig.start();
  rig.put("a", 1);
  const Bytes running = rig.disk.now;
  rig.stop();
  const Bytes stopped = rig.disk.now;
  rig.disk.now = running;
  rig.start();
  EXPECT_FALSE(rig.attached());
  EXPECT_EQ(rig.refused("binding_serials"), 1U);
  EXPECT_TRUE(rig.hits("a", 1));
  rig.stop();
  rig.disk.now = Bytes(stopped.size());
  rig.start();
  EXPECT_FALSE(rig.attached());
  EXPECT_EQ(rig.refused("binding_nonce"), 1U);
  EXPECT_TRUE(rig.misses("a"));
}

TEST(SharedDirectoryTest, AClearedStripeIsNotAttached) {
  SharedRig rig;
  rig.start();
  rig.put("a", 1);
  rig.stop();
  rig.config.layout.average_object_bytes = 4096;
  rig.start();
  EXPECT_FALSE(rig.attached());
  EXPECT_TRUE(rig.misses("a"));
}

/// A device that refuses once leaves a stripe that the next start reads from the disk.
TEST(SharedDirectoryTest, ARefusedWriteMarksTheStripeUntrusted) {
  SharedRig rig;
  rig.start();
  rig.put("a", 1);
  rig.disk.cut_at = rig.disk.writes;
  const auto upload = rig.store->begin_put("b", "h", 10);
  ASSERT_TRUE(upload && rig.store->append(*upload, body(2, 10)));
  EXPECT_FALSE(rig.store->commit(*upload));
  rig.disk.power_on();
  rig.put("c", 3);
  rig.stop();
  rig.start();
  EXPECT_FALSE(rig.attached());
  EXPECT_EQ(rig.refused("row_untrusted"), 1U);
  EXPECT_TRUE(rig.hits("a", 1));
  EXPECT_TRUE(rig.hits("c", 3));
  EXPECT_TRUE(rig.misses("b"));
}

/// The life is counted before anything else: also one that dies at once makes the image stale.
TEST(SharedDirectoryTest, AnOpeningThatDiesAtOnceCounts) {
  SharedRig rig;
  rig.start();
  rig.put("a", 1);
  rig.stop();
  rig.disk.cut_at = rig.disk.writes + 1;  // after the span header
  {
    rig.config.seed = 77;
    const auto opened = open_store(rig.disk, rig.config);
    ASSERT_TRUE(opened);
  }
  rig.disk.power_on();
  rig.start();
  EXPECT_FALSE(rig.attached());
  EXPECT_EQ(rig.refused("binding_serials"), 1U);
  EXPECT_TRUE(rig.hits("a", 1));
}

/// Scenario 46, with the whole store: an image that is wrong in one way, and whose digest says so
/// all the same, is refused by the check for it; the disk then tells everything.
TEST(SharedDirectoryTest, EveryWrongImageFallsBackToTheDisk) {
  const auto geometry = *geometry_of_disk(512ULL << 10U, Layout{2048});
  for (const auto& [check, name, is_guard] : image_check_table.rows()) {
    SharedRig rig;
    rig.start();
    rig.put("a", 1);
    rig.put("b", 2, 30000);
    rig.stop();
    const std::string prefix = *restart::frame_prefix(rig.shared.config.name_prefix);
    const auto object =
        rig.memory.open(restart::image_name(prefix, 0), restart::Access::read_write);
    ASSERT_TRUE(object);
    const auto mapping = (*object)->map(geometry.copy_bytes, restart::Access::read_write);
    ASSERT_TRUE(mapping && make_wrong(check, (*mapping)->bytes(), geometry));
    rig.config.gates_off = {"image_digest"};
    if (check == ImageCheck::chain_too_long || check == ImageCheck::chain_loop) {
      rig.config.gates_off.emplace_back("chain_row_twice");  // which stands before them
    }
    if (check == ImageCheck::chain_loop) {
      rig.config.gates_off.emplace_back("chain_too_long");
    }
    rig.start();
    EXPECT_EQ(rig.refused("image_structure"), 1U) << name << "\n" << rig.log;
    EXPECT_EQ(rig.refused(std::string(name).c_str()), 1U) << rig.log;
    EXPECT_TRUE(rig.hits("a", 1));
    EXPECT_TRUE(rig.hits("b", 2, 30000));
  }
}

/// Three voices: a store that attaches at every restart, one that rebuilds, and one in memory that
/// never restarts. The first two answer alike, and nothing that the third does not know.
TEST(SharedDirectoryTest, AttachEqualsRebuildEqualsMemory) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Random random(seed);
    SharedRig attaching;
    SharedRig rebuilding;
    const auto reference = memory::open_ram_store({}).value();
    attaching.start();
    rebuilding.start(false);
    for (std::uint64_t step = 0; step < 120; ++step) {
      const std::string key = "k" + std::to_string(random.below(12));
      const std::uint64_t dice = random.below(20);
      if (dice < 14) {
        const std::size_t bytes = 100 + random.below(random.below(4) == 0 ? 40000 : 4000);
        attaching.put(key, step, bytes);
        rebuilding.put(key, step, bytes);
        SharedRig::put_into(*reference, key, step, bytes);
      } else if (dice < 16) {
        for (Store* each : {attaching.store.get(), rebuilding.store.get(), reference.get()}) {
          ASSERT_TRUE(each->purge(key));
        }
      } else if (dice < 17) {
        attaching.stop();
        attaching.start();
        EXPECT_TRUE(attaching.attached());
        rebuilding.stop();
        rebuilding.start(false);
      }
      GetReply one;
      GetReply two;
      GetReply three;
      ASSERT_TRUE(attaching.store->get(key, {}, one));
      ASSERT_TRUE(rebuilding.store->get(key, {}, two));
      ASSERT_TRUE(reference->get(key, {}, three));
      EXPECT_EQ(one.hit, two.hit) << seed << " " << step;
      EXPECT_EQ(one.body, two.body);
      EXPECT_EQ(one.header, two.header);
      EXPECT_TRUE(!one.hit || (three.hit && one.body == three.body)) << seed << " " << step;
    }
  }
}

}  // namespace
}  // namespace engine::cyclone
