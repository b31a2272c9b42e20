#include "scenarios/targets/trafficserver.h"

#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <set>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "faultfs/mount/mount.h"
#include "scenarios/body.h"
#include "scenarios/formats/stripe_layout.h"
#include "scenarios/formats/trafficserver_cache.h"
#include "scenarios/formats/write_notes.h"
#include "scenarios/targets/shared_objects.h"
#include "scenarios/targets/trafficserver_setup.h"
#include "scenarios/targets/trafficserver_yaml.h"

namespace scenarios {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;
using Kind = GetReply::Kind;
namespace fs = std::filesystem;

/// A mounted device of one disk, and Traffic Server on it.
class TrafficServerTest : public testing::Test {
 protected:
  void SetUp() override {
    config_.target = "trafficserver";
    config_.disk_bytes = default_disk_bytes(config_.target);
    if (const auto installed = traffic_server_available(config_); !installed) {
      GTEST_SKIP() << installed.error().message;
    }
    if (const auto mountable = faultfs::mount::can_mount(); !mountable) {
      GTEST_SKIP() << mountable.error().message;
    }
    std::string name = (fs::temp_directory_path() / "ts_test_XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
    fs::create_directory(directory_ / "disk");
    fs::create_directory(directory_ / "work");
    device_ = *faultfs::Device::create(*faultfs::find_profile("disk_4k_write_through"),
                                       {{disk_name(config_), config_.disk_bytes}});
    auto mounted = faultfs::mount::Mount::create(*device_, {.directory = directory_ / "disk"});
    ASSERT_TRUE(mounted.has_value()) << mounted.error().message;
    mount_ = std::move(*mounted);
    auto made =
        make_traffic_server(config_, {*device_, directory_ / "disk", directory_ / "work", -1});
    ASSERT_TRUE(made.has_value()) << made.error().message;
    target_ = std::move(*made);
  }

  void TearDown() override {
    if (HasFailure() && target_) {
      std::cout << target_->log_text();
    }
    target_.reset();
    mount_.reset();
    if (!directory_.empty()) {
      fs::remove_all(directory_);
    }
  }

  void start() {
    const auto reply = target_->start(1, 0);
    ASSERT_TRUE(reply.has_value()) << reply.error().message;
    ASSERT_EQ(reply->outcome, Outcome::done) << reply->detail;
  }

  static std::string header(Key key, PutNumber put, std::uint64_t size_bytes) {
    return make_header({.key = key, .put = put, .body_bytes = size_bytes});
  }

  void put(Key key, PutNumber number, std::uint64_t size_bytes) {
    Reply reply = target_->begin_put(key, header(key, number, size_bytes), size_bytes);
    ASSERT_EQ(reply.outcome, Outcome::done) << reply.detail;
    reply = target_->append(key, make_body(key, number, size_bytes));
    ASSERT_EQ(reply.outcome, Outcome::done) << reply.detail;
    reply = target_->finish_put(key);
    ASSERT_EQ(reply.outcome, Outcome::done) << reply.detail;
  }

  /// "miss", "put#3", or what else it is.
  std::string seen(Key key) {
    const GetReply reply = target_->get(key, 0, UINT64_MAX);
    if (reply.kind != Kind::hit) {
      return reply.kind == Kind::miss ? "miss" : "failed: " + reply.detail;
    }
    const auto id = parse_header(reply.header);
    const bool right = id && id->key == key && reply.claimed_bytes == reply.body.size() &&
                       reply.body == make_body(key, id->put, id->body_bytes);
    return right ? fmt::format("put#{}", id->put)
                 : fmt::format("hit with header '{}' and {} of {} bytes",
                               reply.header,
                               reply.body.size(),
                               reply.claimed_bytes);
  }

  void sync() {
    const Reply reply = target_->sync();
    ASSERT_EQ(reply.outcome, Outcome::done) << reply.detail;
  }

  fs::path directory_;
  TargetConfig config_;
  std::unique_ptr<faultfs::Device> device_;
  std::unique_ptr<faultfs::mount::Mount> mount_;
  std::unique_ptr<Target> target_;
};

TEST_F(TrafficServerTest, KeepsWhatItIsGivenWhileItRuns) {
  start();
  EXPECT_EQ(seen(1), "miss");
  put(1, 1, 1000);
  put(2, 2, 700'000);
  put(3, 3, 1);
  EXPECT_EQ(seen(1), "put#1");
  EXPECT_EQ(seen(2), "put#2");
  EXPECT_EQ(seen(3), "put#3");
  put(2, 4, 300'000);
  EXPECT_EQ(seen(2), "put#4");
  EXPECT_EQ(target_->purge(2).outcome, Outcome::done);
  EXPECT_EQ(seen(2), "miss");
  EXPECT_EQ(target_->purge(9).outcome, Outcome::done) << "nothing to purge is no refusal";
  EXPECT_FALSE(target_->death().has_value());
}

TEST_F(TrafficServerTest, AKillForgetsWhatNoDirectorySyncHasFollowed) {
  start();
  put(1, 1, 400'000);
  sync();
  put(2, 2, 3'000'000);
  target_->kill();
  device_->fence();
  start();
  EXPECT_EQ(seen(1), "put#1");
  EXPECT_EQ(seen(2), "miss");
  EXPECT_THAT(target_->log_text(), HasSubstr("recovery clearing offsets"));
}

TEST_F(TrafficServerTest, ACleanStopIsNoDeathAndKeepsWhatWasSynced) {
  start();
  put(1, 1, 400'000);
  sync();
  put(2, 2, 30);
  ASSERT_EQ(target_->stop().outcome, Outcome::done);
  EXPECT_FALSE(target_->death().has_value()) << "asked to end";
  device_->fence();
  start();
  EXPECT_EQ(seen(1), "put#1");
  EXPECT_THAT(seen(2), AnyOf("miss", "put#2"));
}

TEST_F(TrafficServerTest, AHeaderUpdateIsStored) {
  start();
  put(1, 1, 300'000);
  const std::string updated =
      make_header({.key = 1, .put = 1, .update = 2, .body_bytes = 300'000}, 400);
  const Reply reply = target_->update_header(1, updated);
  ASSERT_EQ(reply.outcome, Outcome::done) << reply.detail;
  const GetReply got = target_->get(1, 0, UINT64_MAX);
  ASSERT_EQ(got.kind, Kind::hit);
  EXPECT_EQ(got.header, updated);
  EXPECT_EQ(got.body, make_body(1, 1, 300'000));
}

TEST_F(TrafficServerTest, AnUploadGrowsSlowlyAndMayBeGivenUp) {
  start();
  put(1, 1, 200'000);
  for (const Key key : {1U, 2U, 3U}) {
    ASSERT_EQ(target_->begin_put(key, header(key, 10 + key, 500'000), 500'000).outcome,
              Outcome::done);
    const faultfs::Bytes body = make_body(key, 10 + key, 500'000);
    EXPECT_EQ(target_->append(key, faultfs::ByteView(body).first(150'000)).outcome, Outcome::done);
    EXPECT_EQ(target_->append(key, faultfs::ByteView(body).subspan(150'000, 1)).outcome,
              Outcome::done);
    EXPECT_EQ(seen(key), "miss") << "in the middle of its upload";
    const Reply given_up = target_->abort_put(key);
    EXPECT_EQ(given_up.outcome, Outcome::done) << given_up.detail;
    EXPECT_THAT(seen(key), AnyOf("miss", "put#1"));
  }
  put(2, 20, 500'000);
  EXPECT_EQ(seen(2), "put#20");
}

TEST_F(TrafficServerTest, ASyncWithNothingChangedIsRefused) {
  start();
  const Reply reply = target_->sync();
  EXPECT_EQ(reply.outcome, Outcome::refused);
  EXPECT_THAT(reply.detail, HasSubstr("nothing had changed"));
}

TEST_F(TrafficServerTest, TheLayoutIsTheServersOwn) {
  start();
  put(1, 1, 100'000);
  sync();
  const DirectorySerials serials = read_serials(device_->snapshot().front());
  EXPECT_GE(serials.complete(), 1U);
  EXPECT_FALSE(serials.is_torn());
  // 32 MiB: the sizes the server was seen to use.
  const StripeLayout layout = stripe_layout(32 << 20);
  EXPECT_EQ(layout.copy_bytes, 65536U);
  EXPECT_EQ(layout.data, 147456U);
  EXPECT_EQ(stripe_layout(128 << 20).copy_bytes, 188416U);
}

TEST_F(TrafficServerTest, TheDecoderReadsWhatTheServerWrote) {
  device_->power_on(device_->snapshot());
  device_->record(true);
  const std::vector<faultfs::Image> blank = device_->snapshot();
  start();
  put(1, 1, 200'000);
  put(2, 2, 100);
  sync();
  const formats::CacheImage image = formats::decode_trafficserver(device_->snapshot().front());
  EXPECT_THAT(image.trouble, testing::IsEmpty());
  ASSERT_EQ(image.stripes.size(), 1U);
  const formats::CacheStripe& stripe = image.stripes[0];
  EXPECT_EQ(stripe.data, stripe_layout(config_.disk_bytes).data);
  ASSERT_NE(stripe.newest(), nullptr);
  EXPECT_EQ(stripe.rows_to_nothing, 0U) << "every row names a document that was found";
  std::uint64_t body_bytes = 0;
  std::size_t heads = 0;
  for (const formats::FoundDocument& found : stripe.documents) {
    EXPECT_TRUE(found.listed) << found.document.at;
    heads += found.document.is_head() ? 1U : 0U;
    body_bytes += found.document.length_bytes - found.document.body_at();
  }
  EXPECT_EQ(heads, 2U);
  EXPECT_EQ(body_bytes, 200'100U) << "the bodies are all there is besides headers";
  std::string told;
  for (const formats::WriteNote& note : formats::note_writes(config_, blank, device_->log())) {
    told += note.text + "\n";
  }
  EXPECT_THAT(told, HasSubstr("k1 fragment 1, k1 fragment 2"));
  EXPECT_THAT(told, HasSubstr("k1 head"));
  EXPECT_THAT(told, HasSubstr("k2 head"));
  EXPECT_THAT(told, HasSubstr("directory copy B, header, sync 1"));
}

TEST_F(TrafficServerTest, ARangeIsOfTheWholeObject) {
  start();
  put(1, 1, 5000);
  const GetReply reply = target_->get(1, 1000, 500);
  EXPECT_EQ(reply.kind, Kind::hit);
  EXPECT_EQ(reply.claimed_bytes, 5000U);
  const faultfs::Bytes body = make_body(1, 1, 5000);
  EXPECT_EQ(reply.body, faultfs::Bytes(body.begin() + 1000, body.begin() + 1500));
}

TEST_F(TrafficServerTest, TheNextLifeBeginsWhenTheOldOneHasLetGo) {
  start();
  put(1, 1, 5000);
  const auto reply = target_->overlap(2);
  ASSERT_TRUE(reply.has_value()) << reply.error().message;
  ASSERT_EQ(reply->outcome, Outcome::done) << reply->detail;
  put(2, 2, 5000);
  EXPECT_EQ(seen(2), "put#2");
  target_->kill_in_stop(100);
  EXPECT_FALSE(target_->death().has_value());
}

TEST_F(TrafficServerTest, AnotherPortOfTheOriginIsTheSameObject) {
  start();
  put(1, 1, 1000);
  sync();
  auto made =
      make_traffic_server(config_, {*device_, directory_ / "disk", directory_ / "work", -1});
  ASSERT_TRUE(made.has_value()) << made.error().message;
  target_->kill();
  target_ = std::move(*made);
  device_->fence();
  start();
  EXPECT_EQ(seen(1), "put#1");
}

TEST_F(TrafficServerTest, ItIsReadySoon) {
  start();
  const auto began = std::chrono::steady_clock::now();
  start();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  RecordProperty("ready_ms", static_cast<int>(took.count() * 1000));
  EXPECT_LT(took.count(), 5.0);
}

TEST(TrafficServerSettings, TheVersionIsReadFromWhatItPrints) {
  const auto nine = version_in("Traffic Server 9.2.9 Apr  4 2026 14:52:39 localhost\n");
  ASSERT_TRUE(nine.has_value());
  EXPECT_FALSE(nine->reads_yaml());
  const auto ten = version_in("Apache Traffic Server - traffic_server - 10.2.0 - (build # 040414)");
  ASSERT_TRUE(ten.has_value());
  EXPECT_EQ(ten->major, 10);
  EXPECT_TRUE(ten->reads_yaml() && ten->shares_memory());
  EXPECT_FALSE(version_in("Traffic Server 10.1.0")->shares_memory());
  EXPECT_FALSE(version_in("nginx version: nginx/1.22.1").has_value());
  const auto other = ask_version("/bin/true");
  ASSERT_FALSE(other.has_value());
  EXPECT_THAT(other.error().message, HasSubstr("/bin/true --version does not say"));
}

TEST(TrafficServerSettings, RecordsBecomeLevels) {
  EXPECT_EQ(records_yaml("CONFIG proxy.config.cache.shm.enabled INT 1\n"
                         "CONFIG proxy.config.http.server_ports STRING 80:ip-in=127.0.0.1\n"
                         "CONFIG proxy.config.cache.shm.name_prefix STRING mine\n"
                         "CONFIG proxy.config.exec_thread.autoconfig INT 0\n"
                         "CONFIG proxy.config.crash_log_helper STRING NULL\n"),
            "records:\n"
            "  cache:\n"
            "    shm:\n"
            "      enabled: 1\n"
            "      name_prefix: \"mine\"\n"
            "  http:\n"
            "    server_ports: \"80:ip-in=127.0.0.1\"\n"
            "  exec_thread:\n"
            "    autoconfig:\n"
            "      enabled: 0\n"
            "  crash_log_helper: NULL\n");
  EXPECT_EQ(storage_yaml("/mnt/disk"),
            "cache:\n  spans:\n    - name: disk\n      path: /mnt/disk\n");
  TrafficServerSetup setup;
  setup.yaml = true;
  setup.shared_prefix = "mine";
  EXPECT_THAT(records_yaml(records_config(setup)),
              AllOf(HasSubstr("shm:\n      enabled: 1"), HasSubstr("template_sets_dir")));
  EXPECT_THAT(records_config({}), Not(HasSubstr("shm"))) << "9.2 does not know it";
}

TEST(SharedObjects, AreKeptLostStaleAndPoked) {
  const std::string prefix = "powercut-" + std::to_string(::getpid()) + "-test";
  const std::filesystem::path object = "/dev/shm/" + prefix + "-control";
  const auto text = [&] {
    std::ifstream file(object);
    return std::string{std::istreambuf_iterator<char>(file), {}};
  };
  SharedObjects shared(prefix);
  EXPECT_EQ(shared.save(), nullptr);
  std::ofstream(object) << "first life";
  shared.life_ended();
  EXPECT_EQ(text(), "first life") << "kept";
  std::ofstream(object) << "second life";
  const auto second = shared.save();
  shared.restore(nullptr);
  EXPECT_FALSE(std::filesystem::exists(object));
  shared.restore(second);
  EXPECT_EQ(text(), "second life");
  std::set<std::string> seen;
  for (const std::string_view word : shared_words()) {
    std::ofstream(object) << "first life";
    shared.life_ended();
    std::ofstream(object) << "second life";
    shared.order(word);
    shared.life_ended();
    seen.insert(std::filesystem::exists(object) ? text() : "lost");
  }
  EXPECT_THAT(seen, testing::IsSupersetOf({"lost", "first life", "second life"}));
  EXPECT_GT(seen.size(), 3U) << "and poked";
  shared.order("off");
  EXPECT_FALSE(shared.on());
}

TEST(TrafficServerSettings, AMissingProgramIsNamed) {
  TargetConfig config;
  config.target = "trafficserver";
  config.program = "/nowhere/traffic_server";
  const auto status = traffic_server_available(config);
  ASSERT_FALSE(status.has_value());
  EXPECT_THAT(status.error().message, HasSubstr("/nowhere/traffic_server"));
  config.disk_bytes = 1 << 20;
  EXPECT_THAT(check(config).error().message, HasSubstr("allowed: from 16M"));
}

}  // namespace
}  // namespace scenarios
