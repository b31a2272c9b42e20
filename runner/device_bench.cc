// The same requests through several file systems, in turn, many short rounds: what one round of one
// side meets on a busy machine, the others meet, too; the median counts. Client and server are
// pinned to one CPU, all sides alike. Beside the wall clock stands the CPU time of both, which
// hangs on other processes much less; with one CPU the two tell the same.
//
// The device records all the while. Its log is emptied (power-on) between rounds, not in them.
// Reads are O_DIRECT, so that they reach the server on every side.

#include "runner/device_bench.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <map>
#include <memory>
#include <ostream>
#include <thread>

#include <fmt/format.h>

#include "faultfs/base/bytes.h"
#include "faultfs/base/random.h"
#include "faultfs/control/client.h"
#include "faultfs/mount/mount.h"
#include "scenarios/process/child.h"

namespace runner {
namespace {

namespace fs = std::filesystem;
using namespace faultfs;  // sizes

constexpr int cpu = 0;
constexpr std::uint64_t file_bytes = 64_MiB;
constexpr const char* passthrough_source = "/usr/share/doc/libfuse3-dev/examples/passthrough_ll.c";

struct Load {
  const char* name;
  bool reads, flushes, sequential;
  std::uint64_t block_bytes;
  int requests;  ///< of one round
};
constexpr std::array<Load, 4> loads = {{
    {"4K random write", false, false, false, 4096, 3000},
    {"4K write + fsync", false, true, false, 4096, 1500},
    {"128K sequential write", false, false, true, 128 * 1024, 250},
    {"4K random read", true, false, false, 4096, 3000},
}};

/// CPU time of a process so far; 0 for none.
double cpu_seconds(pid_t process) {
  clockid_t clock = CLOCK_PROCESS_CPUTIME_ID;
  timespec time{};
  const bool known = process == 0 || clock_getcpuclockid(process, &clock) == 0;
  return known && clock_gettime(clock, &time) == 0
             ? static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec)
             : 0;
}

void pin(bool to_one) {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  for (unsigned number = 0; number < CPU_SETSIZE; ++number) {
    if (!to_one || number == cpu) {
      CPU_SET(number, &cpus);
    }
  }
  sched_setaffinity(0, sizeof cpus, &cpus);
}

/// One file system with a file in it.
struct Side {
  std::string name;
  fs::path file;
  fs::path mount;                            ///< empty: nothing to unmount
  fs::path socket;                           ///< of the device
  std::unique_ptr<scenarios::Child> server;  ///< null: the kernel
  std::vector<double> wall, busy;            ///< requests per second, and per second of CPU time
};

double median(std::vector<double> values) {
  if (values.empty()) {
    return 0;
  }
  std::ranges::sort(values);
  return values[values.size() / 2];
}

class DeviceBench {
 public:
  DeviceBench(const DeviceBenchOptions& options, std::ostream& out) : options_(options), out_(out) {
    // LazyFS takes no path of a configuration with "-o" in it: no dash before what is drawn.
    std::string name = "/dev/shm/powercut-bench.XXXXXX";
    scratch_ = mkdtemp(name.data()) == nullptr ? fs::path() : fs::path(name);
  }
  DeviceBench(const DeviceBench&) = delete;
  DeviceBench& operator=(const DeviceBench&) = delete;
  ~DeviceBench() {
    for (auto& side : sides_) {
      end(side);
    }
    std::error_code ignored;
    fs::remove_all(scratch_, ignored);
  }

  int run() {
    if (auto possible = mount::can_mount(); !possible || scratch_.empty()) {
      out_ << "undecided, because "
           << (possible ? "nothing can be made in /dev/shm" : possible.error().message) << "\n";
      return 3;
    }
    add("tmpfs", [this](Side& side) { return start_tmpfs(side); });
    add("passthrough_ll", [this](Side& side) { return start_passthrough(side); });
    if (!options_.lazyfs.empty()) {
      add("LazyFS", [this](Side& side) { return start_lazyfs(side); });
    }
    if (!add("powercut", [this](Side& side) { return start_device(side); })) {
      return 3;
    }
    out_ << fmt::format("{:<24}", "requests/s, median");
    for (const auto& side : sides_) {
      out_ << fmt::format(" {:>15}", side.name);
    }
    out_ << "   powercut is, by wall clock (by CPU time)\n";
    for (const int threads : {1, 4}) {
      for (const Load& load : loads) {
        measure(load, threads);
      }
    }
    return 0;
  }

 private:
  template <typename Start>
  bool add(const std::string& name, const Start& start) {
    Side side;
    side.name = name;
    std::string trouble = start(side);
    if (trouble.empty()) {
      trouble = fill(side.file);
    }
    if (!trouble.empty()) {
      out_ << fmt::format("undecided: {}, because {}\n", name, trouble);
      end(side);
      return false;
    }
    sides_.push_back(std::move(side));
    return true;
  }

  static std::string fill(const fs::path& file) {
    const int descriptor = open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    const Bytes block(1_MiB, std::byte{1});
    bool good = descriptor >= 0;
    for (std::uint64_t at = 0; good && at < file_bytes; at += block.size()) {
      good = pwrite(descriptor, block.data(), block.size(), static_cast<off_t>(at)) ==
             static_cast<ssize_t>(block.size());
    }
    close(descriptor);
    return good ? "" : file.string() + " cannot be filled";
  }

  fs::path made(const char* name) const {
    fs::create_directories(scratch_ / name);
    return scratch_ / name;
  }

  std::string start_tmpfs(Side& side) {
    side.file = made("tmpfs") / "disk";
    return {};
  }

  /// Starts a server, and waits until something is mounted on `side.mount`.
  std::string serve(Side& side, const fs::path& program, std::vector<std::string> arguments) {
    const fs::path output = scratch_ / (side.name + ".out");
    auto child = scenarios::Child::start(
        {.program = program, .arguments = std::move(arguments), .output = output, .pin_cpu = cpu});
    if (!child) {
      return child.error().message;
    }
    side.server = std::move(*child);
    struct stat parent {};
    stat(scratch_.c_str(), &parent);
    for (int waited = 0; waited < 200; ++waited) {
      struct stat root {};
      if (stat(side.mount.c_str(), &root) == 0 && root.st_dev != parent.st_dev) {
        return {};
      }
      if (side.server->wait(0.05)) {
        break;
      }
    }
    std::ifstream said(output);
    std::string line;
    std::getline(said, line);
    return fmt::format("{} did not mount: {}", program.string(), line);
  }

  std::string start_passthrough(Side& side) {
    const fs::path program = scratch_ / "passthrough_ll";
    const std::string command = fmt::format("cc -O2 -o {} {} $(pkg-config fuse3 --cflags --libs)",
                                            program.string(),
                                            passthrough_source);
    auto compiler = scenarios::Child::start({.program = "/bin/sh", .arguments = {"-c", command}});
    const auto end = compiler ? (*compiler)->wait(120) : std::nullopt;
    if (!end || end->signal != 0 || end->code != 0) {
      return fmt::format("{} cannot be compiled (package libfuse3-dev)", passthrough_source);
    }
    side.mount = made("passthrough");
    side.file = side.mount / "disk";
    return serve(
        side, program, {"-f", "-o", "source=" + made("source").string(), side.mount.string()});
  }

  std::string start_lazyfs(Side& side) {
    side.mount = made("lazyfs");
    side.file = side.mount / "disk";
    const fs::path config = scratch_ / "lazyfs.toml";
    std::ofstream(config) << fmt::format(
        "[faults]\nfifo_path=\"{0}/lazyfs.fifo\"\n[cache]\napply_eviction=false\n[cache.simple]\n"
        "custom_size=\"0.5GB\"\nblocks_per_page=1\n[filesystem]\nlog_all_operations=false\n"
        "logfile=\"\"\n",
        scratch_.string());
    return serve(side,
                 fs::absolute(options_.lazyfs),
                 {side.mount.string(),
                  "--config-path",
                  config.string(),
                  "-o",
                  "modules=subdir",
                  "-o",
                  "subdir=" + made("lazyroot").string(),
                  "-f"});
  }

  std::string start_device(Side& side) {
    side.mount = made("powercut");
    side.file = side.mount / "disk";
    side.socket = scratch_ / "control.sock";
    return serve(side,
                 fs::read_symlink("/proc/self/exe"),
                 {"mount",
                  side.mount.string(),
                  "--disk",
                  fmt::format("disk:{}", file_bytes),
                  "--socket",
                  side.socket.string()});
  }

  static void end(Side& side) {
    if (!side.mount.empty()) {
      umount2(side.mount.c_str(), MNT_DETACH);
    }
    if (side.server) {
      side.server->send(SIGTERM);
      side.server->wait(5);
      side.server->kill();
    }
  }

  void measure(const Load& load, int threads) {
    for (auto& side : sides_) {
      side.wall.clear();
      side.busy.clear();
    }
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(options_.seconds);
    pin(true);
    do {
      for (auto& side : sides_) {
        round(side, load, threads);
      }
    } while (std::chrono::steady_clock::now() < until);
    pin(false);
    print(load, threads);
  }

  /// One round on one side, from the opening of the file on: a power-on fences older handles.
  void round(Side& side, const Load& load, int threads) {
    if (!side.socket.empty()) {
      (void)control::request(side.socket, "power-on");
    }
    const int direct = load.reads ? O_DIRECT : 0;
    int file = open(side.file.c_str(), O_RDWR | O_CLOEXEC | direct);
    file = file < 0 ? open(side.file.c_str(), O_RDWR | O_CLOEXEC) : file;
    const pid_t server = side.server ? side.server->pid() : 0;
    const double cpu_before = cpu_seconds(0) + (server == 0 ? 0 : cpu_seconds(server));
    const auto before = std::chrono::steady_clock::now();
    std::atomic<bool> good = true;
    std::vector<std::thread> clients;
    for (int thread = 0; thread < threads; ++thread) {
      clients.emplace_back(
          [&, thread] { good = ask(file, load, thread, load.requests / threads) && good; });
    }
    for (auto& client : clients) {
      client.join();
    }
    const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - before;
    const double busy = cpu_seconds(0) + (server == 0 ? 0 : cpu_seconds(server)) - cpu_before;
    close(file);
    if (good) {
      side.wall.push_back(load.requests / wall.count());
      side.busy.push_back(load.requests / busy);
    }
  }

  static bool ask(int file, const Load& load, int thread, int requests) {
    Random random(static_cast<std::uint64_t>(thread) + 1);
    const std::unique_ptr<std::byte, decltype(&std::free)> block(
        static_cast<std::byte*>(std::aligned_alloc(4096, load.block_bytes)), &std::free);
    std::fill_n(block.get(), load.block_bytes, std::byte{0x5a});
    const std::uint64_t blocks = file_bytes / load.block_bytes;
    bool good = true;
    for (int request = 0; request < requests && good; ++request) {
      const std::uint64_t number = load.sequential
                                       ? static_cast<std::uint64_t>(thread * requests + request)
                                       : random.below(blocks);
      const auto at = static_cast<off_t>(number % blocks * load.block_bytes);
      const ssize_t done = load.reads ? pread(file, block.get(), load.block_bytes, at)
                                      : pwrite(file, block.get(), load.block_bytes, at);
      good = done == static_cast<ssize_t>(load.block_bytes) && (!load.flushes || fsync(file) == 0);
    }
    return good;
  }

  void print(const Load& load, int threads) {
    out_ << fmt::format("{:<21} x{} ", load.name, threads);
    for (const auto& side : sides_) {
      out_ << fmt::format(" {:>15.0f}", median(side.wall));
    }
    const Side& own = sides_.back();
    out_ << "  ";
    for (const auto& side : sides_) {
      if (&side != &own && median(side.wall) > 0) {
        out_ << fmt::format(" {:.2f} ({:.2f}) of {}",
                            median(own.wall) / median(side.wall),
                            median(own.busy) / median(side.busy),
                            side.name);
      }
    }
    out_ << "\n";
    out_.flush();
  }

  const DeviceBenchOptions& options_;
  std::ostream& out_;
  fs::path scratch_;
  std::vector<Side> sides_;
};

}  // namespace

int bench_device(const DeviceBenchOptions& options, std::ostream& out) {
  return DeviceBench(options, out).run();
}

}  // namespace runner
