#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "faultfs/base/result.h"

namespace runner {

struct SandboxOptions {
  /// Most that the private /dev/shm (shared memory and scratch files) may hold; 0: the kernel's
  /// default, half of the memory.
  std::uint64_t shared_memory_bytes_max = 0;
  int pin_cpu = -1;  ///< CPU of the worker and of all it starts; -1: not pinned
};

/// What a worker has for itself: process, mount and network namespaces (with a loopback interface),
/// and an empty /dev/shm. All of it, with every process, mount, shared-memory object and file below
/// `scratch`, goes when the worker ends, however it ends.
struct Sandbox {
  std::filesystem::path scratch;          ///< a directory of the private /dev/shm
  std::filesystem::path mount_directory;  ///< below it, empty: for faultfs::mount
  std::filesystem::path work_directory;   ///< below it, empty: for the cache's files
  bool user_namespace = false;     ///< true: started without root; no other users exist inside
  std::vector<std::string> notes;  ///< what could not be had and was not needed
};

/// Moves the calling process, which must be freshly forked and have one thread, into a sandbox. It
/// returns in a *new* process of it: the caller stays behind as its keeper and ends as it ends, and
/// a small init reaps orphans. Error (returned in the caller itself): what is missing, fit for
/// "undecided, because …". `start_worker` is the ordinary way to call this.
[[nodiscard]] faultfs::Result<Sandbox> enter_sandbox(const SandboxOptions& options);

/// Ok where `enter_sandbox` would succeed; tried in a child. Error: as its own.
[[nodiscard]] faultfs::Status can_sandbox();

/// How a worker ended.
struct WorkerEnd {
  int signal = 0;  ///< 0: it exited
  int code = 0;
  [[nodiscard]] bool operator==(const WorkerEnd&) const = default;
};

/// A forked worker process and the socket to it. The destructor kills it and waits for its end.
class Worker {
 public:
  Worker(Worker&& other) noexcept;
  Worker& operator=(Worker&& other) noexcept;
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker();

  /// The process to wait for (the keeper). Killing it takes the whole sandbox along.
  [[nodiscard]] pid_t pid() const { return pid_; }
  /// Our end of a stream socket; end of file when the worker and all that hold its end are gone.
  [[nodiscard]] int descriptor() const { return descriptor_; }
  /// Set once the worker has ended; reaps it.
  [[nodiscard]] std::optional<WorkerEnd> poll();
  /// Waits for the end.
  WorkerEnd wait();
  /// SIGKILL to the worker and everything it started; waits until they are gone.
  WorkerEnd kill();

 private:
  friend faultfs::Result<Worker> start_worker(
      const SandboxOptions& options,
      const std::function<int(const faultfs::Result<Sandbox>&, int)>& work);
  Worker(pid_t pid, int descriptor) : pid_(pid), descriptor_(descriptor) {}
  pid_t pid_ = -1;
  int descriptor_ = -1;
  std::optional<WorkerEnd> end_;
};

/// Forks a worker that calls `work` with its sandbox (or why there is none: memory devices need
/// none) and its end of the socket, and exits with what `work` returns. All descriptors but 0, 1, 2
/// and the socket are closed in it. Call it from a process that has one thread only, and from the
/// main thread: the kernel ends workers when the thread that forked them ends.
[[nodiscard]] faultfs::Result<Worker> start_worker(
    const SandboxOptions& options,
    const std::function<int(const faultfs::Result<Sandbox>&, int)>& work);

/// "powercut-<pid>-<what>": the name of anything outside a sandbox (a temporary directory, a
/// shared-memory object) that must be found when this process is killed. Two processes with the
/// same pid in different namespaces share names: outside a sandbox only.
[[nodiscard]] std::string scratch_name(std::string_view what);

/// A `powercut mount` in the user's own mount namespace, as others find it.
struct MountEntry {
  pid_t pid = -1;                   ///< the process that serves it
  std::filesystem::path directory;  ///< where it is mounted
  std::filesystem::path socket;     ///< its control socket
};

/// Where entries are kept, private to the user: $XDG_RUNTIME_DIR/powercut, /run/powercut (root) or
/// /tmp/powercut-mounts-<uid>. Created on demand.
[[nodiscard]] faultfs::Result<std::filesystem::path> registry_directory();
/// Adds the entry of this process, whatever `entry.pid` says; `forget_mount` removes it again.
[[nodiscard]] faultfs::Status register_mount(const MountEntry& entry);
void forget_mount();
/// The entries whose process is alive.
[[nodiscard]] std::vector<MountEntry> live_mounts();

/// Something a killed powercut left behind.
struct Leftover {
  enum class Kind { loop, mount, process, registry_entry, shared_memory, directory };
  Kind kind = Kind::mount;
  std::filesystem::path path;  ///< mount point (also of a loop device), registry file, object, …
  pid_t pid = -1;              ///< of a process
  std::string text;            ///< "mount /mnt/pc: its server (pid 4711) is dead"
};

/// What earlier, dead runs left on this machine, in the order in which to remove it. Only things
/// that carry powercut's names and whose owner is dead; never those of a living run.
[[nodiscard]] std::vector<Leftover> leftovers();

/// Removes them; returns a sentence for each that could not be.
[[nodiscard]] std::vector<std::string> clean_leftovers();

}  // namespace runner
