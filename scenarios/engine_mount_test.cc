#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <set>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "faultfs/mount/mount.h"
#include "scenarios/generate.h"
#include "scenarios/recording.h"

namespace scenarios {
namespace {

/// A directory that goes with this object.
class Scratch {
 public:
  Scratch() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "powercut-test-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
    std::filesystem::create_directory(path_ / "mnt");
    std::filesystem::create_directory(path_ / "work");
  }
  ~Scratch() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

std::unique_ptr<faultfs::Device> make_device(const TargetConfig& config) {
  auto device =
      faultfs::Device::create(*faultfs::find_profile("ssd_4k_volatile"), disk_specs(config));
  EXPECT_TRUE(device);
  return std::move(*device);
}

/// `cache-engine` as a process on a mounted device.
class EngineOnFuse : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const auto mountable = faultfs::mount::can_mount(); !mountable) {
      GTEST_SKIP() << mountable.error().message;
    }
    if (const auto usable = available(config_, false); !usable) {
      FAIL() << usable.error().message;
    }
    device_ = make_device(config_);
    auto mount = faultfs::mount::Mount::create(*device_, {scratch_.path() / "mnt", true, -1});
    ASSERT_TRUE(mount) << mount.error().message;
    mount_ = std::move(*mount);
    rig_ = std::make_unique<Rig>(Rig{*device_, mount_->directory(), scratch_.path() / "work", -1});
    use(config_);
  }
  void TearDown() override {
    target_.reset();
    mount_.reset();
  }

  void use(const TargetConfig& config) {
    auto target = make_target(config, *rig_);
    ASSERT_TRUE(target) << target.error().message;
    target_ = std::move(*target);
  }

  /// Histories of so many seeds write the same log and read the same here as in memory. `written`:
  /// the disks that were.
  void same_as_in_memory(std::uint64_t seeds, std::set<faultfs::DiskNumber>* written = nullptr) {
    const auto memory_device = make_device(config_);
    const Rig memory_rig{*memory_device, {}, {}, -1};
    auto in_memory = make_target(config_, memory_rig);
    ASSERT_TRUE(in_memory);
    GenerateOptions options;
    options.traits = target_->traits();
    options.slot_bytes = config_.slot_bytes;
    options.disk_bytes = config_.disk_bytes;
    options.disks = config_.disks;
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
      const auto history = generate(seed, options);
      const auto fuse = record(*target_, *rig_, config_, seed, history);
      ASSERT_TRUE(fuse) << fuse.error().message;
      const auto memory = record(**in_memory, memory_rig, config_, seed, history);
      ASSERT_TRUE(memory) << memory.error().message;
      EXPECT_EQ(fuse->trouble, "") << "seed " << seed;
      EXPECT_TRUE(fuse->log == memory->log) << to_text(config_) << "seed " << seed;
      EXPECT_EQ(fuse->readings, memory->readings) << to_text(config_) << "seed " << seed;
      for (std::uint32_t number = 1; written != nullptr && number <= fuse->log.size(); ++number) {
        written->insert(fuse->log.entry(number).disk);
      }
    }
  }

  Scratch scratch_;
  TargetConfig config_;
  std::unique_ptr<faultfs::Device> device_;
  std::unique_ptr<faultfs::mount::Mount> mount_;
  std::unique_ptr<Rig> rig_;
  std::unique_ptr<Target> target_;
};

/// Two disks of one volume, of two volumes, and a RAM cache.
class VolumesOnFuse : public EngineOnFuse {
 protected:
  VolumesOnFuse() {
    config_.disks = 2;
    config_.disk_bytes = 256 << 10;
  }
};

TEST_F(VolumesOnFuse, LogsAreThoseOfTheEngineInMemory) {
  for (const auto& [store, volumes, ram] :
       {std::tuple{"rock", 1U, ""}, {"cyclone", 2U, "32K"}, {"rock", 2U, "32K,s3fifo"}}) {
    config_.store = store;
    config_.volumes = volumes;
    config_.ram_cache = ram;
    config_.slot_bytes = 4096;
    use(config_);
    std::set<faultfs::DiskNumber> written;
    same_as_in_memory(6, &written);
    EXPECT_EQ(written.size(), 2U);
  }
}

TEST_F(EngineOnFuse, LogsAreThoseOfTheEngineInMemory) {
  for (const char* preset : {"hardened", "squid"}) {
    config_.preset = preset;
    use(config_);
    same_as_in_memory(12);
  }
}

TEST_F(EngineOnFuse, ExaminationsAreThoseOfTheEngineInMemory) {
  const auto memory_device = make_device(config_);
  const Rig memory_rig{*memory_device, {}, {}, -1};
  auto in_memory = make_target(config_, memory_rig);
  ASSERT_TRUE(in_memory);
  const std::vector<Command> history = {*parse_command("put k1 30000"),
                                        *parse_command("sync"),
                                        *parse_command("put k1 30000"),
                                        *parse_command("begin k2 40000 20000")};
  const auto recording = record(**in_memory, memory_rig, config_, 5, history);
  ASSERT_TRUE(recording);
  faultfs::CrashModel model(recording->base, recording->log, recording->profile);
  for (std::uint32_t entry = 0; entry <= recording->log.size(); entry += 3) {
    const faultfs::CrashPlan plan{{faultfs::CutKind::power_cut, entry, false}, {}};
    const auto disks = model.build(plan);
    const auto fuse = examine(*target_, *rig_, *recording, plan.point, disks, {});
    ASSERT_TRUE(fuse) << fuse.error().message;
    const auto memory = examine(**in_memory, memory_rig, *recording, plan.point, disks, {});
    ASSERT_TRUE(memory);
    EXPECT_EQ(fuse->after_recovery, memory->after_recovery) << entry;
    EXPECT_EQ(fuse->after_reopen, memory->after_reopen) << entry;
    EXPECT_EQ(fuse->after_traffic, memory->after_traffic) << entry;
    EXPECT_EQ(fuse->after_last_restart, memory->after_last_restart) << entry;
    EXPECT_EQ(fuse->gate_refusals, memory->gate_refusals) << entry;
  }
}

/// What `target` shows at every so many crash points of `recording`.
std::vector<Examination> examinations(Target& target, const Rig& rig, const Recording& recording) {
  std::vector<Examination> all;
  faultfs::CrashModel model(recording.base, recording.log, recording.profile);
  for (std::uint32_t entry = 0; entry <= recording.log.size(); entry += 17) {
    const faultfs::CrashPlan plan{{faultfs::CutKind::power_cut, entry, false}, {}};
    auto seen = examine(target, rig, recording, plan.point, model.build(plan), {});
    EXPECT_TRUE(seen);
    all.push_back(seen ? std::move(*seen) : Examination{});
  }
  return all;
}

TEST_F(EngineOnFuse, APersistentProcessAndCopiesOfOneLiveAsManyFreshOnes) {
  Rig rig = *rig_;
  GenerateOptions options;
  options.traits = target_->traits();
  for (std::uint64_t seed = 0; seed < 3; ++seed) {
    rig.persistent_engine = seed != 1;
    rig.forked_engine = seed != 0;
    const auto history = generate(seed, options);
    const auto fresh = record(*target_, *rig_, config_, seed, history);
    ASSERT_TRUE(fresh);
    const auto ones = examinations(*target_, *rig_, *fresh);
    // Made anew: while it lives it is the disk's one writer.
    const auto persistent = make_target(config_, rig);
    ASSERT_TRUE(persistent);
    const auto same = record(**persistent, rig, config_, seed, history);
    ASSERT_TRUE(same);
    EXPECT_TRUE(fresh->log == same->log) << seed;
    EXPECT_EQ(fresh->readings, same->readings) << seed;
    const auto others = examinations(**persistent, rig, *fresh);
    ASSERT_EQ(ones.size(), others.size());
    for (std::size_t i = 0; i < ones.size(); ++i) {
      EXPECT_EQ(ones[i].started, others[i].started) << ones[i].start_detail;
      EXPECT_EQ(ones[i].after_recovery, others[i].after_recovery) << i;
      EXPECT_EQ(ones[i].after_reopen, others[i].after_reopen) << i;
      EXPECT_EQ(ones[i].after_traffic, others[i].after_traffic) << i;
      EXPECT_EQ(ones[i].after_last_restart, others[i].after_last_restart) << i;
      EXPECT_EQ(ones[i].gate_refusals, others[i].gate_refusals) << i;
    }
  }
}

class ReplacedEngine : public EngineOnFuse, public testing::WithParamInterface<bool> {};

INSTANTIATE_TEST_SUITE_P(ExecutedAndCopied, ReplacedEngine, testing::Bool());

TEST_P(ReplacedEngine, APersistentProcessThatDied) {
  Rig rig = *rig_;
  rig.persistent_engine = true;
  rig.forked_engine = GetParam();
  auto target = make_target(config_, rig);
  ASSERT_TRUE(target);
  device_->power_on({faultfs::Image(config_.disk_bytes)});
  ASSERT_EQ((*target)->start(1, 0)->outcome, Outcome::done);
  device_->cut_now();
  const auto refused = (*target)->start(2, 0);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->outcome, Outcome::lost) << "there is nothing to open";
  EXPECT_TRUE((*target)->death());
  (*target)->kill();
  device_->power_on({faultfs::Image(config_.disk_bytes)});
  EXPECT_EQ((*target)->start(3, 0)->outcome, Outcome::done);
  EXPECT_EQ((*target)->stop().outcome, Outcome::done);
  EXPECT_EQ((*target)->start(4, 0)->outcome, Outcome::done);
}

TEST_F(EngineOnFuse, ACutDeviceIsALossNotAHang) {
  device_->power_on({faultfs::Image(config_.disk_bytes)});
  auto started = target_->start(1, 0);
  ASSERT_TRUE(started);
  ASSERT_EQ(started->outcome, Outcome::done) << started->detail;
  device_->cut_now();
  const Reply reply = target_->begin_put(1, make_header({1, 1, 0, 40000}), 40000);
  const Reply sent =
      reply.outcome == Outcome::done ? target_->append(1, make_body(1, 1, 40000)) : reply;
  EXPECT_EQ(sent.outcome, Outcome::lost);
  target_->kill();
  started = target_->start(2, 0);
  ASSERT_TRUE(started);
  EXPECT_EQ(started->outcome, Outcome::lost) << "there is nothing to open";
  EXPECT_TRUE(target_->death());
}

TEST_F(EngineOnFuse, CleanStopEndsTheProcess) {
  device_->power_on({faultfs::Image(config_.disk_bytes)});
  ASSERT_EQ(target_->start(1, 0)->outcome, Outcome::done);
  EXPECT_FALSE(target_->death());
  EXPECT_EQ(target_->stop().outcome, Outcome::done);
  EXPECT_FALSE(target_->death()) << "a stop is no death";
  EXPECT_EQ(target_->sync().outcome, Outcome::lost);
}

// -- Requests that wait, and a client that gives up. Nothing here hangs on how long it takes.

/// The process of the engine, a child of this one; 0: there is none.
pid_t engine_process() {
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::ifstream in(entry.path() / "stat");
    std::string pid;
    std::string name;
    std::string state;
    pid_t parent = 0;
    if (in >> pid >> name >> state >> parent && parent == getpid() && name == "(cache-engine)") {
      return std::stoi(pid);
    }
  }
  return 0;
}

/// Waits for what another process or thread does; false where it never does.
template <typename Condition>
bool comes_true(const Condition& condition) {
  for (int tries = 0; tries < 20'000; ++tries) {
    if (condition()) {
      return true;
    }
    // pause: another process is at work; the count bounds the loop
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

class WaitingRequests : public EngineOnFuse {
 protected:
  static constexpr std::uint64_t body_bytes = 30'000;

  void begin(const char* preset) {
    config_.preset = preset;
    use(config_);
    device_->clear_faults();
    device_->power_on({faultfs::Image(config_.disk_bytes)});
    ASSERT_EQ(live(1), Outcome::done);
    ASSERT_EQ(put(1, 1), Outcome::done);
    ASSERT_EQ(target_->sync().outcome, Outcome::done);
  }
  /// Starts the engine, and has it rebuild to the end.
  Outcome live(std::uint64_t seed) {
    bool more = false;
    const auto started = target_->start(seed, 0);
    const Outcome outcome = started ? started->outcome : Outcome::lost;
    return outcome == Outcome::done ? target_->rebuild(10'000, more).outcome : outcome;
  }
  Outcome put(Key key, PutNumber number) {
    const Reply begun =
        target_->begin_put(key, make_header({key, number, 0, body_bytes}), body_bytes);
    const Reply sent = begun.outcome == Outcome::done
                           ? target_->append(key, make_body(key, number, body_bytes))
                           : begun;
    return sent.outcome == Outcome::done ? target_->finish_put(key).outcome : sent.outcome;
  }
  /// A put whose first write waits because of `fault`; its client gives up and is killed.
  void put_and_give_up(const char* fault, Key key, PutNumber number) {
    ASSERT_TRUE(device_->add_fault(*faultfs::faults::parse_expression(fault)));
    auto client = std::async(std::launch::async, [&] { return put(key, number); });
    EXPECT_TRUE(comes_true([&] { return device_->faults()[0].firings == 1; }));
    EXPECT_EQ(::kill(engine_process(), SIGKILL), 0);
    EXPECT_EQ(client.get(), Outcome::lost);
    target_->kill();
  }
  /// "miss", "put#2", or what else was served.
  std::string served(Key key) {
    const GetReply reply = target_->get(key, 0, UINT64_MAX);
    if (reply.kind != GetReply::Kind::hit) {
      return reply.kind == GetReply::Kind::miss ? "miss" : "failed: " + reply.detail;
    }
    for (PutNumber number = 1; number <= 3; ++number) {
      if (reply.body == make_body(key, number, body_bytes)) {
        return fmt::format("put#{}", number);
      }
    }
    return "bytes of no one put";
  }
  /// Kills the engine, starts it again on what is there, and asks for `key`.
  std::string served_after_restart(Key key) {
    target_->kill();
    EXPECT_EQ(live(3), Outcome::done);
    return served(key);
  }
  /// A write of k2 waits, its client is killed, k2 is put again in the same place and made durable;
  /// then the first write lands, when nobody waits for it any more.
  std::string late_completion(const char* preset) {
    begin(preset);
    put_and_give_up("hold write nth=1", 2, 2);
    EXPECT_EQ(live(2), Outcome::done);
    EXPECT_EQ(put(2, 3), Outcome::done);
    EXPECT_EQ(target_->sync().outcome, Outcome::done);
    EXPECT_EQ(served(2), "put#3");
    const std::uint32_t before = device_->log_size();
    EXPECT_TRUE(device_->release_fault(1));
    EXPECT_TRUE(comes_true([&] { return device_->log_size() > before; }));
    return served_after_restart(2);
  }
};

TEST_F(WaitingRequests, AHeldWriteThatLandsLateIsNoticed) {
  EXPECT_THAT(late_completion("hardened"), testing::AnyOf("miss", "put#2", "put#3"));
  EXPECT_EQ(served(1), "put#1") << "durable, and none of its business";
  EXPECT_EQ(late_completion("squid"), "bytes of no one put") << "a cache that checks less lies";
}

TEST_F(WaitingRequests, AHeldWriteThatIsNeverLetGoHarmsNobody) {
  for (const char* preset : {"hardened", "squid"}) {
    begin(preset);
    put_and_give_up("hold write nth=1", 2, 2);
    EXPECT_EQ(live(2), Outcome::done);
    EXPECT_EQ(put(2, 3), Outcome::done);
    EXPECT_EQ(target_->sync().outcome, Outcome::done);
    device_->fence();  // lets it go, into EIO
    EXPECT_EQ(served_after_restart(2), "put#3") << preset;
    EXPECT_EQ(served(1), "put#1") << preset;
  }
}

TEST_F(WaitingRequests, AStalledDeviceMakesTheNextLifeWaitAndCostsNothing) {
  begin("hardened");
  put_and_give_up("stall nth=1", 2, 2);
  const std::uint64_t reads = device_->counters().reads;
  // The engine is started here: a child dies with the thread that made it.
  auto device = std::async(std::launch::async, [&] {
    EXPECT_TRUE(comes_true([&] { return device_->faults()[0].matches == 2; })) << "it asks";
    EXPECT_EQ(device_->counters().reads, reads) << "nobody was answered";
    EXPECT_TRUE(device_->release_fault(1));
  });
  EXPECT_EQ(live(2), Outcome::done);
  device.get();
  EXPECT_EQ(served(1), "put#1");
  EXPECT_THAT(served(2), testing::AnyOf("miss", "put#2"));
  EXPECT_EQ(put(2, 3), Outcome::done);
  EXPECT_EQ(target_->sync().outcome, Outcome::done);
  EXPECT_EQ(served_after_restart(2), "put#3");
}

}  // namespace
}  // namespace scenarios
