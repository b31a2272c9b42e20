#include "scenarios/process/child.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace scenarios {
namespace {

using testing::HasSubstr;

/// A directory that lives as long as the test.
class ChildTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "child_test_XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  [[nodiscard]] std::filesystem::path file(const std::string& name) const {
    return directory_ / name;
  }
  [[nodiscard]] std::string text_of(const std::string& name) const {
    std::ostringstream text;
    text << std::ifstream(file(name)).rdbuf();
    return text.str();
  }
  /// Runs `script` under sh to its end and returns what it printed.
  std::string printed(const std::string& script, ChildOptions options = {}) {
    options.program = "/bin/sh";
    options.arguments = {"-c", script};
    options.output = file("printed");
    std::filesystem::remove(options.output);
    auto child = Child::start(options);
    EXPECT_TRUE(child.has_value()) << child.error().message;
    EXPECT_TRUE(child && (*child)->wait(10).has_value());
    return text_of("printed");
  }

 private:
  std::filesystem::path directory_;
};

std::unique_ptr<Child> started(const ChildOptions& options) {
  auto child = Child::start(options);
  EXPECT_TRUE(child.has_value()) << child.error().message;
  return child ? std::move(*child) : nullptr;
}

/// True when process `pid` has ended, or does within seconds; a zombie has ended.
bool soon_gone(pid_t pid) {
  const std::string directory = fmt::format("/proc/{}/cwd", pid);
  for (int i = 0; i < 5000 && ::access(directory.c_str(), F_OK) == 0; ++i) {
    // pause: another process ends; the count bounds the loop
    ::usleep(1000);
  }
  return ::access(directory.c_str(), F_OK) != 0;
}

TEST_F(ChildTest, ExitCodeAndSignalAreTold) {
  const auto exited = started({.program = "/bin/sh", .arguments = {"-c", "exit 7"}});
  const auto end = exited->wait(10);
  ASSERT_TRUE(end.has_value());
  EXPECT_EQ(end->code, 7);
  EXPECT_EQ(end->signal, 0);

  const auto sleeper = started({.program = "/bin/sleep", .arguments = {"60"}});
  EXPECT_FALSE(sleeper->poll().has_value());
  EXPECT_FALSE(sleeper->wait(0.02).has_value());
  sleeper->send(SIGTERM);
  const auto killed = sleeper->wait(10);
  ASSERT_TRUE(killed.has_value());
  EXPECT_EQ(killed->signal, SIGTERM);
  EXPECT_EQ(sleeper->kill().signal, SIGTERM) << "the first end stays";
}

TEST_F(ChildTest, KillReapsAndLeavesNoZombie) {
  auto child = started({.program = "/bin/sleep", .arguments = {"60"}});
  const pid_t pid = child->pid();
  EXPECT_EQ(child->kill().signal, SIGKILL);
  EXPECT_EQ(::kill(pid, 0), -1);
  EXPECT_EQ(errno, ESRCH);
}

TEST_F(ChildTest, GoesWithItsObjectAndTakesItsGroupAlong) {
  auto child = started({.program = "/bin/sh",
                        .arguments = {"-c", "sleep 60 & echo $!; wait"},
                        .output = file("out")});
  while (text_of("out").find('\n') == std::string::npos) {
    ASSERT_FALSE(child->wait(0.001).has_value());
  }
  const pid_t grandchild = std::stoi(text_of("out"));
  child.reset();
  EXPECT_TRUE(soon_gone(grandchild));
}

/// True when a child of a process that was killed is soon gone too.
bool dies_with_its_parent(const ChildOptions& options, const std::filesystem::path& note) {
  const pid_t parent = ::fork();
  if (parent == 0) {
    auto child = Child::start(options);
    std::ofstream(note) << (*child)->pid() << std::flush;
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  EXPECT_EQ(::waitpid(parent, &status, 0), parent);
  pid_t orphan = 0;
  std::ifstream(note) >> orphan;
  return orphan > 0 && soon_gone(orphan);
}

TEST_F(ChildTest, DiesWithItsParentAlsoAsAnotherUser) {
  ChildOptions options = {.program = "/bin/sleep", .arguments = {"60"}};
  EXPECT_TRUE(dies_with_its_parent(options, file("first")));
  if (::geteuid() == 0) {
    options.run_as = Account{65534, 65534};
    EXPECT_TRUE(dies_with_its_parent(options, file("second")));
  }
}

TEST_F(ChildTest, OutputIsAppended) {
  EXPECT_EQ(printed("echo one; echo two >&2"), "one\ntwo\n");
  const auto child =
      started({.program = "/bin/sh", .arguments = {"-c", "echo three"}, .output = file("printed")});
  ASSERT_TRUE(child->wait(10).has_value());
  EXPECT_EQ(text_of("printed"), "one\ntwo\nthree\n");
}

TEST_F(ChildTest, HoldsNoDescriptorButThoseGiven) {
  const int leaked = ::open("/dev/null", O_RDONLY);  // without O_CLOEXEC on purpose
  ASSERT_GE(leaked, 0);
  EXPECT_EQ(printed("cd /proc/self/fd; for i in *; do [ -e $i ] && printf '%s ' $i; done"),
            "0 1 2 ");
  ::close(leaked);
}

TEST_F(ChildTest, DescriptorsArriveUnderTheirNumbersEvenWhenTheyCross) {
  std::array<int, 2> first = {};
  std::array<int, 2> second = {};
  ASSERT_EQ(::pipe2(first.data(), O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(second.data(), O_CLOEXEC), 0);
  const auto child = started(
      {.program = "/bin/sh",
       .arguments = {"-c",
                     fmt::format("echo to-first >&{}; echo to-second >&{}", second[1], first[1])},
       .descriptors = {{first[1], second[1]}, {second[1], first[1]}}});
  ASSERT_TRUE(child->wait(10).has_value());
  std::array<char, 32> text = {};
  ASSERT_EQ(::read(first[0], text.data(), text.size()), 9);
  EXPECT_EQ(std::string(text.data(), 9), "to-first\n");
  ASSERT_EQ(::read(second[0], text.data(), text.size()), 10);
  EXPECT_EQ(std::string(text.data(), 10), "to-second\n");
  for (const int number : {first[0], first[1], second[0], second[1]}) {
    ::close(number);
  }
}

TEST_F(ChildTest, IsPinned) {
  EXPECT_THAT(printed("grep Cpus_allowed_list /proc/self/status", {.pin_cpu = 0}),
              HasSubstr(":\t0\n"));
}

TEST_F(ChildTest, RunsAsAnotherUser) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "only root may start a child as another user";
  }
  const ChildOptions options = {.run_as = Account{65534, 65534}};
  EXPECT_EQ(printed("id -u; id -g; id -G", options), "65534\n65534\n65534\n");
}

TEST_F(ChildTest, SignalsAreTheDefaultOnesWhateverOursAre) {
  struct sigaction before = {};
  struct sigaction ignore = {};
  ignore.sa_handler = SIG_IGN;
  ASSERT_EQ(::sigaction(SIGPIPE, &ignore, &before), 0);
  const std::string status = printed("grep -E 'Sig(Blk|Ign|Cgt)' /proc/self/status");
  ::sigaction(SIGPIPE, &before, nullptr);
  EXPECT_THAT(status, HasSubstr("SigBlk:\t0000000000000000"));
  EXPECT_THAT(status, HasSubstr("SigIgn:\t0000000000000000"));
  sigset_t mask;
  ASSERT_EQ(::pthread_sigmask(SIG_SETMASK, nullptr, &mask), 0);
  EXPECT_EQ(sigismember(&mask, SIGTERM), 0) << "our own mask is as before";
}

TEST_F(ChildTest, TroubleNamesTheProgramAndTheReason) {
  const auto sentence = [](const ChildOptions& options) {
    const auto child = Child::start(options);
    return child ? std::string("started") : child.error().message;
  };
  EXPECT_EQ(sentence({.program = "/usr/bin/no-such-cache"}),
            "cannot start /usr/bin/no-such-cache: there is no such file");
  EXPECT_EQ(sentence({.program = "/usr"}), "cannot start /usr: it is not a program file");

  std::ofstream(file("cache")) << "not a program";
  const std::string cache = file("cache").string();
  if (::geteuid() != 0 || ::access(cache.c_str(), X_OK) != 0) {
    EXPECT_EQ(sentence({.program = cache}),
              fmt::format("cannot start {}: it is not executable", cache));
  }
  std::filesystem::permissions(cache, std::filesystem::perms::owner_all);
  EXPECT_EQ(sentence({.program = cache}),
            fmt::format("cannot start {}: it could not be executed: Exec format error", cache));
  EXPECT_EQ(
      sentence({.program = "/bin/true", .output = "/no/such/place/log"}),
      "cannot start /bin/true: its output /no/such/place/log cannot be opened: No such file or "
      "directory");
  EXPECT_EQ(sentence({.program = "/bin/true", .pin_cpu = 1000}),
            "cannot start /bin/true: it could not be pinned to its CPU: Invalid argument");
  int status = 0;
  EXPECT_EQ(::waitpid(-1, &status, WNOHANG), -1) << "failed starts leave no zombie";
  EXPECT_EQ(errno, ECHILD);
}

TEST_F(ChildTest, StartsWithinMilliseconds) {
  double best = 1e9;
  for (int i = 0; i < 50; ++i) {
    const auto begun = std::chrono::steady_clock::now();
    const auto child = started({.program = "/bin/true"});
    ASSERT_TRUE(child->wait(10).has_value());
    best =
        std::min(best,
                 std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begun)
                     .count());
  }
  RecordProperty("start_to_end_ms", fmt::format("{:.2f}", best));
  EXPECT_LT(best, 20) << "ms from start to reaped, best of 50 runs of /bin/true";
}

}  // namespace
}  // namespace scenarios
