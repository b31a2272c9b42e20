// Everything is done by the programs that users have for it, in processes of their own: opening the
// file here would be a descriptor inside our own mount.
//
// A program that dies leaves its file system mounted, and the kernel goes on with what the program
// wrote. So nothing is lost by a kill: unmounting writes it out, as an unmount before a reboot
// does. What a power cut would have lost are the crash states of every point of the log, before
// that and in the middle of it.
#include "scenarios/targets/loop_disk.h"

#include <stdlib.h>  // NOLINT(modernize-deprecated-headers): mkstemp
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <system_error>

#include <fmt/format.h>

#include "scenarios/process/child.h"

namespace scenarios {
namespace {

namespace fs = std::filesystem;
using faultfs::fail;

constexpr const char* losetup = "/usr/sbin/losetup";
constexpr const char* mkfs = "/usr/sbin/mkfs.ext4";
constexpr const char* mount = "/usr/bin/mount";
constexpr const char* umount = "/usr/bin/umount";
constexpr double program_seconds = 20;

std::string without_line_end(std::string text) {
  text.erase(text.find_last_not_of(" \n") + 1);
  return text;
}

}  // namespace

faultfs::Result<std::string> run_program(const fs::path& program,
                                         const std::vector<std::string>& arguments) {
  std::string output = (fs::temp_directory_path() / "powercut-output-XXXXXX").string();
  const int file = ::mkstemp(output.data());
  if (file < 0) {
    return fail("no temporary file can be made: " + std::generic_category().message(errno));
  }
  ::close(file);
  ChildOptions options;
  options.program = program;
  options.arguments = arguments;
  options.output = output;
  const auto child = Child::start(options);
  const auto exit = child ? (*child)->wait(program_seconds) : std::nullopt;
  std::ostringstream text;
  text << std::ifstream(output).rdbuf();
  ::unlink(output.c_str());
  if (!child) {
    return fail(child.error().message);
  }
  if (!exit) {
    return fail(fmt::format("{} did not end within {} s", program.string(), program_seconds));
  }
  if (exit->signal != 0 || exit->code != 0) {
    return fail(fmt::format("{}: {}", program.filename().string(), without_line_end(text.str())));
  }
  return without_line_end(text.str());
}

faultfs::Result<std::unique_ptr<LoopDisk>> LoopDisk::attach(const fs::path& file) {
  auto device = run_program(losetup, {"--find", "--show", file.string()});
  if (!device) {
    return fail(device.error().message);
  }
  return std::unique_ptr<LoopDisk>(new LoopDisk(*device));
}

LoopDisk::~LoopDisk() {
  if (!mounted_on_.empty() && !run_program(umount, {mounted_on_.string()})) {
    static_cast<void>(run_program(umount, {"--lazy", mounted_on_.string()}));
  }
  static_cast<void>(run_program(losetup, {"--detach", device_.string()}));
}

faultfs::Status LoopDisk::mount_ext4(const fs::path& directory, const std::string& options) {
  std::error_code error;
  fs::create_directories(directory, error);
  // The journal is replayed here.
  const auto try_mount = [&] {
    return run_program(mount, {"-t", "ext4", "-o", options, device_.string(), directory.string()});
  };
  auto mounted = try_mount();
  if (!mounted) {
    auto made = run_program(mkfs,
                            {"-q",
                             "-F",
                             "-b",
                             "4096",
                             "-N",
                             "512",
                             "-E",
                             "nodiscard,lazy_itable_init=0,lazy_journal_init=1",
                             device_.string()});
    mounted = made ? try_mount() : std::move(made);
  }
  if (!mounted) {
    return fail(mounted.error().message);
  }
  mounted_on_ = directory;
  return {};
}

faultfs::Status loop_disks_available() {
  if (::geteuid() != 0) {
    return fail("loop devices and mounts need root");
  }
  if (::access("/dev/loop-control", W_OK) != 0) {
    return fail("there is no /dev/loop-control: loop devices are not to be had here");
  }
  for (const auto& [program, package] : {std::pair{losetup, "mount"},
                                         std::pair{mount, "mount"},
                                         std::pair{umount, "mount"},
                                         std::pair{mkfs, "e2fsprogs"}}) {
    if (::access(program, X_OK) != 0) {
      return fail(fmt::format("{} is not installed: apt-get install {}", program, package));
    }
  }
  return {};
}

}  // namespace scenarios
