// Workers and their sandboxes: whoever dies, nothing stays.

#include "runner/sandbox.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "faultfs/device.h"
#include "faultfs/mount/mount.h"
#include "runner/processes.h"
#include "runner/worker_lines_test.h"

namespace runner {
namespace {

using faultfs::Result;
using testing::Contains;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

/// True once `condition` holds, within a generous time.
template <typename Condition>
bool soon(const Condition& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) {
      return false;
    }
    // pause: another process is at work; the deadline bounds the loop
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

/// The living processes whose command line contains `word`.
std::vector<pid_t> processes_with(const std::string& word) {
  std::vector<pid_t> found;
  for (const Process& process : all_processes()) {
    std::ifstream in(fmt::format("/proc/{}/cmdline", process.pid));
    const std::string line{std::istreambuf_iterator<char>(in), {}};
    if (!process.zombie && process.pid != getpid() && line.find(word) != std::string::npos &&
        process.name != "sandbox_test" && !process.name.starts_with("powercut-")) {
      found.push_back(process.pid);
    }
  }
  return found;
}

/// Keepers, inits and workers forked by this test, or those with one of these names.
std::vector<pid_t> worker_processes(const std::string& name = "powercut-") {
  std::vector<pid_t> found;
  const std::string own = std::filesystem::read_symlink("/proc/self/exe");
  for (const Process& process : all_processes()) {
    if (!process.zombie && process.program == own && process.name.starts_with(name)) {
      found.push_back(process.pid);
    }
  }
  return found;
}

/// Starts `sleep seconds` in the background.
void start_sleeper(const std::string& seconds) {
  if (fork() == 0) {
    execlp("sleep", "sleep", seconds.c_str(), nullptr);
    _exit(EXIT_FAILURE);
  }
}

int never_return() {
  while (true) {
    pause();
  }
}

class SandboxTest : public testing::Test {
 protected:
  void SetUp() override {
    const faultfs::Status possible = can_sandbox();
    if (!possible) {
      GTEST_SKIP() << possible.error().message;
    }
  }
};

TEST_F(SandboxTest, IsAProcessMountAndNetworkWorldOfItsOwn) {
  Result<Worker> worker = start_worker({}, [](const Result<Sandbox>& sandbox, int descriptor) {
    const bool empty = std::filesystem::is_empty(sandbox->mount_directory) &&
                       std::filesystem::is_empty(sandbox->work_directory);
    say(descriptor,
        fmt::format("pid {} parent {} empty {} in {}",
                    getpid(),
                    getppid(),
                    empty,
                    sandbox->scratch.string()));
    return 7;
  });
  ASSERT_TRUE(worker) << worker.error().message;
  EXPECT_EQ(line_from(worker->descriptor()),
            "pid 2 parent 1 empty true in /dev/shm/powercut-scratch");
  EXPECT_EQ(worker->wait(), (WorkerEnd{0, 7}));
  EXPECT_FALSE(std::filesystem::exists("/dev/shm/powercut-scratch"));
}

TEST_F(SandboxTest, HasALoopbackNetwork) {
  Result<Worker> worker = start_worker({}, [](const Result<Sandbox>&, int) {
    const int server = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(80);  // free in every new network
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const auto* where = reinterpret_cast<const sockaddr*>(&address);
    if (bind(server, where, sizeof address) != 0 || listen(server, 1) != 0) {
      return 1;
    }
    return connect(socket(AF_INET, SOCK_STREAM, 0), where, sizeof address) == 0 ? 0 : 2;
  });
  ASSERT_TRUE(worker) << worker.error().message;
  EXPECT_EQ(worker->wait(), WorkerEnd{});
}

TEST_F(SandboxTest, TellsHowItsWorkerEnded) {
  Result<Worker> aborts = start_worker({}, [](const Result<Sandbox>&, int) -> int { abort(); });
  ASSERT_TRUE(aborts);
  EXPECT_EQ(aborts->wait(), (WorkerEnd{SIGABRT, 0}));
  Result<Worker> killed =
      start_worker({}, [](const Result<Sandbox>&, int) { return kill(getpid(), SIGKILL); });
  ASSERT_TRUE(killed);
  EXPECT_EQ(killed->wait(), (WorkerEnd{SIGKILL, 0}));
}

TEST_F(SandboxTest, ClosesWhatTheParentHadOpen) {
  const int open_here = open("/dev/null", O_RDONLY | O_CLOEXEC);
  Result<Worker> first =
      start_worker({}, [](const Result<Sandbox>&, int) { return never_return(); });
  Result<Worker> second = start_worker({}, [&](const Result<Sandbox>&, int) {
    return fcntl(open_here, F_GETFD) < 0 && fcntl(first->descriptor(), F_GETFD) < 0 ? 0 : 1;
  });
  ASSERT_TRUE(first && second);
  EXPECT_EQ(second->wait(), WorkerEnd{});
  close(open_here);
}

TEST_F(SandboxTest, PinsTheWorkerAndItsChildren) {
  SandboxOptions options;
  options.pin_cpu = 0;
  Result<Worker> worker = start_worker(options, [](const Result<Sandbox>&, int) {
    cpu_set_t cpus;
    sched_getaffinity(0, sizeof cpus, &cpus);
    return CPU_COUNT(&cpus) == 1 && CPU_ISSET(0, &cpus) ? 0 : 1;
  });
  ASSERT_TRUE(worker);
  EXPECT_EQ(worker->wait(), WorkerEnd{});
}

TEST_F(SandboxTest, HoldsSharedMemoryToItsLimit) {
  SandboxOptions options;
  options.shared_memory_bytes_max = 1024UL * 1024UL;
  Result<Worker> worker = start_worker(options, [](const Result<Sandbox>& sandbox, int) {
    std::ofstream out(sandbox->work_directory / "large");
    out << std::string(2UL * 1024UL * 1024UL, 'x') << std::flush;
    return out ? 1 : 0;
  });
  ASSERT_TRUE(worker);
  EXPECT_EQ(worker->wait(), WorkerEnd{});
}

/// A worker with everything that could be left behind: a mount with an open disk and a client, a
/// shared-memory object, scratch files, and a child with a child.
int litter(const Result<Sandbox>& sandbox, int descriptor, const std::string& seconds) {
  auto device = faultfs::Device::create(faultfs::all_profiles().front(), {{"disk0", 1UL << 20}});
  auto mount = faultfs::mount::Mount::create(**device, {sandbox->mount_directory, true, -1});
  std::ofstream(sandbox->work_directory / "file") << "left";
  const int object = shm_open("/powercut-litter", O_CREAT | O_RDWR, 0600);
  if (fork() == 0) {
    const int disk = open((sandbox->mount_directory / "disk0").c_str(), O_RDWR);
    start_sleeper(seconds);
    std::array<char, 4096> bytes{};
    say(descriptor,
        fmt::format(
            "mounted {} object {}", pwrite(disk, bytes.data(), bytes.size(), 0), object > 0));
    while (pwrite(disk, bytes.data(), bytes.size(), 0) > 0) {
    }
    return never_return();
  }
  return mount ? never_return() : 1;
}

void expect_nothing_left(const std::string& seconds) {
  EXPECT_TRUE(soon([&] { return processes_with(seconds).empty(); }));
  EXPECT_TRUE(soon([] { return worker_processes().empty(); }));
  std::ifstream mounts("/proc/self/mountinfo");
  const std::string text{std::istreambuf_iterator<char>(mounts), {}};
  EXPECT_THAT(text, Not(HasSubstr("powercut-scratch")));
  EXPECT_FALSE(std::filesystem::exists("/dev/shm/powercut-litter"));
  EXPECT_FALSE(std::filesystem::exists("/dev/shm/powercut-scratch"));
}

class LitterTest : public SandboxTest {
 protected:
  void SetUp() override {
    SandboxTest::SetUp();
    const faultfs::Status possible = faultfs::mount::can_mount();
    if (!IsSkipped() && !possible) {
      GTEST_SKIP() << possible.error().message;
    }
  }

  Worker littering(const std::string& seconds) {
    Result<Worker> worker = start_worker({}, [&](const Result<Sandbox>& sandbox, int descriptor) {
      return litter(sandbox, descriptor, seconds);
    });
    EXPECT_EQ(line_from(worker->descriptor()), "mounted 4096 object true");
    EXPECT_TRUE(soon([&] { return !processes_with(seconds).empty(); }));
    return std::move(*worker);
  }
};

TEST_F(LitterTest, GoesWhenTheWorkerIsKilled) {
  Worker worker = littering("98761");
  EXPECT_EQ(worker.kill(), (WorkerEnd{SIGKILL, 0}));
  EXPECT_THAT(processes_with("98761"), IsEmpty()) << "kill waits for everything";
  expect_nothing_left("98761");
}

TEST_F(LitterTest, GoesWhenTheKeeperDies) {
  Worker worker = littering("98762");
  kill(worker.pid(), SIGKILL);
  EXPECT_EQ(worker.wait(), (WorkerEnd{SIGKILL, 0}));
  expect_nothing_left("98762");
}

TEST_F(LitterTest, GoesWhicheverProcessOfItDies) {
  for (const std::string name : {"powercut-init", "powercut-worker"}) {
    Worker worker = littering("98763");
    const std::vector<pid_t> victims = worker_processes(name);
    ASSERT_FALSE(victims.empty());
    kill(victims.front(), SIGKILL);
    EXPECT_EQ(worker.wait(), (WorkerEnd{SIGKILL, 0})) << name;
    expect_nothing_left("98763");
  }
}

TEST_F(LitterTest, GoesWhenTheHarnessDies) {
  // The harness is a child here, so that it can be killed.
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  const pid_t harness = fork();
  if (harness == 0) {
    Worker worker = littering("98764");
    EXPECT_EQ(write(ends[1], "x", 1), 1);
    never_return();
  }
  char ready = 0;
  ASSERT_EQ(read(ends[0], &ready, 1), 1);
  kill(harness, SIGKILL);
  waitpid(harness, nullptr, 0);
  expect_nothing_left("98764");
  close(ends[0]);
  close(ends[1]);
}

/// What `leftovers` says of `path` or `pid`.
std::vector<Leftover> leftovers_at(const std::filesystem::path& path) {
  std::vector<Leftover> found = leftovers();
  std::erase_if(found, [&](const Leftover& leftover) { return leftover.path != path; });
  return found;
}

/// A pid that existed and is dead.
pid_t dead_pid() {
  const pid_t child = fork();
  if (child == 0) {
    _exit(0);
  }
  waitpid(child, nullptr, 0);
  return child;
}

TEST(LeftoverTest, FilesOfTheDeadAreFoundAndRemovedThoseOfTheLivingStay) {
  const auto temporary = std::filesystem::temp_directory_path();
  const auto dead = temporary / fmt::format("powercut-{}-test", dead_pid());
  const auto living = temporary / scratch_name("test");
  const auto nobody = temporary / "powercut-source";
  const auto object = std::filesystem::path("/dev/shm") / dead.filename();
  for (const auto& directory : {dead, living, nobody}) {
    std::filesystem::create_directories(directory / "inside");
  }
  std::ofstream(object) << "x";
  EXPECT_THAT(leftovers_at(dead), Contains(Field(&Leftover::kind, Leftover::Kind::directory)));
  EXPECT_THAT(leftovers_at(object),
              Contains(Field(&Leftover::kind, Leftover::Kind::shared_memory)));
  EXPECT_THAT(leftovers_at(living), IsEmpty());
  (void)clean_leftovers();
  EXPECT_FALSE(std::filesystem::exists(dead) || std::filesystem::exists(object));
  EXPECT_TRUE(std::filesystem::exists(living) && std::filesystem::exists(nobody));
  std::filesystem::remove_all(living);
  std::filesystem::remove_all(nobody);
}

TEST(LeftoverTest, SquidsSharedMemoryOfTheDeadIsFoundAndRemovedWhoeverOwnsIt) {
  const std::filesystem::path memory = "/dev/shm";
  const auto name = [](pid_t pid, const char* rest) {
    return fmt::format("powercut{}{}", pid, rest);
  };
  const auto dead = memory / name(dead_pid(), "n3-cf__metadata.shm");
  const auto living = memory / name(getpid(), "n1-cf__metadata.shm");
  const auto others = memory / name(dead_pid(), "-of-somebody");
  for (const auto& object : {dead, living, others}) {
    std::ofstream(object) << "x";
  }
  if (geteuid() == 0) {
    ASSERT_EQ(chown(dead.c_str(), 13, 13), 0);
  }
  EXPECT_THAT(leftovers_at(dead), Contains(Field(&Leftover::kind, Leftover::Kind::shared_memory)));
  EXPECT_THAT(leftovers_at(living), IsEmpty());
  (void)clean_leftovers();
  EXPECT_FALSE(std::filesystem::exists(dead));
  EXPECT_TRUE(std::filesystem::exists(living) && std::filesystem::exists(others));
  std::filesystem::remove(living);
  std::filesystem::remove(others);
}

TEST(LeftoverTest, ProcessesOfADeadHarnessAreFoundAndKilled) {
  const pid_t child = fork();
  if (child == 0) {
    setenv(owner_variable, fmt::format("{}:1", dead_pid()).c_str(), 1);
    execlp("sleep", "sleep", "98765", nullptr);
    _exit(EXIT_FAILURE);
  }
  const auto is_found = [&] {
    const std::vector<Leftover> found = leftovers();
    return std::any_of(found.begin(), found.end(), [&](const Leftover& leftover) {
      return leftover.pid == child && leftover.kind == Leftover::Kind::process;
    });
  };
  EXPECT_TRUE(soon(is_found));
  (void)clean_leftovers();
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
}

TEST_F(LitterTest, AMountWhoseServerIsDeadIsFoundAndRemoved) {
  const auto directory = std::filesystem::temp_directory_path() / scratch_name("dead-mount");
  std::filesystem::create_directories(directory);
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  const pid_t server = fork();
  if (server == 0) {
    auto device = faultfs::Device::create(faultfs::all_profiles().front(), {{"disk0", 1UL << 20}});
    auto mount = faultfs::mount::Mount::create(**device, {directory, true, -1});
    EXPECT_EQ(write(ends[1], mount ? "x" : "-", 1), 1);
    never_return();
  }
  char ready = 0;
  ASSERT_EQ(read(ends[0], &ready, 1), 1);
  EXPECT_THAT(leftovers_at(directory), IsEmpty()) << "it is alive";
  kill(server, SIGSTOP);
  EXPECT_THAT(leftovers_at(directory), IsEmpty()) << "it is stopped, not dead";
  kill(server, SIGKILL);
  waitpid(server, nullptr, 0);
  EXPECT_THAT(leftovers_at(directory), Contains(Field(&Leftover::kind, Leftover::Kind::mount)));
  (void)clean_leftovers();  // others may have left something that cannot be removed
  EXPECT_TRUE(std::filesystem::remove(directory)) << "nothing is mounted there any more";
  close(ends[0]);
  close(ends[1]);
}

class RegistryTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = std::filesystem::temp_directory_path() / scratch_name("registry");
    std::filesystem::create_directories(directory_);
    setenv("XDG_RUNTIME_DIR", directory_.c_str(), 1);
  }
  void TearDown() override {
    unsetenv("XDG_RUNTIME_DIR");
    std::filesystem::remove_all(directory_);
  }
  std::filesystem::path directory_;
};

TEST_F(RegistryTest, ShowsLivingMountsAndForgetsThem) {
  MountEntry entry;
  entry.directory = "/mnt/with a blank";
  entry.socket = "/run/socket";
  ASSERT_TRUE(register_mount(entry));
  const std::vector<MountEntry> mounts = live_mounts();
  ASSERT_EQ(mounts.size(), 1U);
  EXPECT_EQ(mounts[0].pid, getpid());
  EXPECT_EQ(mounts[0].directory, entry.directory);
  EXPECT_EQ(mounts[0].socket, entry.socket);
  forget_mount();
  EXPECT_THAT(live_mounts(), IsEmpty());
}

TEST_F(RegistryTest, EntriesOfTheDeadAreLeftovers) {
  const pid_t child = fork();
  if (child == 0) {
    _exit(register_mount({}) ? 0 : 1);
  }
  waitpid(child, nullptr, 0);
  const auto file = directory_ / "powercut" / std::to_string(child);
  EXPECT_THAT(live_mounts(), IsEmpty());
  EXPECT_THAT(leftovers_at(file), Contains(Field(&Leftover::kind, Leftover::Kind::registry_entry)));
  (void)clean_leftovers();
  EXPECT_FALSE(std::filesystem::exists(file));
}

TEST_F(RegistryTest, IsRefusedInADirectoryOfOthers) {
  std::filesystem::create_directories(directory_ / "powercut");
  chmod((directory_ / "powercut").c_str(), 0777);
  const faultfs::Status status = register_mount({});
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message, HasSubstr("mode 0700"));
}

}  // namespace
}  // namespace runner
