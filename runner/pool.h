#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "runner/explore_task.h"
#include "runner/sandbox.h"

namespace runner {

/// What happened in the pool.
// NOLINTNEXTLINE(bugprone-exception-escape): moving JSON does not throw.
struct PoolEvent {
  std::size_t worker = 0;
  nlohmann::json task;                   ///< the one it had
  std::optional<nlohmann::json> answer;  ///< none: the worker died
  WorkerEnd end;                         ///< how, when it died
  Whereabouts where;                     ///< where it was, when it died
};

/// Worker processes that take one task (a JSON value) at a time. A worker that dies is replaced.
class Pool {
 public:
  /// Answers a task inside a worker. Called with the worker's sandbox, or why it has none.
  using Work = std::function<nlohmann::json(const nlohmann::json& task,
                                            const faultfs::Result<Sandbox>& sandbox,
                                            int cpu,
                                            Whereabouts& where)>;

  [[nodiscard]] static faultfs::Result<std::unique_ptr<Pool>> create(int jobs, Work work);
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  Pool(Pool&&) = delete;
  Pool& operator=(Pool&&) = delete;

  /// A worker without a task, if there is one.
  [[nodiscard]] std::optional<std::size_t> idle() const;
  /// True while any worker has a task.
  [[nodiscard]] bool busy() const;
  void give(std::size_t worker, nlohmann::json task);
  /// Waits up to `milliseconds` for an answer or a death.
  [[nodiscard]] std::optional<PoolEvent> wait(int milliseconds);

 private:
  struct Slot {
    std::optional<Worker> worker;
    std::optional<nlohmann::json> task;
  };
  explicit Pool(Work work);
  faultfs::Status start(std::size_t number);

  Work work_;
  std::vector<Slot> slots_;
  Whereabouts* where_ = nullptr;  // one a worker, in memory shared with them
};

}  // namespace runner
