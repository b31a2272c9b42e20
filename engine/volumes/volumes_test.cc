// Objects stay in their volumes, and the version rule holds at every cut.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/rock/rig_test.h"
#include "engine/volumes/label.h"
#include "engine/volumes/volume_store.h"

namespace engine::volumes {
namespace {

using rock::body;
using rock::TestDevice;
using ::testing::HasSubstr;

constexpr std::uint64_t disk_bytes = label_bytes + 128 * 1024;
constexpr const char* rules = "hostname=img.org volume=2\nhostname=* volume=1\n";

class VolumesTest : public ::testing::Test {
 protected:
  VolumesTest() {
    config.hosting = *Hosting::parse(rules);
    config.store_facts = "rock, slots of 1024";
    for (const int tag : {1, 1, 2}) {
      devices.push_back(std::make_unique<TestDevice>(disk_bytes));
      disks.push_back({fmt::format("disk{}", devices.size()),
                       devices.back().get(),
                       static_cast<VolumeTag>(tag),
                       disk_bytes});
    }
  }

  Result<std::unique_ptr<Store>> try_open() {
    config.seed = mix(0x5eed, ++lives);
    return open_volumes(disks, config, [](const DiskPart& part) {
      rock::Config rock;
      rock.slot_bytes = 1024;
      rock.seed = part.seed;
      return rock::open_store(part.device, rock);
    });
  }
  void start() {
    store.reset();
    auto opened = try_open();
    ASSERT_TRUE(opened) << opened.error().message;
    store = std::move(*opened);
    while (*store->tick()) {
    }
  }
  void stop() {
    ASSERT_TRUE(store->close());
    store.reset();
  }
  Status put(const std::string& key, std::uint64_t version) {
    const auto upload = store->begin_put(key, "h", 500);
    if (!upload) {
      return tl::unexpected(upload.error());
    }
    const Status done = store->append(*upload, body(version, 500));
    return done ? store->commit(*upload) : done;
  }
  [[nodiscard]] bool hits(const std::string& key, std::uint64_t version) const {
    GetReply reply;
    EXPECT_TRUE(store->get(key, {}, reply));
    EXPECT_TRUE(!reply.hit || reply.body == body(version, 500)) << "another version of " << key;
    return reply.hit;
  }
  [[nodiscard]] std::uint64_t refused(const char* gate) const {
    const Stats stats = store->stats();
    const auto found = stats.refusals.find(gate);
    return found == stats.refusals.end() ? 0 : found->second;
  }
  static std::string url(int n, const char* host = "any.org") {
    return fmt::format("original http://{}/{}", host, n);
  }

  VolumeConfig config;
  std::vector<std::unique_ptr<TestDevice>> devices;
  std::vector<TaggedDisk> disks;
  std::unique_ptr<Store> store;
  std::uint64_t lives = 0;
};

TEST_F(VolumesTest, ObjectsLiveInTheirVolumeAndOutliveRestarts) {
  start();
  for (int n = 0; n < 20; ++n) {
    ASSERT_TRUE(put(url(n), 1));
    ASSERT_TRUE(put(url(n, "img.org"), 2));
  }
  stop();
  start();
  for (int n = 0; n < 20; ++n) {
    EXPECT_TRUE(hits(url(n), 1));
    EXPECT_TRUE(hits(url(n, "img.org"), 2));
  }
  EXPECT_EQ(store->inspect().entries.size(), 40U);
  EXPECT_TRUE(*store->purge(url(3)));
  EXPECT_FALSE(hits(url(3), 1));
  EXPECT_TRUE(*store->update_header(url(4), "newer"));
  stop();
  // Without volume 2's disk its objects are gone, and nobody else's.
  disks[2].device = nullptr;
  start();
  EXPECT_FALSE(hits(url(1, "img.org"), 2));
  EXPECT_TRUE(hits(url(1), 1));
  EXPECT_EQ(store->stats().counters.at("missing_disks"), 1U);
}

TEST_F(VolumesTest, AllIsPurgedAndAlternatesStayTogether) {
  start();
  for (int n = 0; n < 20; ++n) {
    ASSERT_TRUE(put(url(n), 1));
    ASSERT_TRUE(put(url(n) + "|gzip", 2));
  }
  stop();
  const auto disk = disks[0];
  disks[0].device = nullptr;
  start();
  for (int n = 0; n < 20; ++n) {
    EXPECT_EQ(hits(url(n), 1), hits(url(n) + "|gzip", 2)) << "both or none";
  }
  // What a missing disk has comes back with it, and this is said.
  EXPECT_THAT(store->purge_all().error().message, HasSubstr("disk1 is missing"));
  EXPECT_TRUE(store->inspect().entries.empty());
  stop();
  disks[0] = disk;
  start();
  EXPECT_FALSE(store->inspect().entries.empty());
  ASSERT_TRUE(store->purge_all());
  stop();
  start();
  EXPECT_TRUE(store->inspect().entries.empty());
}

TEST_F(VolumesTest, MissingDiskIsNotReplacedByAnother) {
  start();
  for (int n = 0; n < 20; ++n) {
    ASSERT_TRUE(put(url(n), 1));
  }
  stop();
  disks[0].device = nullptr;
  start();
  int lost = 0;
  for (int n = 0; n < 20; ++n) {
    if (!hits(url(n), 1)) {
      ++lost;
      EXPECT_EQ(put(url(n), 2).error().trouble, Trouble::device);
      EXPECT_THAT(store->purge(url(n)).error().message, HasSubstr("disk1 is missing"));
      EXPECT_FALSE(*store->update_header(url(n), "x"));
    } else {
      EXPECT_TRUE(put(url(n), 1));
    }
  }
  EXPECT_GT(lost, 3);
  EXPECT_LT(lost, 17);
  stop();
  disks[0].device = devices[0].get();
  start();
  for (int n = 0; n < 20; ++n) {
    EXPECT_TRUE(hits(url(n), 1)) << n;
  }
}

TEST_F(VolumesTest, RetaggingMakesMisses) {
  start();
  ASSERT_TRUE(put(url(1, "img.org"), 1));
  stop();
  // The disk of volume 2 becomes one of volume 1, and back: never a hit under another tag, nor
  // under the old one again.
  std::swap(disks[2].tag, disks[0].tag);
  start();
  EXPECT_FALSE(hits(url(1, "img.org"), 1));
  EXPECT_FALSE(hits(url(1), 1));
  EXPECT_EQ(refused("label_other_tag"), 2U);
  stop();
  std::swap(disks[2].tag, disks[0].tag);
  start();
  EXPECT_FALSE(hits(url(1, "img.org"), 1));
}

TEST_F(VolumesTest, SwappedDisksAreCleared) {
  start();
  for (int n = 0; n < 20; ++n) {
    ASSERT_TRUE(put(url(n), 1));
  }
  stop();
  std::swap(disks[0].device, disks[1].device);
  start();
  EXPECT_EQ(refused("label_other_facts"), 2U);
  for (int n = 0; n < 20; ++n) {
    EXPECT_FALSE(hits(url(n), 1));
  }
}

TEST_F(VolumesTest, AnyOtherRuleClears) {
  const std::vector<std::function<void()>> changes = {
      [this] { config.key_mode = KeyMode::mapped; },
      [this] { config.store_facts = "rock, slots of 2048"; },
      [this] { config.hosting = *Hosting::parse("hostname=a volume=2\nhostname=* volume=1\n"); },
      [this] { disks[1].name = "other"; },
      [this] { disks[1].share_bytes *= 2; }};
  for (const auto& change : changes) {
    start();
    ASSERT_TRUE(put(url(1), 1));
    stop();
    change();
    start();
    EXPECT_FALSE(hits(url(1), 1));
    EXPECT_GE(refused("label_other_facts"), 2U);
    stop();
    start();
    EXPECT_EQ(refused("label_other_facts"), 0U);
    stop();
  }
}

TEST_F(VolumesTest, RuleThatMovesAnObjectAndBackFindsNoOldVersion) {
  start();
  ASSERT_TRUE(put(url(1, "a"), 1));
  stop();
  config.hosting = *Hosting::parse("hostname=a volume=2\nhostname=* volume=1\n");
  start();
  EXPECT_FALSE(hits(url(1, "a"), 1));
  ASSERT_TRUE(put(url(1, "a"), 2));
  ASSERT_TRUE(*store->purge(url(1, "a")));
  stop();
  config.hosting = *Hosting::parse(rules);
  start();
  EXPECT_FALSE(hits(url(1, "a"), 1));
}

TEST_F(VolumesTest, BadSetsAreOneSentence) {
  disks[2].tag = 1;
  EXPECT_THAT(try_open().error().message, HasSubstr("names volume 2, and no disk"));
  disks.clear();
  config.hosting = Hosting(1);
  EXPECT_FALSE(try_open());
  disks = {{"gone", nullptr, 1, disk_bytes}};
  EXPECT_THAT(try_open().error().message, HasSubstr("disk gone is missing"));
}

/// The version rule on one disk.
class LabelTest : public ::testing::Test {
 protected:
  LabelOpening open(const std::string& build, std::uint64_t seed = 1) {
    auto opening = open_label(device, 1, {build}, seed);
    EXPECT_TRUE(opening) << opening.error().message;
    return opening ? *opening : LabelOpening{};
  }
  void change_label(const std::function<void(Label&)>& change) {
    for (std::uint64_t copy = 0; copy < 2; ++copy) {
      const std::span<std::byte> sector =
          std::span(device.now).subspan(copy * label_copy_bytes, 512);
      auto label = decode_label(sector);
      ASSERT_TRUE(label);
      change(*label);
      encode_label(*label, sector);
    }
    device.settle();
  }
  TestDevice device{label_bytes + 2 * store_head_bytes};
};

TEST_F(LabelTest, FirstStartThenTheSameAgain) {
  const LabelOpening first = open("build 1");
  EXPECT_EQ(first.gate, LabelGate::missing);
  const LabelOpening second = open("build 1", 2);
  EXPECT_FALSE(second.gate);
  EXPECT_EQ(second.label.nonce_low, first.label.nonce_low);
}

TEST_F(LabelTest, OlderAndNewerFormatsClear) {
  for (const std::uint32_t version : {label_version - 1, label_version + 1, UINT32_MAX}) {
    open("build 1");
    change_label([version](Label& label) { label.version = version; });
    EXPECT_EQ(open("build 1", version).gate, LabelGate::other_version);
    EXPECT_FALSE(open("build 1").gate);
  }
}

TEST_F(LabelTest, SerialAtItsEndIsNoTrap) {
  open("build 1");
  change_label([](Label& label) { label.serial = UINT64_MAX - (label.serial & 1U); });
  EXPECT_EQ(open("build 2").gate, LabelGate::other_facts);
  EXPECT_FALSE(open("build 2").gate);
}

TEST_F(LabelTest, SomethingElseOnTheDiskIsCleared) {
  std::fill(device.now.begin(), device.now.end(), std::byte{0x5a});
  EXPECT_EQ(open("build 1").gate, LabelGate::damaged);
  for (std::uint64_t at = label_bytes; at < label_bytes + store_head_bytes; ++at) {
    ASSERT_EQ(device.now[at], std::byte{0});
  }
}

TEST_F(LabelTest, UnreadableOrTooSmallDiskIsRefused) {
  device.unreadable = 100;
  EXPECT_FALSE(open_label(device, 1, {}, 1));
  TestDevice small(label_bytes);
  EXPECT_FALSE(open_label(small, 1, {}, 1));
}

/// Cuts a clear at each of its requests, keeps any of the sectors written since, and starts the
/// old build or the new one: the old bytes are read by the old build only if nothing was cleared,
/// by the new one never.
TEST_F(LabelTest, CutAtEachStepOfAClearInBothDirections) {
  const auto head = static_cast<std::ptrdiff_t>(label_bytes + 100);
  for (std::uint64_t requests = 0; requests <= 6; ++requests) {
    for (std::uint64_t pattern = 0; pattern < 32; ++pattern) {
      for (const char* next : {"build 1", "build 2"}) {
        device = TestDevice(device.size_bytes());
        const LabelOpening before = open("build 1", 1);
        device.now[static_cast<std::size_t>(head)] = std::byte{0x77};
        device.settle();
        device.requests_left = requests;
        static_cast<void>(open_label(device, 1, {"build 2"}, 2));
        device.cut([&](std::size_t write, std::size_t sector) {
          return (mix(pattern, write * 100 + sector) & 1U) != 0;
        });
        const LabelOpening after = open(next, 3);
        const bool same_nonce = after.label.nonce_low == before.label.nonce_low;
        const bool kept = device.now[static_cast<std::size_t>(head)] == std::byte{0x77};
        EXPECT_EQ(after.label.state, Label::State::ready);
        EXPECT_TRUE(!same_nonce || (std::string(next) == "build 1" && kept && !after.gate));
        EXPECT_TRUE(!kept || same_nonce);
        EXPECT_FALSE(open(next, 4).gate);
      }
    }
  }
}

}  // namespace
}  // namespace engine::volumes
