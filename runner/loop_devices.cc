// A file system on a loop device on a disk of a mounted fault device is three mounts deep, and has
// to be taken down from the top:
//
//   1. cut the device: whatever still comes gets EIO, and nothing waits for a disk
//   2. kill the programs that use the file system, and wait for them
//   3. unmount the file system (again while it is busy; lazily as the last resort)
//   4. detach the loop device, and wait until it has let go of its file
//   5. unmount the fault device
//
// In another order: a loop device over a file system that is gone keeps the connection of the fault
// device alive; a file system whose disk does not answer waits in D state, and cannot be killed.
// Steps 3 and 4 may wait for the serving thread, so a child does them.

#include "runner/loop_devices.h"

#include <fcntl.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <ctime>
#include <fstream>
#include <sstream>
#include <system_error>

#include <fmt/format.h>

namespace runner {
namespace {

namespace fs = std::filesystem;

constexpr int patience_ms = 30'000;  // for what needs milliseconds on an idle machine

void pause_ms(long milliseconds) {
  const timespec time{0, milliseconds * 1'000'000};
  nanosleep(&time, nullptr);
}

std::string first_line(const fs::path& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

std::vector<fs::path> mounts_of(const fs::path& device) {
  std::ifstream in("/proc/self/mounts");
  std::vector<fs::path> found;
  for (std::string line; std::getline(in, line);) {
    std::istringstream fields(line);
    std::string source;
    std::string target;
    fields >> source >> target;
    if (source == device) {
      found.insert(found.begin(), target);
    }
  }
  return found;
}

bool is_below(const fs::path& file, const fs::path& directory) {
  const auto [end, rest] =
      std::mismatch(directory.begin(), directory.end(), file.begin(), file.end());
  return end == directory.end();
}

void unmount(const fs::path& place) {
  for (int tries = 0; tries < 40; ++tries) {
    if (umount2(place.c_str(), UMOUNT_NOFOLLOW) == 0 || errno != EBUSY) {
      return;
    }
    pause_ms(50);
  }
  umount2(place.c_str(), UMOUNT_NOFOLLOW | MNT_DETACH);
}

void detach(const fs::path& device) {
  const int loop = open(device.c_str(), O_RDONLY | O_CLOEXEC);
  if (loop >= 0) {
    ioctl(loop, LOOP_CLR_FD, 0);
    close(loop);
  }
}

}  // namespace

std::vector<LoopDevice> loop_devices_on(const fs::path& directory) {
  std::vector<LoopDevice> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/sys/block", error)) {
    const std::string name = entry.path().filename();
    const std::string file =
        name.starts_with("loop") ? first_line(entry.path() / "loop/backing_file") : "";
    if (!file.empty() && is_below(file, directory)) {
      LoopDevice device;
      device.device = "/dev/" + name;
      device.file = file;
      device.mounted_on = mounts_of(device.device);
      found.push_back(std::move(device));
    }
  }
  return found;
}

faultfs::Status take_down(const std::vector<LoopDevice>& devices) {
  if (devices.empty()) {
    return {};
  }
  const pid_t child = fork();
  if (child == 0) {
    for (const LoopDevice& device : devices) {
      std::for_each(device.mounted_on.begin(), device.mounted_on.end(), unmount);
      detach(device.device);
    }
    _exit(0);
  }
  bool ended = child < 0;
  for (int waited = 0; !ended && waited < patience_ms; waited += 10) {
    ended = waitpid(child, nullptr, WNOHANG) == child;
    pause_ms(10);
  }
  if (!ended) {
    kill(child, SIGKILL);  // where it waits for a disk, it ends when the connection does
  }
  for (const LoopDevice& device : devices) {
    // A device that was busy lets go of its file when its last user has closed it.
    for (int waited = 0;
         waited < patience_ms && first_line(fs::path("/sys/block") / device.device.filename() /
                                            "loop/backing_file") == device.file;
         waited += 10) {
      pause_ms(10);
    }
    if (first_line(fs::path("/sys/block") / device.device.filename() / "loop/backing_file") ==
        device.file) {
      return faultfs::fail(fmt::format("{} still holds {}: somebody uses the file system on it",
                                       device.device.string(),
                                       device.file.string()));
    }
  }
  return {};
}

}  // namespace runner
