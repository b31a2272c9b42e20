// What a killed powercut can leave. Campaign workers live in sandboxes, which leave nothing; this
// finds what runs outside one: `powercut mount`, and a harness where no sandbox can be made.
//
//   mount            type fuse.powercut whose server is gone: it answers ENOTCONN. One that does
//   not
//                    answer at all may be stopped in a debugger: it is dead only if the registry
//                    says that its process is.
//   loop device      whose file lies in such a mount, with what is mounted from it: it goes before.
//   process          the keeper of a worker whose parent is not the program that forked it; any
//                    process that carries the mark of a harness that is dead.
//   registry entry   of a dead process.
//   shared memory,   named powercut-<pid>-… (`scratch_name`) with a dead pid, of this user. Others
//   directory        called powercut-… may be anybody's, and stay. Squid names its own objects
//   after
//                    the service we give it, powercut<pid>n<k>-…, and they belong to its user: root
//                    removes them for whomever.

#include <fcntl.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <ctime>
#include <fstream>
#include <optional>
#include <sstream>
#include <system_error>

#include <fmt/format.h>

#include "runner/loop_devices.h"
#include "runner/mount_registry.h"
#include "runner/processes.h"
#include "runner/sandbox.h"

namespace runner {
namespace {

constexpr std::string_view prefix = "powercut-";
constexpr std::string_view squid_prefix = "powercut";

enum class Answer { answers, disconnected, silent };

/// Asks the file system at `path` for its size, in a child, because the answer may never come.
Answer ask(const std::filesystem::path& path) {
  const pid_t child = fork();
  if (child == 0) {
    struct statfs state {};
    _exit(statfs(path.c_str(), &state) != 0 && errno == ENOTCONN ? 1 : 0);
  }
  for (int tries = 0; child > 0 && tries < 1000; ++tries) {
    int status = 0;
    if (waitpid(child, &status, WNOHANG) == child) {
      return WIFEXITED(status) && WEXITSTATUS(status) == 1 ? Answer::disconnected : Answer::answers;
    }
    const timespec pause{0, 1'000'000};
    nanosleep(&pause, nullptr);
  }
  if (child > 0) {
    kill(child, SIGKILL);
  }
  return Answer::silent;
}

/// mountinfo writes blanks and such in paths as \ooo.
std::filesystem::path unescaped(const std::string& text) {
  std::string plain;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\\' && at + 3 < text.size()) {
      plain.push_back(static_cast<char>(std::stoi(text.substr(at + 1, 3), nullptr, 8)));
      at += 3;
    } else {
      plain.push_back(text[at]);
    }
  }
  return plain;
}

std::vector<std::filesystem::path> device_mounts() {
  constexpr int path_field = 5;
  std::vector<std::filesystem::path> found;
  std::ifstream in("/proc/self/mountinfo");
  for (std::string line; std::getline(in, line);) {
    if (line.find(" - fuse.powercut ") == std::string::npos) {
      continue;
    }
    std::istringstream fields(line);
    std::string field;
    for (int number = 1; number <= path_field; ++number) {
      fields >> field;
    }
    found.push_back(unescaped(field));
  }
  return found;
}

void find_mounts(std::vector<Leftover>& found) {
  const std::vector<RegistryFile> known = registry_files();
  for (const std::filesystem::path& path : device_mounts()) {
    const auto entry = std::find_if(known.begin(), known.end(), [&](const RegistryFile& file) {
      return file.mount.directory == path;
    });
    const Answer answer = ask(path);
    const bool registered_dead = entry != known.end() && !lives(entry->owner);
    if (answer == Answer::disconnected || (answer == Answer::silent && registered_dead)) {
      for (const LoopDevice& loop : loop_devices_on(path)) {  // they go first
        found.push_back({Leftover::Kind::loop,
                         path,
                         -1,
                         fmt::format("{} on {}: the process that served it is dead",
                                     loop.device.string(),
                                     loop.file.string())});
      }
      found.push_back({Leftover::Kind::mount,
                       path,
                       -1,
                       fmt::format("mount {}: the process that served it is dead", path.string())});
    }
  }
}

void find_registry_files(std::vector<Leftover>& found) {
  for (const RegistryFile& file : registry_files()) {
    if (!lives(file.owner)) {
      found.push_back({Leftover::Kind::registry_entry,
                       file.path,
                       file.mount.pid,
                       fmt::format("entry {} of a mount at {}: its process is dead",
                                   file.path.string(),
                                   file.mount.directory.string())});
    }
  }
}

bool is_worker_name(const std::string& name) {
  return name == "powercut-keeper" || name == "powercut-init" || name == "powercut-worker";
}

void find_processes(const std::vector<Process>& processes, std::vector<Leftover>& found) {
  for (const Process& process : processes) {
    if (process.zombie || process.pid == getpid()) {
      continue;
    }
    const auto parent = std::find_if(processes.begin(), processes.end(), [&](const Process& other) {
      return other.pid == process.parent;
    });
    const bool orphan = is_worker_name(process.name) &&
                        (parent == processes.end() || parent->program != process.program);
    const bool owner_dead = !process.owner.empty() && !lives(process.owner);
    if (orphan || owner_dead) {
      found.push_back({Leftover::Kind::process,
                       process.program,
                       process.pid,
                       fmt::format("process {} ({}): the powercut that started it is dead",
                                   process.pid,
                                   process.name)});
    }
  }
}

/// The number at the front of `text`, which is taken off with the `behind` that must follow it.
std::optional<pid_t> take_number(std::string_view& text, char behind) {
  pid_t number = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || number <= 0 || end == text.data() + text.size() || *end != behind) {
    return std::nullopt;
  }
  text.remove_prefix(static_cast<std::size_t>(end - text.data()) + 1);
  return number;
}

/// The pid in "powercut-<pid>-…".
std::optional<pid_t> pid_in(std::string_view name) {
  name.remove_prefix(prefix.size());
  return take_number(name, '-');
}

/// The pid in "powercut<pid>n<k>-…".
std::optional<pid_t> pid_in_service(std::string_view name) {
  name.remove_prefix(squid_prefix.size());
  const auto pid = take_number(name, 'n');
  return pid && take_number(name, '-') ? pid : std::nullopt;
}

bool is_dead(pid_t pid) {
  return kill(pid, 0) != 0 && errno == ESRCH;
}

// NOLINTNEXTLINE(readability-function-cognitive-complexity): one loop over a list of cases.
void find_files(const std::filesystem::path& directory, std::vector<Leftover>& found) {
  const bool shared_memory = directory == "/dev/shm";
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename().string();
    struct stat state {};
    if (!name.starts_with(squid_prefix) || lstat(entry.path().c_str(), &state) != 0) {
      continue;
    }
    const bool object = shared_memory && S_ISREG(state.st_mode);
    const bool ours = name.starts_with(prefix);
    const bool owned = state.st_uid == geteuid() || (!ours && geteuid() == 0);
    if (!owned || (!ours && !object)) {
      continue;
    }
    const std::optional<pid_t> pid = ours ? pid_in(name) : pid_in_service(name);
    if (pid && is_dead(*pid)) {
      found.push_back({object ? Leftover::Kind::shared_memory : Leftover::Kind::directory,
                       entry.path(),
                       *pid,
                       fmt::format("{} {}: its owner is dead",
                                   object ? "shared memory" : "directory",
                                   entry.path().string())});
    }
  }
}

/// As a user without the right to unmount: by the program that has it.
bool unmount_by_helper(const std::filesystem::path& path) {
  std::string program = "fusermount3";
  std::string flags = "-uz";
  std::string where = path.string();
  const std::array<char*, 4> arguments = {program.data(), flags.data(), where.data(), nullptr};
  pid_t child = -1;
  int status = 0;
  return posix_spawnp(&child, program.c_str(), nullptr, nullptr, arguments.data(), environ) == 0 &&
         waitpid(child, &status, 0) == child && status == 0;
}

bool remove(const Leftover& leftover) {
  std::error_code error;
  switch (leftover.kind) {
    case Leftover::Kind::loop:
      return take_down(loop_devices_on(leftover.path)).has_value();
    case Leftover::Kind::mount:
      return umount2(leftover.path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0 ||
             unmount_by_helper(leftover.path);
    case Leftover::Kind::process:
      return kill(leftover.pid, SIGKILL) == 0 || errno == ESRCH;
    case Leftover::Kind::registry_entry:
    case Leftover::Kind::shared_memory:
      return std::filesystem::remove(leftover.path, error) || !error;
    case Leftover::Kind::directory:
      std::filesystem::remove_all(leftover.path, error);
      return !error;
  }
  return false;
}

}  // namespace

std::string scratch_name(std::string_view what) {
  return fmt::format("{}{}-{}", prefix, getpid(), what);
}

std::vector<Leftover> leftovers() {
  std::vector<Leftover> found;
  const std::vector<Process> processes = all_processes();
  find_processes(processes, found);
  find_mounts(found);  // before the directories they are mounted on
  find_registry_files(found);
  std::error_code error;
  const std::filesystem::path temporary = std::filesystem::temp_directory_path(error);
  find_files("/dev/shm", found);
  if (!error && temporary != "/dev/shm") {
    find_files(temporary, found);
  }
  return found;
}

std::vector<std::string> clean_leftovers() {
  std::vector<std::string> troubles;
  for (const Leftover& leftover : leftovers()) {
    if (!remove(leftover)) {
      troubles.push_back(leftover.text +
                         ", and could not be removed: " + std::generic_category().message(errno));
    }
  }
  return troubles;
}

}  // namespace runner
