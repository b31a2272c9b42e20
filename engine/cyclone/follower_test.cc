// A store that another process has open, read through its directory in shared memory.

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include "engine/block/file_device.h"
#include "engine/cyclone/stripe.h"
#include "engine/cyclone/test_disk.h"
#include "engine/restart/shm_test.h"

namespace engine::cyclone {
namespace {

/// Memory of both processes, all zeros at first.
template <typename Shared>
class SharedMemoryOf {
 public:
  SharedMemoryOf()
      : shared_(static_cast<Shared*>(::mmap(
            nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {}
  ~SharedMemoryOf() { ::munmap(shared_, sizeof(Shared)); }
  SharedMemoryOf(const SharedMemoryOf&) = delete;
  SharedMemoryOf& operator=(const SharedMemoryOf&) = delete;
  SharedMemoryOf(SharedMemoryOf&&) = delete;
  SharedMemoryOf& operator=(SharedMemoryOf&&) = delete;
  Shared* operator->() const { return shared_; }
  Shared& operator*() const { return *shared_; }

 private:
  Shared* shared_;
};

using Live = std::array<LiveStripe, stripe_count_max>;

/// A writer and a reader on one disk; nothing of them is left behind the test.
class FollowerTest : public ::testing::Test {
 protected:
  FollowerTest() {
    prefix_ = fmt::format("pcf{}", ::getpid());
    config_.layout.average_object_bytes = 2048;
  }
  ~FollowerTest() override {
    writer_.reset();
    restart::Gates gates({}, nullptr);
    static_cast<void>(restart::purge(restart::posix_shared_memory(), prefix_, gates));
  }

  [[nodiscard]] SharedDirectory shared() {
    SharedDirectory directory;
    directory.memory = &restart::posix_shared_memory();
    directory.config.enabled = true;
    directory.config.name_prefix = prefix_;
    directory.live = *live_;
    return directory;
  }
  /// Another life of the writer; the one before is killed.
  void write(block::Device& device) {
    writer_.reset();
    config_.seed = mix(7, ++lives_);
    writer_ = open_store(device, config_, shared()).value();
    while (writer_->tick().value_or(false)) {
    }
  }
  void read(block::Device& device) {
    reader_ = follow_store(device, config_, restart::posix_shared_memory(), *live_).value();
  }
  [[nodiscard]] bool put(std::string_view key, const Bytes& bytes) const {
    const auto upload = writer_->begin_put(key, "h", bytes.size());
    return upload && writer_->append(*upload, bytes) && writer_->commit(*upload);
  }
  [[nodiscard]] static GetReply get(Store& store, std::string_view key) {
    GetReply reply;
    static_cast<void>(store.get(key, {}, reply));
    return reply;
  }
  [[nodiscard]] bool reader_has(std::string_view key, const Bytes& bytes) const {
    return get(*reader_, key).body == bytes;
  }
  [[nodiscard]] std::uint64_t counted(const std::string& counter) const {
    return reader_->stats().counters.at(counter);
  }

  std::string prefix_;
  Config config_;
  std::uint64_t lives_ = 0;
  SharedMemoryOf<Live> live_;
  TestDisk disk_{512ULL << 10U};
  std::unique_ptr<Store> writer_, reader_;
};

TEST_F(FollowerTest, SeesWhatIsAcknowledged) {
  write(disk_);
  read(disk_);
  EXPECT_FALSE(get(*reader_, "k").hit);
  ASSERT_TRUE(put("k", body(1, 5000)) && put("big", body(2, 60000)));
  EXPECT_TRUE(reader_has("k", body(1, 5000)) && reader_has("big", body(2, 60000)));
  ASSERT_TRUE(writer_->update_header("k", "newer"));
  EXPECT_EQ(get(*reader_, "k").header, "newer");
  ASSERT_TRUE(put("k", body(3, 700)));
  EXPECT_TRUE(reader_has("k", body(3, 700)));
  ASSERT_TRUE(writer_->purge("k"));
  EXPECT_FALSE(get(*reader_, "k").hit);
  ASSERT_TRUE(writer_->purge_all());
  EXPECT_FALSE(get(*reader_, "big").hit);
  EXPECT_EQ(counted("directories_mapped"), 1U);
}

TEST_F(FollowerTest, AnswersAsTheWriterDoesRoundTheLog) {
  write(disk_);
  read(disk_);
  Random random(0xf0110);
  std::uint64_t hits = 0;
  for (std::uint64_t step = 0; step < 1500; ++step) {
    const std::string key = fmt::format("k{}", random.below(40));
    if (random.below(8) == 0) {
      ASSERT_TRUE(writer_->purge(key));
    } else {
      ASSERT_TRUE(put(key, body(step, 100 + random.below(20000))));
    }
    const std::string asked = fmt::format("k{}", random.below(40));
    const GetReply told = get(*writer_, asked), seen = get(*reader_, asked);
    ASSERT_EQ(told.hit, seen.hit) << asked << " at step " << step;
    ASSERT_EQ(told.body, seen.body);
    hits += seen.hit ? 1 : 0;
  }
  EXPECT_GT(hits, 300U);
  EXPECT_GT(writer_->stats().counters.at("wraps"), 3U);
}

TEST_F(FollowerTest, KnowsWhatIsBeingPut) {
  write(disk_);
  read(disk_);
  const auto upload = writer_->begin_put("k|gzip", "h", 10).value();
  EXPECT_TRUE(reader_->being_put("k") && writer_->being_put("k"));
  EXPECT_FALSE(reader_->being_put("other"));
  EXPECT_FALSE(get(*reader_, "k|gzip").hit);
  ASSERT_TRUE(writer_->abort(upload));
  EXPECT_FALSE(reader_->being_put("k") || writer_->being_put("k"));
}

/// With alternates, fragments, rows of replaced documents and free rows.
TEST_F(FollowerTest, InspectsWhatTheWriterHas) {
  write(disk_);
  read(disk_);
  for (std::uint64_t n = 0; n < 60; ++n) {
    ASSERT_TRUE(put(fmt::format("k{}|a{}", n % 9, n % 3), body(n, 100 + n * 400)));
  }
  ASSERT_TRUE(writer_->purge("k4|a1"));
  const Inspection told = writer_->inspect(), seen = reader_->inspect();
  const auto text = [](const Inspection& view) {
    std::set<std::string> objects;
    for (const EntryUse& entry : view.entries) {
      objects.insert(
          fmt::format("{} {} {}", entry.key, entry.write_id, fmt::join(entry.units, " ")));
    }
    return objects;
  };
  EXPECT_GT(told.entries.size(), 5U);
  EXPECT_EQ(text(told), text(seen));
  ASSERT_EQ(told.units.size(), seen.units.size());
  for (std::size_t n = 0; n < told.units.size(); ++n) {
    ASSERT_EQ(told.units[n].kind, seen.units[n].kind) << n;
  }
  live_->front().begin_change();
  for (const UnitUse& unit : reader_->inspect().units) {
    ASSERT_EQ(unit.kind, UnitUse::Kind::unscanned) << "it changes all the time";
  }
}

/// As after a wild store of the process that owned it.
TEST_F(FollowerTest, GarbageInADirectoryCostsHitsNotTruth) {
  write(disk_);
  read(disk_);
  for (std::uint64_t n = 0; n < 30; ++n) {
    ASSERT_TRUE(put(fmt::format("k{}", n), body(n, 3000)));
  }
  writer_.reset();
  const auto object =
      restart::posix_shared_memory().open(live_->front().image_name(), restart::Access::read_write);
  const auto image =
      (*object)->map(live_->front().image_bytes(), restart::Access::read_write).value();
  Random random(0x6a4ba6e);
  std::uint64_t hits = 0;
  for (int round = 0; round < 300; ++round) {
    for (int n = 0; n < 200; ++n) {
      image->bytes()[random.below(image->bytes().size())] = static_cast<std::byte>(random.next());
    }
    for (std::uint64_t n = 0; n < 30; ++n) {
      const GetReply reply = get(*reader_, fmt::format("k{}", n));
      ASSERT_TRUE(!reply.hit || reply.body == body(n, 3000)) << n;
      hits += reply.hit ? 1 : 0;
    }
    static_cast<void>(reader_->inspect());
  }
  EXPECT_GT(hits, 30U) << "there was something to be wrong about";
}

TEST_F(FollowerTest, ChangesAreRefused) {
  write(disk_);
  read(disk_);
  ASSERT_TRUE(put("k", body(1, 500)));
  EXPECT_EQ(reader_->begin_put("k", "h", 1).error().trouble, Trouble::busy);
  EXPECT_EQ(reader_->append(1, body(1, 8)).error().trouble, Trouble::busy);
  EXPECT_EQ(reader_->commit(1).error().trouble, Trouble::busy);
  EXPECT_EQ(reader_->abort(1).error().trouble, Trouble::busy);
  EXPECT_EQ(reader_->update_header("k", "x").error().trouble, Trouble::busy);
  EXPECT_EQ(reader_->purge("k").error().trouble, Trouble::busy);
  EXPECT_EQ(reader_->purge_all().error().trouble, Trouble::busy);
  EXPECT_EQ(reader_->sync().error().trouble, Trouble::busy);
  EXPECT_TRUE(reader_has("k", body(1, 500)));
}

TEST_F(FollowerTest, GoesOnBehindAKillAndFollowsTheNextLife) {
  write(disk_);
  read(disk_);
  ASSERT_TRUE(put("k", body(1, 500)));
  writer_.reset();  // a kill: nothing is closed
  EXPECT_TRUE(reader_has("k", body(1, 500)));
  write(disk_);
  EXPECT_TRUE(reader_has("k", body(1, 500)));
  ASSERT_TRUE(put("k", body(2, 600)));
  EXPECT_TRUE(reader_has("k", body(2, 600)));
  EXPECT_EQ(counted("directories_mapped"), 2U);
}

/// An engine that knows nothing of readers has the disk after the writer was killed.
TEST_F(FollowerTest, ADirectoryOfBeforeIsNotBelievedOnceSomebodyElseHasOpenedTheDisk) {
  write(disk_);
  read(disk_);
  ASSERT_TRUE(put("k", body(1, 500)) && put("l", body(2, 500)));
  writer_.reset();
  EXPECT_TRUE(reader_has("k", body(1, 500)));
  const auto stranger = open_store(disk_, config_).value();
  EXPECT_FALSE(get(*reader_, "l").hit);
  while (stranger->tick().value_or(false)) {
  }
  ASSERT_TRUE(stranger->purge("k").value());
  EXPECT_FALSE(get(*reader_, "k").hit);
}

/// A disk that is cleared begins to count its lives anew.
TEST_F(FollowerTest, ADiskThatWasClearedIsInNoLifeOfBefore) {
  write(disk_);
  read(disk_);
  ASSERT_TRUE(put("k", body(1, 500)));
  writer_.reset();
  config_.division.stripes = 2;
  config_.seed = mix(7, ++lives_);
  const auto stranger = open_store(disk_, config_).value();
  EXPECT_FALSE(get(*reader_, "k").hit);
}

TEST_F(FollowerTest, MissesWhileNobodyHasADirectory) {
  write(disk_);
  read(disk_);
  ASSERT_TRUE(put("k", body(1, 500)));
  ASSERT_TRUE(writer_->close());
  EXPECT_FALSE(get(*reader_, "k").hit);
  writer_.reset();
  config_.seed = mix(7, ++lives_);
  writer_ = open_store(disk_, config_, shared()).value();  // attaches what was closed
  EXPECT_EQ(writer_->stats().counters.at("attached"), 1U);
  EXPECT_TRUE(reader_has("k", body(1, 500)));
}

TEST_F(FollowerTest, MissesWhileItsStripeIsRecovered) {
  write(disk_);
  ASSERT_TRUE(put("k", body(1, 500)));
  writer_.reset();
  config_.seed = mix(7, ++lives_);
  writer_ = open_store(disk_, config_, shared()).value();
  read(disk_);
  EXPECT_FALSE(get(*reader_, "k").hit) << "of this life nothing is shown yet";
  while (writer_->tick().value_or(false)) {
  }
  EXPECT_TRUE(reader_has("k", body(1, 500)));
}

TEST_F(FollowerTest, AnOwnerThatEndedWithinAChangeCostsHitsNotTruth) {
  write(disk_);
  read(disk_);
  ASSERT_TRUE(put("k", body(1, 500)));
  live_->front().begin_change();
  EXPECT_FALSE(get(*reader_, "k").hit);
  EXPECT_TRUE(live_->front().life() != 0);
  write(disk_);
  EXPECT_TRUE(reader_has("k", body(1, 500))) << "the next life has a version of its own";
}

TEST_F(FollowerTest, AnImageThatIsNotTheOneShownIsNotRead) {
  write(disk_);
  ASSERT_TRUE(put("k", body(1, 500)));
  read(disk_);
  LiveStripe& live = live_->front();
  const std::uint64_t life = live.life();
  live.show("/no-such-image", geometry_of_disk(disk_.now.size(), config_.layout)->copy_bytes, life);
  EXPECT_FALSE(get(*reader_, "k").hit);
  live.show(prefix_, 1, life);
  EXPECT_FALSE(get(*reader_, "k").hit);
  EXPECT_EQ(counted("directories_mapped"), 0U);
}

TEST_F(FollowerTest, ADiskWithoutAStoreIsRefused) {
  EXPECT_FALSE(follow_store(disk_, config_, restart::posix_shared_memory(), *live_));
}

/// What the writing process says of each key.
struct Told {
  static constexpr std::size_t keys = 24;
  std::array<std::atomic<std::uint64_t>, keys> begun, done;  // versions
  std::atomic<bool> stop;
};

/// Puts and purges until it is told to stop. A version is its number; every fourth is a purge.
[[noreturn]] void write_for_ever(Store& store, Told& told) {
  Random random(0x3117e);
  std::uint64_t version = 0;
  while (!told.stop) {
    const std::size_t key = random.below(Told::keys);
    const std::string name = fmt::format("k{}", key);
    told.begun.at(key) = ++version;
    if (version % 4 == 0) {
      static_cast<void>(store.purge(name));
    } else {
      const Bytes bytes = body(version, 64 + version % 9000);
      const auto upload = store.begin_put(name, fmt::format("{}", version), bytes.size());
      if (!upload || !store.append(*upload, bytes) || !store.commit(*upload)) {
        _exit(3);
      }
    }
    told.done.at(key) = version;
    static_cast<void>(store.tick());
  }
  _exit(0);
}

/// Two real processes: the reader races the writer's every change.
TEST_F(FollowerTest, NeverServesAPieceOrAnOldVersionBesideAWriterAtWork) {
  const std::string file = fmt::format("/tmp/powercut-{}-follower", ::getpid());
  { std::ofstream made(file); }
  ASSERT_EQ(::truncate(file.c_str(), 512 << 10), 0);
  const SharedMemoryOf<Told> told;
  const pid_t child = ::fork();
  if (child == 0) {
    const auto device = block::open_file_device(file, block::OpenMode::read_write).value();
    config_.seed = 5;
    const auto store = open_store(*device, config_, shared()).value();
    write_for_ever(*store, *told);
  }
  const auto device = [&] {
    auto opened = block::open_file_device(file, block::OpenMode::read_only);
    auto found = follow_store(**opened, config_, restart::posix_shared_memory(), *live_);
    while (!found) {  // until the writer has a store there; its end ends the wait
      EXPECT_EQ(::waitpid(child, nullptr, WNOHANG), 0);
      found = follow_store(**opened, config_, restart::posix_shared_memory(), *live_);
    }
    reader_ = std::move(*found);
    return std::move(*opened);
  }();
  while (told->done.front() == 0) {  // the writer's end ends the wait
    ASSERT_EQ(::waitpid(child, nullptr, WNOHANG), 0);
  }
  std::uint64_t hits = 0, raced = 0;
  Random random(0x4ead);
  GetReply reply;
  for (std::uint64_t n = 0; n < 300000; ++n) {
    const std::size_t key = random.below(Told::keys);
    const std::uint64_t done = told->done.at(key);
    ASSERT_TRUE(reader_->get(fmt::format("k{}", key), {}, reply));
    const std::uint64_t begun = told->begun.at(key);
    raced += begun != done ? 1 : 0;
    if (reply.hit) {
      ++hits;
      const std::uint64_t version = std::stoull(reply.header);
      ASSERT_TRUE(reply.body == body(version, 64 + version % 9000)) << "not one put's bytes";
      ASSERT_LE(done, version) << "older than what was acknowledged before the get began";
      ASSERT_LE(version, begun) << "of no put that had begun";
    }
  }
  told->stop = true;
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_GT(hits, 1000U);
  EXPECT_GT(raced, 100U) << "they never met";
  reader_.reset();
  ::unlink(file.c_str());
}

}  // namespace
}  // namespace engine::cyclone
