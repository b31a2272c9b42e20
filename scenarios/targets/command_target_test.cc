#include "scenarios/targets/command_target.h"

#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "faultfs/mount/mount.h"
#include "scenarios/body.h"
#include "scenarios/process/child.h"

namespace scenarios {
namespace {

using testing::HasSubstr;
using Kind = GetReply::Kind;
namespace fs = std::filesystem;

/// A mounted disk of 256 KiB and a program on it.
class CommandTargetTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const auto mountable = faultfs::mount::can_mount(); !mountable) {
      GTEST_SKIP() << mountable.error().message;
    }
    std::string name = (fs::temp_directory_path() / "command_test_XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
    fs::create_directory(directory_ / "disk");
    fs::create_directory(directory_ / "work");
    config_.target = "command";
    config_.disk_bytes = 256 << 10;
    device_ = *faultfs::Device::create(*faultfs::find_profile("ssd_4k_volatile"),
                                       {{disk_name(config_), config_.disk_bytes}});
    auto mounted = faultfs::mount::Mount::create(*device_, {.directory = directory_ / "disk"});
    ASSERT_TRUE(mounted.has_value()) << mounted.error().message;
    mount_ = std::move(*mounted);
  }

  void TearDown() override {
    target_.reset();
    mount_.reset();
    if (!directory_.empty()) {
      fs::remove_all(directory_);
    }
  }

  faultfs::Result<std::unique_ptr<Target>> make(const fs::path& program) {
    config_.program = program.string();
    return make_command(config_, {*device_, directory_ / "disk", directory_ / "work", -1});
  }

  /// A shell program that answers `verbs` with nothing, unless `body` does.
  fs::path script(const std::string& body) {
    const fs::path program = directory_ / "program";
    std::ofstream(program) << "#!/bin/sh\nverb=$1 disk=$2 scratch=$3 key=$4\n"
                           << body << "\nexit 0\n";
    fs::permissions(program, fs::perms::owner_all);
    return program;
  }

  void use(const fs::path& program) {
    auto made = make(program);
    ASSERT_TRUE(made.has_value()) << made.error().message;
    target_ = std::move(*made);
  }

  Reply start() {
    const auto reply = target_->start(1, 0);
    EXPECT_TRUE(reply.has_value()) << reply.error().message;
    return reply ? *reply : Reply{Outcome::lost, reply.error().message};
  }

  Reply put(Key key, PutNumber number, std::uint64_t size_bytes) {
    const std::string header = make_header({.key = key, .put = number, .body_bytes = size_bytes});
    EXPECT_EQ(target_->begin_put(key, header, size_bytes).outcome, Outcome::done);
    EXPECT_EQ(target_->append(key, make_body(key, number, size_bytes)).outcome, Outcome::done);
    return target_->finish_put(key);
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
    return right ? fmt::format("put#{}", id->put) : "a wrong answer";
  }

  fs::path directory_;
  TargetConfig config_;
  std::unique_ptr<faultfs::Device> device_;
  std::unique_ptr<faultfs::mount::Mount> mount_;
  std::unique_ptr<Target> target_;
};

/// The examples of the page, one after another.
class ExampleTest : public CommandTargetTest, public testing::WithParamInterface<std::string> {};

TEST_P(ExampleTest, KeepsWhatItIsGiven) {
  if (GetParam() == "sqlite_store" && ::access("/usr/bin/sqlite3", X_OK) != 0) {
    GTEST_SKIP() << "sqlite3 is not installed: apt-get install sqlite3";
  }
  use(fs::path(POWERCUT_EXAMPLES) / GetParam());
  EXPECT_TRUE(target_->traits().purge);
  ASSERT_EQ(start().outcome, Outcome::done) << target_->log_text();
  EXPECT_EQ(seen(1), "miss");
  EXPECT_EQ(put(1, 1, 10'000).outcome, Outcome::done) << target_->log_text();
  EXPECT_EQ(put(2, 2, 1).outcome, Outcome::done) << target_->log_text();
  EXPECT_EQ(put(1, 3, 9'999).outcome, Outcome::done) << target_->log_text();
  EXPECT_EQ(seen(1), "put#3");
  EXPECT_EQ(target_->purge(2).outcome, Outcome::done) << target_->log_text();
  EXPECT_EQ(target_->purge(7).outcome, Outcome::done) << target_->log_text();
  target_->kill();
  ASSERT_EQ(start().outcome, Outcome::done) << target_->log_text();
  EXPECT_EQ(seen(1), "put#3");
  EXPECT_EQ(seen(2), "miss");
  EXPECT_EQ(put(3, 4, 300 << 10).outcome, Outcome::refused) << "larger than the disk";
  EXPECT_EQ(target_->stop().outcome, Outcome::done);
  EXPECT_FALSE(target_->death().has_value());
}

INSTANTIATE_TEST_SUITE_P(Examples,
                         ExampleTest,
                         testing::Values("naive_store", "log_store", "sqlite_store"),
                         [](const auto& example) { return example.param; });

TEST_F(CommandTargetTest, WhatTheProgramCannotDoIsNoTrait) {
  use(script(""));
  EXPECT_FALSE(target_->traits().purge);
  EXPECT_FALSE(target_->traits().sync);
  use(script("[ $verb = verbs ] && echo sync"));
  EXPECT_TRUE(target_->traits().sync);
}

TEST_F(CommandTargetTest, AnUnknownVerbIsRefusedByName) {
  const auto made = make(script("[ $verb = verbs ] && echo purge rename"));
  ASSERT_FALSE(made.has_value());
  EXPECT_THAT(made.error().message, HasSubstr("'rename'; allowed: purge, sync, stop"));
}

TEST_F(CommandTargetTest, AProgramThatDoesNotAnswerIsNamed) {
  const auto made = make(script("echo no such verb >&2; exit 9"));
  ASSERT_FALSE(made.has_value());
  EXPECT_THAT(made.error().message, HasSubstr("program does not answer `verbs`"));
  EXPECT_THAT(made.error().message, HasSubstr("no such verb"));
  const auto missing = make(directory_ / "nothing");
  ASSERT_FALSE(missing.has_value());
  EXPECT_THAT(missing.error().message, HasSubstr("nothing of target command cannot be executed"));
}

TEST_F(CommandTargetTest, ExitCodesMeanWhatThePageSays) {
  use(
      script("case $verb in put) echo too big >&2; exit 3 ;; get) [ $key = k1 ]; exit $? ;;\n"
             "  purge) exit 5 ;; esac\n"));
  ASSERT_EQ(start().outcome, Outcome::done);
  const Reply refused = put(1, 1, 10);
  EXPECT_EQ(refused.outcome, Outcome::refused);
  EXPECT_EQ(refused.detail, "put ended with 3: too big");
  EXPECT_EQ(seen(2), "miss");
  EXPECT_EQ(target_->get(1, 0, UINT64_MAX).kind, Kind::hit) << "exit 0 is a hit, here of nothing";
  EXPECT_EQ(target_->purge(1).outcome, Outcome::refused);
}

TEST_F(CommandTargetTest, AStartThatFailsIsRefused) {
  use(script("[ $verb = start ] && echo cannot mend this >&2 && exit 4"));
  const Reply reply = start();
  EXPECT_EQ(reply.outcome, Outcome::refused);
  EXPECT_EQ(reply.detail, "start ended with 4: cannot mend this");
}

TEST_F(CommandTargetTest, ASignalIsADeath) {
  use(script("[ $verb = get ] && echo last words >&2 && kill -SEGV $$"));
  ASSERT_EQ(start().outcome, Outcome::done);
  EXPECT_EQ(seen(1), "failed: the program died in get");
  ASSERT_TRUE(target_->death().has_value());
  EXPECT_EQ(target_->death()->signal, SIGSEGV);
  EXPECT_THAT(target_->death()->log_tail, HasSubstr("last words"));
  EXPECT_EQ(target_->death()->core.empty(), !why_no_core().empty()) << why_no_core();
  ASSERT_EQ(start().outcome, Outcome::done);
  EXPECT_FALSE(target_->death().has_value());
}

TEST_F(CommandTargetTest, AServerStaysUntilItIsKilledOrStopped) {
  use(
      script("case $verb in start) echo $$ >$scratch/pid; echo ready; exec sleep 100 ;;\n"
             "  get) kill -0 $(cat $scratch/pid) || exit 2; exit 1 ;; esac"));
  ASSERT_EQ(start().outcome, Outcome::done);
  EXPECT_EQ(seen(1), "miss") << "it is there";
  target_->kill();
  EXPECT_FALSE(target_->death().has_value()) << "a kill of ours is no death";
  ASSERT_EQ(start().outcome, Outcome::done);
  EXPECT_EQ(target_->stop().outcome, Outcome::done) << "SIGTERM, as it has no verb for it";
  EXPECT_FALSE(target_->death().has_value());
}

TEST_F(CommandTargetTest, AServerThatEndsByItselfIsDead) {
  use(
      script("case $verb in start) echo ready; sleep 0.2; echo oh >&2; exit 7 ;;\n"
             "  get) sleep 0.5; exit 1 ;; esac"));
  ASSERT_EQ(start().outcome, Outcome::done);
  EXPECT_EQ(seen(1), "failed: the program died in get");
  ASSERT_TRUE(target_->death().has_value());
  EXPECT_EQ(target_->death()->exit_code, 7);
}

TEST_F(CommandTargetTest, TheScratchDirectoryIsEmptiedBeforeAStart) {
  use(script("case $verb in start) [ -e $scratch/left ] && exit 1; touch $scratch/left ;; esac"));
  EXPECT_EQ(start().outcome, Outcome::done);
  EXPECT_EQ(start().outcome, Outcome::done);
}

TEST_F(CommandTargetTest, TheProgramIsAskedForByName) {
  config_.program.clear();
  const auto status = check(config_);
  ASSERT_FALSE(status.has_value());
  EXPECT_THAT(status.error().message, HasSubstr("--program PATH"));
  config_.program = "/bin/true";
  config_.preset = "squid";
  EXPECT_THAT(check(config_).error().message, HasSubstr("target command is run as it is"));
}

}  // namespace
}  // namespace scenarios
