// One small file per `powercut mount`, named by its process; see registry_text for the form.

#include "runner/mount_registry.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <system_error>

#include <fmt/format.h>

#include "runner/processes.h"
#include "runner/sandbox.h"

namespace runner {
namespace {

using faultfs::fail;
using faultfs::Result;
using faultfs::Status;

std::filesystem::path registry_path() {
  const char* runtime =
      std::getenv("XDG_RUNTIME_DIR");  // NOLINT(concurrency-mt-unsafe): reads only
  if (runtime != nullptr && *runtime == '/') {
    return std::filesystem::path(runtime) / "powercut";
  }
  return geteuid() == 0 ? std::filesystem::path("/run/powercut")
                        : std::filesystem::path(fmt::format("/tmp/powercut-mounts-{}", geteuid()));
}

std::string registry_text(const std::string& owner, const MountEntry& entry) {
  return fmt::format("{}\n{}\n{}\n", owner, entry.directory.string(), entry.socket.string());
}

}  // namespace

Result<std::filesystem::path> registry_directory() {
  std::filesystem::path directory = registry_path();
  std::error_code error;
  std::filesystem::create_directories(directory.parent_path(), error);
  if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail(fmt::format("{}: the list of mounts cannot be kept here: {}",
                            directory.string(),
                            std::generic_category().message(errno)));
  }
  struct stat state {};
  if (lstat(directory.c_str(), &state) != 0 || !S_ISDIR(state.st_mode) ||
      state.st_uid != geteuid() || (state.st_mode & 0077) != 0) {
    return fail(directory.string() +
                ": the list of mounts cannot be kept here; allowed: a directory that is this "
                "user's alone (mode 0700)");
  }
  return directory;
}

Status register_mount(const MountEntry& entry) {
  const Result<std::filesystem::path> directory = registry_directory();
  if (!directory) {
    return fail(directory.error().message);
  }
  const std::filesystem::path file = *directory / std::to_string(getpid());
  std::ofstream out(file);
  out << registry_text(identity_of(getpid()), entry);
  out.flush();
  if (!out) {
    return fail(file.string() + ": the mount cannot be entered here");
  }
  return {};
}

void forget_mount() {
  std::error_code error;
  std::filesystem::remove(registry_path() / std::to_string(getpid()), error);
}

std::vector<RegistryFile> registry_files() {
  std::vector<RegistryFile> found;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(registry_path(), error)) {
    RegistryFile file;
    file.path = entry.path();
    std::ifstream in(entry.path());
    std::string directory;
    std::string socket;
    std::getline(in, file.owner);
    std::getline(in, directory);
    std::getline(in, socket);
    file.mount.pid = static_cast<pid_t>(std::strtol(file.owner.c_str(), nullptr, 10));
    file.mount.directory = directory;
    file.mount.socket = socket;
    found.push_back(std::move(file));
  }
  return found;
}

std::vector<MountEntry> live_mounts() {
  std::vector<MountEntry> found;
  for (const RegistryFile& file : registry_files()) {
    if (lives(file.owner)) {
      found.push_back(file.mount);
    }
  }
  return found;
}

}  // namespace runner
