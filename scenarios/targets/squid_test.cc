#include "scenarios/targets/squid.h"

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "faultfs/mount/mount.h"
#include "scenarios/body.h"
#include "scenarios/formats/squid_rock.h"
#include "scenarios/formats/write_notes.h"
#include "scenarios/plain_disk.h"

namespace scenarios {
namespace {

using faultfs::Bytes;
using faultfs::ByteView;
using testing::AnyOf;
using testing::HasSubstr;
using Kind = GetReply::Kind;

TargetConfig squid_config(const std::string& program = "") {
  TargetConfig config;
  config.target = "squid";
  config.disk_bytes = 1 << 20;
  config.program = program;
  return config;
}

/// A mounted device of one disk, and Squid on it.
class SquidTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const auto installed = squid_available(config_); !installed) {
      GTEST_SKIP() << installed.error().message;
    }
    if (const auto mountable = faultfs::mount::can_mount(); !mountable) {
      GTEST_SKIP() << mountable.error().message;
    }
    make_directories();
    device_ = *faultfs::Device::create(*faultfs::find_profile("ssd_4k_volatile"),
                                       {{"rock", config_.disk_bytes}});
    auto mounted = faultfs::mount::Mount::create(*device_, {.directory = directory_ / "disk"});
    ASSERT_TRUE(mounted.has_value()) << mounted.error().message;
    mount_ = std::move(*mounted);
    make_target();
  }

  void TearDown() override {
    if (HasFailure() && target_) {
      std::cout << target_->log_text();
    }
    target_.reset();
    mount_.reset();
    std::filesystem::remove_all(directory_);
  }

  void make_directories() {
    std::string name = (std::filesystem::temp_directory_path() / "squid_test_XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
    ::chmod(directory_.c_str(), 0755);
    std::filesystem::create_directory(directory_ / "disk");
    std::filesystem::create_directory(directory_ / "work");
  }

  void make_target() {
    const Rig rig = {*device_, directory_ / "disk", directory_ / "work", -1};
    auto made = make_squid(config_, rig);
    ASSERT_TRUE(made.has_value()) << made.error().message;
    target_ = std::move(*made);
  }

  void start() {
    const auto reply = target_->start(1, 0);
    ASSERT_TRUE(reply.has_value()) << reply.error().message;
    ASSERT_EQ(reply->outcome, Outcome::done) << reply->detail;
  }

  /// A whole put.
  Reply put(Key key, PutNumber put, std::uint64_t size_bytes) {
    const Bytes body = make_body(key, put, size_bytes);
    Reply reply = target_->begin_put(key, header(key, put, size_bytes), size_bytes);
    if (reply.outcome == Outcome::done && size_bytes != 0) {
      reply = target_->append(key, body);
    }
    return reply.outcome == Outcome::done ? target_->finish_put(key) : reply;
  }

  static std::string header(Key key, PutNumber put, std::uint64_t size_bytes) {
    return make_header({.key = key, .put = put, .body_bytes = size_bytes});
  }

  GetReply get(Key key) { return target_->get(key, 0, UINT64_MAX); }

  /// "miss", "hit put#3 40000", or what else it is.
  std::string seen(Key key) {
    const GetReply reply = get(key);
    if (reply.kind != Kind::hit) {
      return reply.kind == Kind::miss ? "miss" : "failed: " + reply.detail;
    }
    const auto id = parse_header(reply.header);
    if (!id || reply.body != make_body(id->key, id->put, id->body_bytes) ||
        reply.claimed_bytes != reply.body.size() || id->key != key) {
      return fmt::format("hit with header '{}' and {} of {} bytes",
                         reply.header,
                         reply.body.size(),
                         reply.claimed_bytes);
    }
    return fmt::format("hit put#{} {}", id->put, id->body_bytes);
  }

  TargetConfig config_ = squid_config();
  std::filesystem::path directory_;
  std::unique_ptr<faultfs::Device> device_;
  std::unique_ptr<faultfs::mount::Mount> mount_;
  std::unique_ptr<Target> target_;
};

testing::AssertionResult done(const Reply& reply) {
  return reply.outcome == Outcome::done ? testing::AssertionSuccess()
                                        : testing::AssertionFailure() << reply.detail;
}

TEST_F(SquidTest, TheDecoderReadsWhatSquidWrote) {
  const std::vector<faultfs::Image> blank = device_->snapshot();
  device_->record(true);
  start();
  ASSERT_EQ(put(3, 1, 40'000).outcome, Outcome::done);
  ASSERT_EQ(put(4, 2, 100).outcome, Outcome::done);
  ASSERT_EQ(put(3, 3, 40'000).outcome, Outcome::done);
  const auto image = formats::decode_rock(device_->snapshot().front(), config_.slot_bytes);
  ASSERT_EQ(image.entries.size(), 2U);
  for (const formats::RockEntry& entry : image.entries) {
    EXPECT_THAT(entry.url, testing::EndsWith(entry.slots.size() == 1 ? "/k4" : "/k3"));
    EXPECT_GT(entry.bytes, entry.slots.size() == 1 ? 100U : 40'000U);
    EXPECT_EQ(entry.trouble, "");
  }
  EXPECT_EQ(image.used.size(), 4U);
  EXPECT_THAT(image.loose, testing::IsEmpty());
  std::string told;
  for (const formats::WriteNote& note : formats::note_writes(config_, blank, device_->log())) {
    told += note.text + "\n";
  }
  EXPECT_THAT(told, HasSubstr("slot 1, inode of k3 version 1, next 0"));
  EXPECT_THAT(told, HasSubstr("slot 2, last of k3 version 1"));
  EXPECT_THAT(told, HasSubstr("inode of k4 version 1\n"));
  EXPECT_THAT(told, HasSubstr("inode of k3 version 2"));
}

TEST_F(SquidTest, PutsAreHitsOfTheirOwnBytesUntilPurged) {
  start();
  EXPECT_EQ(seen(1), "miss");
  PutNumber number = 0;
  for (const std::uint64_t size : {1U, 100U, 16000U, 16344U, 40000U, 200000U}) {
    ++number;
    EXPECT_TRUE(done(put(number, number, size)));
    EXPECT_EQ(seen(number), fmt::format("hit put#{} {}", number, size));
  }
  EXPECT_TRUE(done(put(5, 9, 50000)));
  EXPECT_EQ(seen(5), "hit put#9 50000");
  EXPECT_TRUE(done(target_->purge(5)));
  EXPECT_EQ(seen(5), "miss");
  EXPECT_TRUE(done(target_->purge(5))) << "also when there is nothing";
  EXPECT_EQ(seen(4), "hit put#4 16344");
}

TEST_F(SquidTest, AnEmptyBodyIsABodyToo) {
  start();
  EXPECT_TRUE(done(put(1, 1, 0)));
  EXPECT_EQ(seen(1), "hit put#1 0");
}

TEST_F(SquidTest, PartOfABodyIsCutFromTheWhole) {
  start();
  EXPECT_TRUE(done(put(1, 1, 1000)));
  const GetReply part = target_->get(1, 900, 50);
  const Bytes body = make_body(1, 1, 1000);
  EXPECT_EQ(part.claimed_bytes, 1000U);
  EXPECT_EQ(part.body, Bytes(body.begin() + 900, body.begin() + 950));
  const GetReply outside = target_->get(1, 9000, 100);
  EXPECT_TRUE(outside.kind == Kind::hit && outside.body.empty());
}

TEST_F(SquidTest, AnObjectThatACrowdAskedForIsWhole) {
  start();
  const Bytes body = make_body(1, 1, 60'000);
  ASSERT_EQ(target_->begin_crowd(1, header(1, 1, body.size()), body.size()).outcome, Outcome::done);
  ASSERT_EQ(target_->append(1, body).outcome, Outcome::done);
  EXPECT_NE(target_->finish_put(1).outcome, Outcome::lost);
  EXPECT_THAT(seen(1), AnyOf("hit put#1 60000", "miss"));
}

TEST_F(SquidTest, TheNextLifeMayBeginBeforeTheLastHasEnded) {
  start();
  ASSERT_EQ(put(1, 1, 5000).outcome, Outcome::done);
  const auto reply = target_->overlap(2);
  ASSERT_TRUE(reply.has_value()) << reply.error().message;
  ASSERT_EQ(reply->outcome, Outcome::done) << reply->detail;
  EXPECT_THAT(seen(1), AnyOf("hit put#1 5000", "miss"));
  EXPECT_EQ(put(2, 2, 5000).outcome, Outcome::done);
  EXPECT_EQ(seen(2), "hit put#2 5000");
  target_->kill_in_stop(100);
  EXPECT_FALSE(target_->death().has_value());
}

TEST_F(SquidTest, RunsOnAPlainFileAndComesBack) {
  start();
  ASSERT_EQ(put(1, 1, 5000).outcome, Outcome::done);
  target_->kill();
  std::filesystem::create_directory(directory_ / "plain");
  auto plain = PlainDisk::create(directory_ / "plain" / "rock", config_.disk_bytes);
  ASSERT_TRUE(plain.has_value()) << plain.error().message;
  (*plain)->put(device_->snapshot().front());
  const auto before = device_->counters();
  ASSERT_TRUE(target_->move_to((*plain)->directory()));
  start();
  EXPECT_EQ(seen(1), "hit put#1 5000");
  EXPECT_EQ(device_->counters().reads, before.reads) << "the device was not asked";
  ASSERT_TRUE(target_->move_to({}));
  start();
  EXPECT_EQ(seen(1), "hit put#1 5000");
  EXPECT_GT(device_->counters().reads, before.reads);
}

TEST_F(SquidTest, ObjectsOutliveAKillAndAStop) {
  start();
  EXPECT_TRUE(done(put(1, 1, 100)));
  EXPECT_TRUE(done(put(2, 2, 100000)));
  target_->kill();
  start();
  EXPECT_EQ(seen(1), "hit put#1 100");
  EXPECT_EQ(seen(2), "hit put#2 100000");
  EXPECT_TRUE(done(target_->stop()));
  EXPECT_FALSE(target_->death().has_value()) << "asked for";
  start();
  EXPECT_EQ(seen(2), "hit put#2 100000");
}

TEST_F(SquidTest, SlowPutsOfDifferentKeysRunTogether) {
  start();
  const Bytes first = make_body(1, 1, 60000);
  const Bytes second = make_body(2, 2, 30000);
  EXPECT_TRUE(done(target_->begin_put(1, header(1, 1, 60000), 60000)));
  EXPECT_TRUE(done(target_->append(1, ByteView(first).first(20000))));
  EXPECT_TRUE(done(target_->begin_put(2, header(2, 2, 30000), 30000)));
  EXPECT_TRUE(done(put(3, 3, 5000)));
  EXPECT_EQ(seen(3), "hit put#3 5000");
  EXPECT_EQ(get(1).kind, Kind::miss) << "not there yet";
  EXPECT_TRUE(done(target_->append(2, second)));
  EXPECT_TRUE(done(target_->append(1, ByteView(first).subspan(20000))));
  EXPECT_TRUE(done(target_->finish_put(2)));
  EXPECT_TRUE(done(target_->finish_put(1)));
  EXPECT_EQ(seen(1), "hit put#1 60000");
  EXPECT_EQ(seen(2), "hit put#2 30000");
}

TEST_F(SquidTest, AnAbortedPutIsNeverAHitWhileSquidRuns) {
  start();
  for (const Key key : {Key{1}, Key{2}}) {  // by the origin, by the client
    const Bytes body = make_body(key, key, 60000);
    EXPECT_TRUE(done(target_->begin_put(key, header(key, key, 60000), 60000)));
    EXPECT_TRUE(done(target_->append(key, ByteView(body).first(40000))));
    EXPECT_TRUE(done(target_->abort_put(key)));
    EXPECT_EQ(seen(key), "miss");
    EXPECT_TRUE(done(put(key, key + 10, 20000)));
    EXPECT_EQ(seen(key), fmt::format("hit put#{} 20000", key + 10));
  }
}

TEST_F(SquidTest, AnAcknowledgedPutHasBeenWrittenAndNothingFollows) {
  start();
  for (PutNumber number = 1; number <= 12; ++number) {
    const std::uint64_t before = device_->counters().written_bytes;
    const std::uint64_t size = 7000 * number;
    EXPECT_TRUE(done(put(number % 3, number, size)));
    const std::uint64_t after = device_->counters().written_bytes;
    EXPECT_GE(after - before, size);
    // pause: that nothing is written cannot be waited for, only watched for a while
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    EXPECT_EQ(device_->counters().written_bytes, after) << "put#" << number;
  }
}

TEST_F(SquidTest, FullSlotsAreWrittenWhileThePutGoesOn) {
  start();
  const Bytes body = make_body(1, 1, 100000);
  EXPECT_TRUE(done(target_->begin_put(1, header(1, 1, 100000), 100000)));
  EXPECT_TRUE(done(target_->append(1, ByteView(body).first(50000))));
  EXPECT_EQ(device_->counters().writes, 3U) << "three slots are full, the fourth is not";
  EXPECT_TRUE(done(target_->append(1, ByteView(body).subspan(50000))));
  EXPECT_TRUE(done(target_->finish_put(1)));
  EXPECT_EQ(device_->counters().writes, 7U);
}

TEST_F(SquidTest, AHeaderUpdateKeepsTheBody) {
  start();
  EXPECT_TRUE(done(put(1, 1, 40000)));
  const std::string updated =
      make_header({.key = 1, .put = 1, .update = 2, .body_bytes = 40000}, 300);
  const std::uint64_t writes = device_->counters().writes;
  EXPECT_TRUE(done(target_->update_header(1, updated)));
  const GetReply reply = get(1);
  EXPECT_EQ(reply.header, updated);
  EXPECT_EQ(reply.body, make_body(1, 1, 40000));
  EXPECT_GT(device_->counters().writes, writes) << "the update went to the disk";
  EXPECT_EQ(target_->update_header(7, updated).outcome, Outcome::refused) << "no such object";
}

TEST_F(SquidTest, AnObjectLargerThanTheStoreIsRefused) {
  start();
  const Reply reply = put(1, 1, 2 << 20);
  EXPECT_EQ(reply.outcome, Outcome::refused);
  EXPECT_EQ(seen(1), "miss");
  EXPECT_TRUE(done(put(2, 2, 1000))) << "it goes on";
}

TEST_F(SquidTest, AfterACutNothingIsAcknowledged) {
  start();
  EXPECT_TRUE(done(put(1, 1, 1000)));
  device_->cut_at_request(3);
  const Reply reply = put(2, 2, 100000);
  EXPECT_EQ(reply.outcome, Outcome::lost);
  EXPECT_EQ(reply.detail, "the device was cut");
  const auto disks = device_->snapshot();
  target_->kill();
  device_->power_on(disks);
  start();
  EXPECT_EQ(seen(1), "hit put#1 1000");
  EXPECT_EQ(seen(2), "miss");
}

/// What 5.7 does, and the harness must be able to see: the new version's first slot lands where the
/// old one's was and points to the old tail, and the sizes add up (R02 of the rock scenarios).
TEST_F(SquidTest, AKillDuringAnOverwriteMakesAHodgepodge) {
  start();
  const std::uint64_t size = 30000;
  const Bytes old_body = make_body(2, 1, size);
  const Bytes new_body = make_body(2, 5, size);
  EXPECT_TRUE(done(put(2, 1, size)));
  EXPECT_TRUE(done(target_->begin_put(2, header(2, 5, size), size)));
  EXPECT_TRUE(done(target_->append(2, ByteView(new_body).first(20000))));
  target_->kill();
  start();
  const GetReply reply = get(2);
  ASSERT_EQ(reply.kind, Kind::hit);
  EXPECT_EQ(reply.header, header(2, 5, size));
  EXPECT_EQ(reply.claimed_bytes, size);
  const std::vector<Piece> pieces = classify(reply.body);
  ASSERT_EQ(pieces.size(), 2U);
  EXPECT_EQ(pieces.front().put, 5U);
  EXPECT_EQ(pieces.back().put, 1U);
}

TEST_F(SquidTest, DeathIsReportedWithItsLog) {
  start();
  EXPECT_FALSE(target_->death().has_value());
  EXPECT_THAT(target_->log_text(), HasSubstr("Completed Validation Procedure"));
  std::ifstream children(fmt::format("/proc/self/task/{}/children", ::gettid()));
  pid_t pid = 0;
  ASSERT_TRUE(children >> pid);
  ::kill(pid, SIGSEGV);
  const Reply reply = put(1, 1, 1000);
  EXPECT_EQ(reply.outcome, Outcome::lost);
  EXPECT_EQ(reply.detail, "squid is gone");
  EXPECT_EQ(get(1).kind, Kind::failed);
  const auto death = target_->death();
  ASSERT_TRUE(death.has_value());
  EXPECT_THAT(death->signal, AnyOf(SIGSEGV, SIGABRT));
  EXPECT_THAT(target_->log_text(), HasSubstr("Received Segment Violation"));
  target_->kill();
  start();
  EXPECT_FALSE(target_->death().has_value()) << "of this life";
}

TEST_F(SquidTest, AGetThatNeverEndsIsAHang) {
  start();
  ASSERT_EQ(put(1, 1, 1000).outcome, Outcome::done);
  EXPECT_FALSE(get(1).hung);
  std::ifstream children(fmt::format("/proc/self/task/{}/children", ::gettid()));
  pid_t pid = 0;
  ASSERT_TRUE(children >> pid);
  ::kill(pid, SIGSTOP);
  const GetReply reply = get(1);
  EXPECT_EQ(reply.kind, Kind::failed);
  EXPECT_TRUE(reply.hung);
  EXPECT_THAT(reply.detail, HasSubstr("did not end its answer"));
  EXPECT_FALSE(target_->death().has_value()) << "it is alive";
}

TEST_F(SquidTest, AStartThatFailsIsLostWithTheReason) {
  config_.slot_bytes = 16;  // not larger than a slot's header
  make_target();
  const auto reply = target_->start(1, 0);
  ASSERT_TRUE(reply.has_value()) << reply.error().message;
  EXPECT_EQ(reply->outcome, Outcome::lost);
  EXPECT_THAT(reply->detail, HasSubstr("squid ended while it started"));
  EXPECT_TRUE(target_->death().has_value());
}

TEST_F(SquidTest, NothingIsLeftInSharedMemory) {
  const auto count = [own = fmt::format("powercut{}n", ::getpid())] {  // others have theirs
    const std::filesystem::directory_iterator names("/dev/shm");
    return std::count_if(begin(names), end(names), [&own](const auto& name) {
      return name.path().native().find(own) != std::string::npos;
    });
  };
  start();
  EXPECT_GT(count(), 0);
  target_->kill();
  EXPECT_EQ(count(), 0);
}

TEST_F(SquidTest, SmallStoresAndOtherSlotSizesWork) {
  for (const std::uint32_t slot_bytes : {1024U, 4096U, 32768U}) {
    config_.slot_bytes = slot_bytes;
    target_.reset();
    device_->power_on({faultfs::Image(config_.disk_bytes)});
    make_target();
    start();
    EXPECT_TRUE(done(put(1, 1, 50000))) << slot_bytes;
    target_->kill();
    start();
    EXPECT_EQ(seen(1), "hit put#1 50000") << slot_bytes;
  }
}

/// In a user namespace that knows root only: 0 when Squid served there, else what went wrong.
int serve_in_a_user_namespace(const std::filesystem::path& directory) {
  if (::unshare(CLONE_NEWUSER) != 0) {
    return 77;
  }
  std::ofstream("/proc/self/setgroups") << "deny";
  std::ofstream("/proc/self/uid_map") << "0 0 1";
  std::ofstream("/proc/self/gid_map") << "0 0 1";
  const TargetConfig config = squid_config();
  const auto device = *faultfs::Device::create(*faultfs::find_profile("ssd_4k_volatile"),
                                               {{"rock", config.disk_bytes}});
  const auto squid = make_squid(config, {*device, directory / "disk", directory / "work", -1});
  const auto started = squid ? (*squid)->start(1, 0) : tl::unexpected(squid.error());
  if (!started || started->outcome != Outcome::done) {
    std::cout << (started ? started->detail : started.error().message) << std::endl;
    return 1;
  }
  const Bytes body = make_body(1, 1, 1000);
  const bool put = done((*squid)->begin_put(1, "k1", 1000)) && done((*squid)->append(1, body)) &&
                   done((*squid)->finish_put(1));
  return put && (*squid)->get(1, 0, UINT64_MAX).body == body ? 0 : 2;
}

TEST(SquidInAUserNamespace, RunsThoughItsUserIsUnknownThere) {
  if (const auto installed = squid_available(squid_config()); !installed) {
    GTEST_SKIP() << installed.error().message;
  }
  std::string name = (std::filesystem::temp_directory_path() / "squid_test_XXXXXX").string();
  const std::filesystem::path directory = ::mkdtemp(name.data());
  std::filesystem::create_directory(directory / "disk");
  std::filesystem::create_directory(directory / "work");
  std::ofstream(directory / "disk" / "rock").close();
  std::filesystem::resize_file(directory / "disk" / "rock", squid_config().disk_bytes);
  const pid_t child = ::fork();
  if (child == 0) {
    ::_exit(serve_in_a_user_namespace(directory));
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  std::filesystem::remove_all(directory);
  if (WEXITSTATUS(status) == 77) {
    GTEST_SKIP() << "no user namespace can be made here";
  }
  EXPECT_EQ(status, 0);
}

TEST(SquidAvailable, SaysWhatToInstallOrWhatIsWrongWithTheProgram) {
  const auto named = squid_available(squid_config("/no/such/squid"));
  ASSERT_FALSE(named.has_value());
  EXPECT_EQ(named.error().message,
            "the program /no/such/squid of target squid cannot be executed: No such file or "
            "directory");
  if (const auto found = squid_available(squid_config()); !found) {
    EXPECT_THAT(found.error().message, HasSubstr("apt-get install squid"));
  }
}

}  // namespace
}  // namespace scenarios
