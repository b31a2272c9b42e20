#include "runner/pool.h"

#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "faultfs/base/check.h"
#include "runner/messages.h"

namespace runner {
namespace {

constexpr std::size_t jobs_max = 256;
constexpr std::chrono::seconds end_max{10};

int cpu_of(std::size_t number) {
  const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
  return cpus > 0 ? static_cast<int>(number % static_cast<std::size_t>(cpus)) : -1;
}

/// How a worker that closed its socket ended; one that goes on without it is killed.
WorkerEnd end_of(Worker& worker) {
  const auto deadline = std::chrono::steady_clock::now() + end_max;
  while (std::chrono::steady_clock::now() < deadline) {
    if (auto end = worker.poll()) {
      return *end;
    }
    // pause: the end of a worker has no descriptor to wait for; the loop is bounded
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return worker.kill();
}

}  // namespace

Pool::Pool(Work work) : work_(std::move(work)) {
  void* shared = mmap(nullptr,
                      sizeof(Whereabouts) * jobs_max,
                      PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS,
                      -1,
                      0);
  POWERCUT_CHECK(shared != MAP_FAILED, "a shared page for the workers' whereabouts");
  where_ = static_cast<Whereabouts*>(shared);
}

Pool::~Pool() {
  slots_.clear();
  munmap(where_, sizeof(Whereabouts) * jobs_max);
}

faultfs::Result<std::unique_ptr<Pool>> Pool::create(int jobs, Work work) {
  std::unique_ptr<Pool> pool(new Pool(std::move(work)));
  pool->slots_.resize(
      std::clamp<std::size_t>(static_cast<std::size_t>(std::max(jobs, 1)), 1, jobs_max));
  for (std::size_t number = 0; number < pool->slots_.size(); ++number) {
    if (auto status = pool->start(number); !status) {
      return faultfs::fail(status.error().message);
    }
  }
  return pool;
}

faultfs::Status Pool::start(std::size_t number) {
  SandboxOptions options;
  options.pin_cpu = cpu_of(number);
  auto worker =
      start_worker(options, [this, number](const faultfs::Result<Sandbox>& sandbox, int socket) {
        while (auto task = receive_message(socket)) {
          if (!send_message(socket, work_(*task, sandbox, cpu_of(number), where_[number]))) {
            return 1;
          }
        }
        return 0;
      });
  if (!worker) {
    return faultfs::fail(worker.error().message);
  }
  slots_[number].worker = std::move(*worker);
  slots_[number].task.reset();
  return {};
}

std::optional<std::size_t> Pool::idle() const {
  for (std::size_t number = 0; number < slots_.size(); ++number) {
    if (!slots_[number].task) {
      return number;
    }
  }
  return std::nullopt;
}

bool Pool::busy() const {
  return std::ranges::any_of(slots_, [](const Slot& slot) { return slot.task.has_value(); });
}

void Pool::give(std::size_t worker, nlohmann::json task) {
  where_[worker] = {};  // of the task before, perhaps of another history
  // A send that fails means that the worker is dead: `wait` will see that too.
  send_message(slots_[worker].worker->descriptor(), task);
  slots_[worker].task = std::move(task);
}

// NOLINTNEXTLINE(readability-function-*): an answer, an end, or neither, for whoever is first.
std::optional<PoolEvent> Pool::wait(int milliseconds) {
  std::vector<pollfd> polled;
  std::vector<std::size_t> numbers;
  for (std::size_t number = 0; number < slots_.size(); ++number) {
    if (slots_[number].task) {
      polled.push_back({slots_[number].worker->descriptor(), POLLIN, 0});
      numbers.push_back(number);
    }
  }
  if (poll(polled.data(), polled.size(), milliseconds) <= 0) {
    return std::nullopt;
  }
  for (std::size_t at = 0; at < polled.size(); ++at) {
    if (polled[at].revents == 0) {
      continue;
    }
    Slot& slot = slots_[numbers[at]];
    PoolEvent event;
    event.worker = numbers[at];
    event.task = std::move(*slot.task);
    slot.task.reset();
    event.answer = receive_message(polled[at].fd);
    if (!event.answer) {
      event.where = where_[event.worker];
      event.end = end_of(*slot.worker);
      auto restarted = start(event.worker);
      POWERCUT_CHECK(restarted.has_value(),
                     "a dead worker could not be replaced: {}",
                     restarted ? "" : restarted.error().message);
    }
    return event;
  }
  return std::nullopt;
}

}  // namespace runner
