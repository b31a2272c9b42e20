#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <sstream>
#include <system_error>

#include <fmt/format.h>

#include "engine/service/client.h"
#include "scenarios/process/child.h"
#include "scenarios/targets/engine_home.h"

namespace scenarios {

namespace {

constexpr int answer_seconds_max = 20;
constexpr int socket_in_child = 3;
constexpr std::size_t log_tail_bytes = 4096;

std::vector<std::string> serve_arguments(const TargetConfig& config,
                                         const std::filesystem::path& disk,
                                         std::uint64_t seed,
                                         std::uint32_t slot_bytes,
                                         bool reopens,
                                         const SharedGround* shared) {
  std::vector<std::string> arguments = {"serve",
                                        "--disk",
                                        disk.string(),
                                        "--store",
                                        config.store,
                                        "--preset",
                                        config.preset,
                                        "--slot",
                                        std::to_string(slot_bytes),
                                        "--slice",
                                        std::to_string(rebuild_slice_slots),
                                        "--seed",
                                        std::to_string(seed),
                                        "--manual-ticks",
                                        "--socket-fd",
                                        std::to_string(socket_in_child)};
  const auto add = [&arguments](const char* option, const std::string& value) {
    if (!value.empty()) {
      arguments.insert(arguments.end(), {option, value});
    }
  };
  if (reopens) {
    arguments.emplace_back("--reopens");
  }
  for (const std::string& gate : config.without_gates) {
    add("--without-gate", gate);
  }
  if (shared != nullptr) {
    add("--shm", shared->on() ? "enabled=1" : "enabled=0");
    add("--shm", "name_prefix=" + shared->prefix_word());
  }
  add("--allocator", config.allocator);
  add("--policy", config.policy);
  return arguments;
}

class ProcessHome : public EngineHome {
 public:
  ProcessHome(TargetConfig config, const Rig& rig, std::filesystem::path program)
      : config_(std::move(config)), rig_(rig), program_(std::move(program)) {
    if (config_.shared_memory) {
      // By this name the leftovers of a killed harness are found.
      ground_.emplace(
          engine::restart::posix_shared_memory(), nullptr, fmt::format("powercut-{}", getpid()));
    }
  }

  faultfs::Result<engine::Result<std::unique_ptr<engine::Store>>> open(
      std::uint64_t seed, std::uint32_t slot_bytes) override;

  SharedGround* shared() override { return ground_ ? &*ground_ : nullptr; }
  ~ProcessHome() override { end_process(); }
  ProcessHome(const ProcessHome&) = delete;
  ProcessHome(ProcessHome&&) = delete;
  ProcessHome& operator=(const ProcessHome&) = delete;
  ProcessHome& operator=(ProcessHome&&) = delete;

  bool wait_for_end() override {
    const bool ended = child_ == nullptr || child_->wait(answer_seconds_max).has_value();
    end_process();
    return ended;
  }
  void kill() override {
    if (!rig_.persistent_engine) {
      end_process();
    }
  }
  void renew() override { end_process(); }
  std::optional<Death> death() override {
    const std::optional<Exit> exit = child_ ? child_->poll() : std::nullopt;
    if (!exit) {
      return std::nullopt;
    }
    const std::string log = log_text();
    return Death{exit->signal,
                 exit->code,
                 log.substr(log.size() > log_tail_bytes ? log.size() - log_tail_bytes : 0)};
  }
  std::string log_text() override {
    std::ostringstream text;
    text << std::ifstream(log_file()).rdbuf();
    return text.str();
  }

 private:
  using Opened = engine::Result<std::unique_ptr<engine::Store>>;

  [[nodiscard]] std::unique_ptr<engine::Store> reopen(std::uint64_t seed, std::uint32_t slot_bytes);
  faultfs::Result<Opened> start_process(std::uint64_t seed, std::uint32_t slot_bytes);
  void end_process() {
    if (child_) {
      child_->kill();
      child_.reset();
    }
    if (spare_socket_ >= 0) {
      close(spare_socket_);
      spare_socket_ = -1;
    }
  }
  [[nodiscard]] std::string shared_words_now() const {
    return ground_ ? fmt::format("{} {}", ground_->on(), ground_->prefix_word()) : "";
  }
  [[nodiscard]] std::filesystem::path log_file() const { return rig_.work_dir / "engine.log"; }

  TargetConfig config_;
  Rig rig_;
  std::filesystem::path program_;
  std::optional<SharedGround> ground_;
  std::string started_with_;  // on or off, and the prefix: words that a reopening cannot change
  std::unique_ptr<Child> child_;
  int spare_socket_ = -1;  // a persistent process's, from one life's store to the next
};

faultfs::Result<engine::Result<std::unique_ptr<engine::Store>>> ProcessHome::open(
    std::uint64_t seed, std::uint32_t slot_bytes) {
  if (auto store = reopen(seed, slot_bytes)) {
    return Opened(std::move(store));
  }
  return start_process(seed, slot_bytes);
}

/// Null where a process of its own has to show what happens: there is none yet, it has died, or the
/// disk as it is now is refused.
std::unique_ptr<engine::Store> ProcessHome::reopen(std::uint64_t seed, std::uint32_t slot_bytes) {
  if (spare_socket_ < 0 || death() || shared_words_now() != started_with_ ||
      !engine::service::reopen_served(spare_socket_, seed, slot_bytes)) {
    end_process();
    return nullptr;
  }
  return engine::service::connect_client(fcntl(spare_socket_, F_DUPFD_CLOEXEC, 0));
}

faultfs::Result<ProcessHome::Opened> ProcessHome::start_process(std::uint64_t seed,
                                                                std::uint32_t slot_bytes) {
  std::array<int, 2> sockets{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets.data()) != 0) {
    return faultfs::fail(
        fmt::format("no socket for cache-engine: {}", std::generic_category().message(errno)));
  }
  // A silent process is a lost one: a call that waits longer than this fails.
  const timeval patience{answer_seconds_max, 0};
  setsockopt(sockets[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  setsockopt(sockets[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  std::error_code ignored;
  std::filesystem::remove(log_file(), ignored);
  ChildOptions options;
  options.program = program_;
  options.arguments = serve_arguments(config_,
                                      rig_.disk_dir / disk_name(config_),
                                      seed,
                                      slot_bytes,
                                      rig_.persistent_engine,
                                      shared());
  started_with_ = shared_words_now();
  options.output = log_file();
  options.descriptors = {{sockets[1], socket_in_child}};
  options.pin_cpu = rig_.pin_cpu;
  auto child = Child::start(options);
  close(sockets[1]);
  if (!child) {
    close(sockets[0]);
    return tl::unexpected(child.error());
  }
  child_ = std::move(*child);
  spare_socket_ = rig_.persistent_engine ? fcntl(sockets[0], F_DUPFD_CLOEXEC, 0) : -1;
  auto store = engine::service::connect_client(sockets[0]);
  // The first answer says that the store is open; asking for the tables changes nothing.
  if (store->inspect().units.empty()) {
    // Only its end makes it silent: wait for that, so that the death can be told.
    store.reset();
    static_cast<void>(child_->wait(1));
    return engine::Result<std::unique_ptr<engine::Store>>(
        engine::fail(engine::Trouble::lost, "cache-engine did not become ready: " + log_text()));
  }
  return engine::Result<std::unique_ptr<engine::Store>>(std::move(store));
}

}  // namespace

std::unique_ptr<EngineHome> make_process_home(const TargetConfig& config,
                                              const Rig& rig,
                                              std::filesystem::path program) {
  return std::make_unique<ProcessHome>(config, rig, std::move(program));
}

}  // namespace scenarios
