// Faults through the kernel: the model proof on mounted devices, and what needs processes: clients
// that wait, give up, and are killed.
//
// POWERCUT_MOUNTED_PROGRAMS says how many programs.

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "faultfs/base/random.h"
#include "faultfs/faults/expression.h"
#include "faultfs/faults/programs.h"
#include "faultfs/mount/mount.h"

namespace faultfs::mount {
namespace {

/// Asks by system calls, through descriptors of the mounted disks.
class FileClient : public programs::Client {
 public:
  explicit FileClient(std::filesystem::path directory) : directory_(std::move(directory)) {
    open_again();
  }
  FileClient(const FileClient&) = delete;
  FileClient& operator=(const FileClient&) = delete;
  ~FileClient() override { close_all(); }

  Outcome ask(const Request& request, Bytes& bytes) override {
    const int file = files_.at(request.disk);
    const auto offset = static_cast<off_t>(request.offset_bytes);
    ssize_t done = 0;
    if (request.kind == RequestKind::read) {
      done = pread(file, bytes.data(), bytes.size(), offset);
    } else if (request.kind == RequestKind::write) {
      const iovec part{bytes.data(), bytes.size()};
      done = pwritev2(file, &part, 1, offset, request.fua ? RWF_DSYNC : 0);
    } else if (request.kind == RequestKind::flush) {
      done = fsync(file);
    } else {
      done = fallocate(file,
                       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                       offset,
                       static_cast<off_t>(request.size_bytes));
      done = done == 0 ? static_cast<ssize_t>(request.size_bytes) : done;
    }
    return done < 0 ? Outcome{errno, 0} : Outcome{0, static_cast<std::uint64_t>(done)};
  }

  void open_again() override {
    close_all();
    for (const DiskSpec& disk : programs::disks()) {
      files_.push_back(open((directory_ / disk.name).c_str(), O_RDWR | O_CLOEXEC));
    }
  }

 private:
  void close_all() {
    for (const int file : files_) {
      close(file);
    }
    files_.clear();
  }
  std::filesystem::path directory_;
  std::vector<int> files_;
};

class MountFaultsTest : public testing::Test {
 protected:
  void SetUp() override {
    const Status possible = can_mount();
    if (!possible) {
      GTEST_SKIP() << possible.error().message;
    }
    std::string name = (std::filesystem::temp_directory_path() /
                        fmt::format("powercut-{}-faults-XXXXXX", getpid()))
                           .string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override {
    mount_.reset();
    if (!directory_.empty()) {
      std::filesystem::remove(directory_);
    }
  }

  void mount(const DeviceProfile& profile) {
    mount_.reset();
    device_ = Device::create(profile, programs::disks()).value();
    auto made = Mount::create(*device_, {directory_, true, -1});
    ASSERT_TRUE(made) << made.error().message;
    mount_ = std::move(*made);
  }

  std::uint32_t add(std::string_view text) {
    return device_->add_fault(faults::parse_expression(text).value()).value();
  }
  [[nodiscard]] bool fired(std::uint32_t fault) const {
    return device_->faults().at(fault - 1).firings > 0;
  }
  [[nodiscard]] int first_byte() const {
    Bytes bytes(1);
    device_->snapshot()[0].read(0, bytes);
    return std::to_integer<int>(bytes[0]);
  }

  /// A process that writes one 7 to the first disk and then exits with what that gave.
  [[nodiscard]] pid_t start_writer() const {
    const std::string disk = (directory_ / "disk0").string();
    const pid_t child = fork();
    if (child == 0) {
      const int file = open(disk.c_str(), O_RDWR | O_CLOEXEC);
      const char byte = 7;
      const ssize_t done = pwrite(file, &byte, 1, 0);
      _exit(done == 1 ? 0 : errno);
    }
    return child;
  }
  static int status_of(pid_t child) {
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return status;
  }
  template <typename Condition>
  static void wait_for(const Condition& holds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!holds() && std::chrono::steady_clock::now() < end) {
      std::this_thread::yield();
    }
    ASSERT_TRUE(holds());
  }

  std::filesystem::path directory_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<Mount> mount_;
};

TEST_F(MountFaultsTest, ProgramsAgreeWithTheNaiveModel) {
  programs::Options options;
  options.without = {
      "kill-client", "hold", "stall", "latency"};  // they need other processes: below
  const int count = programs::programs_to_run("POWERCUT_MOUNTED_PROGRAMS", 150);
  for (int program = 0; program < count; ++program) {
    Random random(mix(2026, static_cast<std::uint64_t>(program)));
    mount(programs::drawn_profile(random.next()));
    std::vector<std::uint32_t> numbers(2 + random.below(30));
    for (std::uint32_t& number : numbers) {
      number = static_cast<std::uint32_t>(random.next());
    }
    FileClient client(directory_);
    ASSERT_EQ(programs::run_program(numbers, options, *device_, &client), "")
        << "program " << program;
  }
}

TEST_F(MountFaultsTest, AHeldWriteIsOvertakenAndReleased) {
  mount(*find_profile("ssd_512_volatile"));
  const std::uint32_t hold = add("hold write nth=1");
  const pid_t writer = start_writer();
  wait_for([&] { return fired(hold); });
  FileClient client(directory_);
  Bytes bytes(512, std::byte{9});
  EXPECT_EQ(client.ask({RequestKind::write, 0, 0, 512, bytes, false, 0, 0}, bytes).error, 0);
  EXPECT_EQ(first_byte(), 9);
  EXPECT_TRUE(device_->release_fault(hold));
  EXPECT_EQ(status_of(writer), 0);
  EXPECT_EQ(first_byte(), 7) << "it came last";
}

TEST_F(MountFaultsTest, AWriteCompletesAfterItsClientGaveUp) {
  mount(*find_profile("ssd_512_volatile"));
  const std::uint32_t hold = add("hold write nth=1");
  const pid_t writer = start_writer();
  wait_for([&] { return fired(hold); });
  EXPECT_EQ(kill(writer, SIGKILL), 0);
  const int status = status_of(writer);
  EXPECT_TRUE(WIFSIGNALED(status)) << "it is gone though its request was never let go";
  EXPECT_EQ(first_byte(), 0);
  EXPECT_TRUE(device_->release_fault(hold));
  wait_for([&] { return first_byte() == 7; });
}

TEST_F(MountFaultsTest, UnmountingLetsGoWhatWaits) {
  mount(*find_profile("ssd_512_volatile"));
  const std::uint32_t stall = add("stall write nth=1");
  const pid_t writer = start_writer();
  wait_for([&] { return fired(stall); });
  mount_.reset();
  EXPECT_NE(status_of(writer), 0);
  EXPECT_EQ(device_->log_size(), 0U);
}

TEST_F(MountFaultsTest, LatencyDelaysOneClientAndNotTheOther) {
  mount(*find_profile("ssd_512_volatile"));
  const std::uint32_t latency = add("latency write ms=300 nth=1");
  const auto start = std::chrono::steady_clock::now();
  const pid_t writer = start_writer();
  wait_for([&] { return fired(latency); });
  FileClient client(directory_);
  Bytes bytes(512, std::byte{9});
  EXPECT_EQ(client.ask({RequestKind::write, 0, 512, 512, bytes, false, 0, 0}, bytes).error, 0);
  EXPECT_EQ(status_of(writer), 0);
  EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(300));
}

TEST_F(MountFaultsTest, AClientIsKilledAtItsRequest) {
  mount(*find_profile("ssd_512_volatile"));
  add("kill-client write nth=1 when=before");
  int status = status_of(start_writer());
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
  EXPECT_EQ(first_byte(), 0);
  add("kill-client write nth=1 when=after");
  status = status_of(start_writer());
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
  EXPECT_EQ(first_byte(), 7);
  EXPECT_EQ(device_->generation(), 1U) << "others go on";
  EXPECT_EQ(status_of(start_writer()), 0);
}

}  // namespace
}  // namespace faultfs::mount
