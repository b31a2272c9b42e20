// ext4 on a loop device on a disk of the mounted device: what arrives, what a cut leaves, and that
// it can be taken down.

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <thread>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "faultfs/base/random.h"
#include "faultfs/crash_model.h"
#include "faultfs/device.h"
#include "faultfs/mount/mount.h"
#include "runner/loop_devices.h"
#include "runner/sandbox.h"
#include "scenarios/process/child.h"

namespace runner {
namespace {

namespace fs = std::filesystem;
using namespace faultfs::literals;
using faultfs::CrashModel;
using faultfs::CrashPlan;
using faultfs::CutKind;
using faultfs::EntryKind;
using faultfs::Fate;
using faultfs::FateKind;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

std::string text_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// A shell command and what it printed; no command may take longer than five minutes.
struct Said {
  int code = -1;
  std::string text;
};

Said sh(const std::string& command) {
  const fs::path output = fs::temp_directory_path() / scratch_name("loop-output");
  fs::remove(output);
  auto child =
      scenarios::Child::start({.program = "/bin/sh",
                               .arguments = {"-c", "PATH=$PATH:/usr/sbin:/sbin\n" + command},
                               .output = output});
  if (!child) {
    return {-1, child.error().message};
  }
  const auto exit = (*child)->wait(300);
  Said said{exit ? (exit->signal != 0 ? 128 + exit->signal : exit->code) : -1, text_of(output)};
  fs::remove(output);
  return said;
}

/// True once `condition` holds, within a generous time.
template <typename Condition>
bool soon(const Condition& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(120);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) {
      return false;
    }
    // pause: another process is at work; the deadline bounds the loop
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

class LoopTest : public testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) {
      GTEST_SKIP() << "a loop device needs root";
    }
    if (const faultfs::Status possible = faultfs::mount::can_mount(); !possible) {
      GTEST_SKIP() << possible.error().message;
    }
    if (const Said free = sh("losetup -f"); free.code != 0) {
      GTEST_SKIP() << "no loop device can be had: " << free.text;
    }
    if (sh("command -v mkfs.ext4 e2fsck debugfs").code != 0) {
      GTEST_SKIP() << "mkfs.ext4 is not installed: apt-get install e2fsprogs";
    }
    if (const Said kernel = sh("grep -qw ext4 /proc/filesystems || modprobe ext4");
        kernel.code != 0) {
      GTEST_SKIP() << "the kernel has no ext4: " << kernel.text;
    }
    std::string name =
        (fs::temp_directory_path() / fmt::format("powercut-{}-loop-XXXXXX", getpid())).string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
    // Mounts and a registry of its own: a doctor that somebody else calls cleans nothing of this.
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    fs::create_directory(directory_ / "run");
    ASSERT_EQ(setenv("XDG_RUNTIME_DIR", (directory_ / "run").c_str(), 1), 0);
    fs::create_directory(directory_ / "device");
    fs::create_directory(directory_ / "ext4");
  }
  void TearDown() override {
    if (device_) {
      device_->cut_now();
      EXPECT_TRUE(take_down(loop_devices_on(directory_ / "device")));
    }
    mount_.reset();
    if (!directory_.empty()) {
      fs::remove_all(directory_);
    }
  }

  /// A disk with a file system on it that was unmounted cleanly, and is durable.
  void make_device() {
    auto device =
        faultfs::Device::create(*faultfs::find_profile("ssd_512_volatile"), {{"disk0", 24_MiB}});
    device_ = std::move(*device);
    auto mount = faultfs::mount::Mount::create(*device_, {directory_ / "device", true, -1});
    ASSERT_TRUE(mount) << mount.error().message;
    mount_ = std::move(*mount);
    const Said made =
        sh(fmt::format("mkfs.ext4 -q -b 4096 -J size=4 -E lazy_itable_init=0 {}", disk().string()));
    ASSERT_EQ(made.code, 0) << made.text;
    device_->power_on(device_->snapshot());
    base_ = device_->snapshot();
  }
  void mount_ext4(const std::string& options = "") {
    const Said mounted =
        sh(fmt::format("mount -t ext4 -o loop{} {} {}", options, disk().string(), ext4()));
    ASSERT_EQ(mounted.code, 0) << mounted.text;
  }
  void unmount_ext4() {
    const Said gone = sh("umount " + ext4());
    ASSERT_EQ(gone.code, 0) << gone.text;
    ASSERT_TRUE(take_down(loop_devices_on(directory_ / "device")));
  }
  [[nodiscard]] fs::path disk() const { return directory_ / "device" / "disk0"; }
  [[nodiscard]] std::string ext4() const { return (directory_ / "ext4").string(); }

  [[nodiscard]] std::map<EntryKind, int> kinds() const {
    const faultfs::WriteLog log = device_->log();
    std::map<EntryKind, int> found;
    for (std::uint32_t number = 1; number <= log.size(); ++number) {
      ++found[log.entry(number).kind];
    }
    return found;
  }

  fs::path directory_;
  std::unique_ptr<faultfs::Device> device_;
  std::unique_ptr<faultfs::mount::Mount> mount_;
  std::vector<faultfs::Image> base_;
};

TEST_F(LoopTest, FlushFuaDiscardAndZeroesArrive) {
  make_device();
  mount_ext4();
  ASSERT_EQ(
      sh(fmt::format("cd {} && dd if=/dev/zero of=a bs=64k count=16 conv=fsync 2>&1", ext4())).code,
      0);
  EXPECT_GT(kinds()[EntryKind::flush], 0);
  EXPECT_EQ(kinds()[EntryKind::discard], 0);
  ASSERT_EQ(sh(fmt::format("cd {} && rm a && sync && fstrim .", ext4())).code, 0);
  EXPECT_GT(kinds()[EntryKind::discard], 0);
  unmount_ext4();
  // On the loop device itself: a FUA write is a write and a flush, zeroes are writes of zeros.
  const Said loop = sh("losetup -f --show " + disk().string());
  ASSERT_EQ(loop.code, 0) << loop.text;
  const std::string device = loop.text.substr(0, loop.text.find('\n'));
  const std::uint32_t before = device_->log_size();
  ASSERT_EQ(sh("dd if=/dev/urandom of=" + device + " bs=4k count=1 oflag=direct,dsync 2>&1").code,
            0);
  const faultfs::WriteLog log = device_->log();
  EXPECT_EQ(log.entry(before + 1).kind, EntryKind::write);
  EXPECT_EQ(log.entry(log.size()).kind, EntryKind::flush);
  const Said zeroed = sh("blkdiscard -z -o 0 -l 65536 " + device);
  ASSERT_EQ(zeroed.code, 0) << zeroed.text;
  faultfs::Bytes zeros(65536);
  device_->snapshot()[0].read(0, zeros);
  EXPECT_EQ(zeros, faultfs::Bytes(65536));
  const faultfs::WriteLog after = device_->log();
  EXPECT_GT(after.size(), log.size());
}

/// What e2fsck and debugfs say of a crash image.
struct Verdict {
  bool clean = false;
  bool complete = false;  ///< every file that was saved is there, whole
  std::string text;
};

/// Files saved before the cut are named by the marks "saved N".
Verdict judge(const faultfs::Image& image, const faultfs::WriteLog& log, std::uint32_t entry) {
  const fs::path file = fs::temp_directory_path() / scratch_name("loop-image");
  EXPECT_TRUE(image.save(file));
  // The journal first, as a mount does; then nothing may be wrong.
  const Said checked =
      sh(fmt::format("e2fsck -E journal_only -p {0} >/dev/null; e2fsck -fn {0}", file.string()));
  Verdict verdict{checked.code == 0, true, checked.text};
  std::string wanted;
  std::string commands;
  for (std::uint32_t number = 1; number <= entry; ++number) {
    const std::string_view mark = log.mark_text(number);
    if (mark.starts_with("saved ")) {
      commands += fmt::format("cat /f{}\n", mark.substr(6));
      for (int line = 0; line < 1500; ++line) {
        wanted += fmt::format("{} {}\n", mark.substr(6), line);
      }
    }
  }
  if (!wanted.empty()) {
    const Said files = sh(fmt::format(
        "debugfs -f - {} <<'E' 2>/dev/null | grep -v '^debugfs'\n{}E", file.string(), commands));
    verdict.complete = files.text == wanted;
  }
  fs::remove(file);
  return verdict;
}

CrashPlan drawn(const CrashModel& model, std::uint32_t entry, std::uint64_t seed) {
  faultfs::Random random(faultfs::mix(seed, entry));
  CrashPlan plan;
  plan.point = {CutKind::power_cut, entry, false};
  for (const auto& write : model.volatile_writes(plan.point)) {
    if (seed == 0 || random.chance(1, 2)) {
      plan.fates.push_back({.write = write.entry, .kind = FateKind::lost});
    }
  }
  return plan;
}

TEST_F(LoopTest, Ext4ComesBackCleanAndALyingFlushIsCaught) {
  make_device();
  mount_ext4(",commit=1");
  for (int n = 1; n <= 4; ++n) {
    const Said saved =
        sh(fmt::format("cd {0} && for i in $(seq 0 1499); do echo {1} $i; done >t && sync t && mv "
                       "t f{1} && sync . && "
                       "mkdir -p d{1}/e && rm -rf d$(({1} - 1))",
                       ext4(),
                       n));
    ASSERT_EQ(saved.code, 0) << saved.text;
    device_->mark(fmt::format("saved {}", n));
  }
  unmount_ext4();
  const faultfs::WriteLog log = device_->log();
  ASSERT_GT(log.size(), 40U);
  const auto explore = [&](const char* profile, const std::function<bool(const Verdict&)>& seen) {
    CrashModel model(base_, log, *faultfs::find_profile(profile));
    int states = 0;
    constexpr std::uint32_t points = 16;
    for (std::uint32_t point = 1; point <= points; ++point) {
      const std::uint32_t entry = log.size() * point / points;
      for (std::uint64_t seed = 0; seed < 3; ++seed) {
        ++states;
        const CrashPlan plan = drawn(model, entry, seed);
        if (!seen(judge(model.build(plan)[0], log, entry))) {
          return states;
        }
      }
    }
    return states;
  };
  EXPECT_EQ(explore("ssd_512_volatile",
                    [](const Verdict& verdict) {
                      EXPECT_TRUE(verdict.clean) << verdict.text;
                      EXPECT_TRUE(verdict.complete) << verdict.text;
                      return true;
                    }),
            48);
  bool caught = false;
  explore("ssd_512_lying_flush", [&](const Verdict& verdict) {
    caught = !verdict.clean || !verdict.complete;
    return !caught;
  });
  EXPECT_TRUE(caught) << "a lying flush was not noticed";
}

TEST_F(LoopTest, ACutInTheMiddleOfItLeavesNothingBehind) {
  make_device();
  mount_ext4();
  auto writer = scenarios::Child::start(
      {.program = "/bin/sh",
       .arguments = {
           "-c",
           fmt::format("cd {}; while :; do date >>log; sync log || sleep 0.05; done", ext4())}});
  ASSERT_TRUE(writer) << writer.error().message;
  ASSERT_TRUE(soon([&] { return fs::exists(directory_ / "ext4" / "log"); }));
  device_->cut_at_request(20);
  ASSERT_TRUE(soon([&] { return device_->is_cut(); }));
  ASSERT_THAT(loop_devices_on(directory_ / "device"), SizeIs(1));
  (*writer)->kill();
  const faultfs::Status down = take_down(loop_devices_on(directory_ / "device"));
  EXPECT_TRUE(down) << down.error().message;
  EXPECT_THAT(loop_devices_on(directory_ / "device"), IsEmpty());
  mount_.reset();
  EXPECT_TRUE(fs::is_empty(directory_ / "device"));
  EXPECT_TRUE(fs::is_empty(directory_ / "ext4"));
}

TEST_F(LoopTest, PowercutMountTakesItDownWhenItEnds) {
  for (const int signal : {SIGTERM, SIGKILL}) {
    auto served = scenarios::Child::start({.program = POWERCUT_PROGRAM,
                                           .arguments = {"mount",
                                                         (directory_ / "device").string(),
                                                         "--disk",
                                                         "disk0:24M",
                                                         "--profile",
                                                         "ssd_512_volatile"}});
    ASSERT_TRUE(served) << served.error().message;
    ASSERT_TRUE(soon([&] { return fs::exists(disk()); }));
    ASSERT_EQ(sh("mkfs.ext4 -q " + disk().string()).code, 0);
    mount_ext4();
    (*served)->send(signal);
    ASSERT_TRUE((*served)->wait(120)) << "it hangs on signal " << signal;
    if (signal == SIGKILL) {
      // Nobody could take it down: the doctor knows how.
      const Said doctor = sh(std::string(POWERCUT_PROGRAM) + " doctor --clean");
      EXPECT_THAT(doctor.text, HasSubstr("removed  /dev/loop"));
    }
    EXPECT_THAT(loop_devices_on(directory_ / "device"), IsEmpty());
    EXPECT_TRUE(fs::is_empty(directory_ / "ext4"));
    EXPECT_TRUE(fs::is_empty(directory_ / "device"));
  }
}

}  // namespace
}  // namespace runner
