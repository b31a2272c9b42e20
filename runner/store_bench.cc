// Every put is durable when it is acknowledged (O_DSYNC): a file on a real disk shows what that
// costs, tmpfs what the engine itself costs.

#include "runner/store_bench.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <ostream>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "engine/base/random.h"
#include "engine/cyclone/document.h"
#include "engine/service/client.h"
#include "runner/bench_measures.h"
#include "scenarios/process/child.h"
#include "scenarios/targets/engine_target.h"

namespace runner {
namespace {

namespace fs = std::filesystem;
namespace cyclone = engine::cyclone;
using Clock = std::chrono::steady_clock;

constexpr std::uint64_t store_bytes = 1ULL << 30U;
constexpr std::size_t keys_each = 64;  ///< of one client

/// `cache-engine serve` on a new disk, until this object goes.
class Served {
 public:
  static engine::Result<std::unique_ptr<Served>> start(const fs::path& directory) {
    auto served = std::unique_ptr<Served>(new Served(directory));
    const auto program = scenarios::find_engine_program({});
    if (!program || !served->disk_.ok()) {
      return engine::fail(engine::Trouble::device,
                          program ? fmt::format("no disk can be made in {}", directory.string())
                                  : program.error().message);
    }
    scenarios::ChildOptions options;
    options.program = *program;
    options.arguments = {"serve",
                         "--store",
                         "cyclone",
                         "--disk",
                         served->disk_.path().string(),
                         "--socket",
                         served->socket_.string()};
    auto child = scenarios::Child::start(options);
    if (!child) {
      return engine::fail(engine::Trouble::device, child.error().message);
    }
    served->child_ = std::move(*child);
    constexpr int patience = 1000;
    for (int n = 0; n < patience && !served->connect(); ++n) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return served;
  }
  ~Served() {
    child_.reset();
    std::error_code ignored;
    fs::remove(socket_, ignored);
  }
  Served(const Served&) = delete;
  Served& operator=(const Served&) = delete;
  Served(Served&&) = delete;
  Served& operator=(Served&&) = delete;

  /// Null: nobody answers.
  [[nodiscard]] std::unique_ptr<engine::Store> connect() const {
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    socket_.native().copy(static_cast<char*>(address.sun_path), sizeof address.sun_path - 1);
    const int socket = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      ::close(socket);
      return nullptr;
    }
    return engine::service::connect_client(socket);
  }
  /// User and system time of the engine so far.
  [[nodiscard]] double cpu() const {
    clockid_t clock = 0;
    timespec now = {};
    if (clock_getcpuclockid(child_->pid(), &clock) != 0 || clock_gettime(clock, &now) != 0) {
      return 0;
    }
    return seconds_of(now);
  }

 private:
  explicit Served(const fs::path& directory)
      : disk_(directory, store_bytes),
        socket_(fs::temp_directory_path() / fmt::format("powercut-bench-{}.sock", getpid())) {}

  ScratchFile disk_;
  fs::path socket_;
  std::unique_ptr<scenarios::Child> child_;
};

std::string key_name(std::size_t client, std::size_t number) {
  return fmt::format("c{}-{}", client, number % keys_each);
}

/// One client's requests until `until`; how many were done.
std::uint64_t work(engine::Store& store,
                   std::size_t client,
                   const std::vector<std::byte>& body,
                   bool puts,
                   Clock::time_point until) {
  std::uint64_t done = 0;
  engine::GetReply reply;
  for (std::size_t n = 0; Clock::now() < until; ++n) {
    const std::string key = key_name(client, n);
    if (puts) {
      const auto upload = store.begin_put(key, "h", body.size());
      if (!upload || !store.append(*upload, body) || !store.commit(*upload)) {
        break;
      }
    } else if (!store.get(key, {}, reply) || !reply.hit) {
      break;
    }
    ++done;
  }
  return done;
}

/// What a checksum over `bytes` costs, alone.
double checksum_seconds(const std::vector<std::byte>& body) {
  constexpr int times = 2000;
  std::uint64_t sum = 0;
  const double began = cpu_seconds();
  for (int n = 0; n < times; ++n) {
    sum ^= cyclone::content_checksum(body) + static_cast<std::uint64_t>(n);
  }
  const volatile std::uint64_t kept = sum;
  static_cast<void>(kept);
  return (cpu_seconds() - began) / times;
}

struct Load {
  std::size_t body_bytes;
  std::size_t clients;
};

void measure(
    const Served& served, const Load& load, double seconds, const char* where, std::ostream& out) {
  std::vector<std::byte> body(load.body_bytes);
  engine::Random random(load.body_bytes);
  for (std::byte& byte : body) {
    byte = static_cast<std::byte>(random.next());
  }
  std::vector<std::unique_ptr<engine::Store>> stores;
  for (std::size_t client = 0; client < load.clients; ++client) {
    stores.push_back(served.connect());
    for (std::size_t n = 0; stores.back() && n < keys_each; ++n) {
      const auto upload = stores.back()->begin_put(key_name(client, n), "h", body.size());
      static_cast<void>(upload && stores.back()->append(*upload, body) &&
                        stores.back()->commit(*upload));
    }
  }
  const double checksum = checksum_seconds(body);
  for (const bool puts : {true, false}) {
    const auto until = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                          std::chrono::duration<double>(seconds));
    const auto began = Clock::now();
    const double cpu = served.cpu();
    std::atomic<std::uint64_t> done = 0;
    std::vector<std::thread> threads;
    for (std::size_t client = 0; client < load.clients; ++client) {
      threads.emplace_back([&, client] {
        if (stores[client]) {
          done += work(*stores[client], client, body, puts, until);
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    const double spent = seconds_since(began), used = served.cpu() - cpu;
    const auto count = static_cast<double>(done);
    out << fmt::format("{:<7} {:<4} {:>6} KiB {:>8} {:>10.0f} {:>10.0f} {:>12.1f} {:>10.1f}%\n",
                       where,
                       puts ? "put" : "get",
                       load.body_bytes >> 10U,
                       load.clients,
                       count / spent,
                       count * static_cast<double>(load.body_bytes) / spent / (1U << 20U),
                       1e6 * used / std::max(count, 1.0),
                       100 * checksum * count / std::max(used, 1e-9));
    out.flush();
  }
}

}  // namespace

int bench_stores(std::uint32_t seconds, std::ostream& out) {
  constexpr Load loads[] = {{16 << 10, 1}, {16 << 10, 16}, {256 << 10, 1}, {256 << 10, 16}};
  const std::pair<const char*, fs::path> places[] = {{"tmpfs", "/dev/shm"},
                                                     {"file", fs::temp_directory_path()}};
  out << "cache-engine serve --store cyclone, 1 GiB; puts are durable when acknowledged\n";
  out << fmt::format("{:<7} {:<4} {:>10} {:>8} {:>10} {:>10} {:>12} {:>11}\n",
                     "disk",
                     "what",
                     "body",
                     "clients",
                     "per second",
                     "MiB/s",
                     "engine us",
                     "checksums");
  int code = 0;
  const double each = static_cast<double>(seconds) / (2.0 * std::size(loads) * std::size(places));
  for (const auto& [where, directory] : places) {
    const auto served = Served::start(directory);
    if (!served) {
      out << fmt::format("{:<7} undecided, because {}\n", where, served.error().message);
      code = 3;
      continue;
    }
    for (const Load& load : loads) {
      measure(**served, load, each, where, out);
    }
  }
  out << "engine us: CPU time of the engine for one request; checksums: share of it that hashing "
         "the\n"
         "same bytes once takes, measured alone\n";
  return code;
}

}  // namespace runner
