#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <sstream>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "engine/service/client.h"
#include "engine/service/lives.h"
#include "scenarios/process/child.h"
#include "scenarios/targets/engine_home.h"

namespace scenarios {

namespace {

constexpr int answer_seconds_max = 20;
constexpr int socket_in_child = 3;
constexpr std::size_t log_tail_bytes = 4096;

void add_hosting(const engine::volumes::Hosting& hosting, std::vector<std::string>& arguments) {
  std::istringstream rules(hosting.to_text());
  for (std::string rule; std::getline(rules, rule);) {
    arguments.insert(arguments.end(), {"--hosting", rule});
  }
}

/// All that decides where an object lives and in which order stripes are written.
void add_division(const engine::cyclone::Division& division, std::vector<std::string>& arguments) {
  arguments.insert(arguments.end(),
                   {"--threads", "1", "--stripes", std::to_string(division.stripes)});
  if (division.volumes.size() == 1) {
    return;
  }
  std::string volumes;
  for (const engine::cyclone::VolumeShare& share : division.volumes) {
    volumes += fmt::format("{}{}:{}", volumes.empty() ? "" : ",", share.tag, share.weight);
  }
  arguments.insert(arguments.end(), {"--volumes", volumes});
  add_hosting(division.hosting, arguments);
}

void add_disks(const TargetConfig& config,
               const std::filesystem::path& directory,
               std::vector<std::string>& arguments) {
  if (config.disks == 1) {
    arguments.insert(arguments.end(), {"--disk", (directory / disk_name(config)).string()});
    return;
  }
  std::uint32_t number = 0;
  for (const faultfs::DiskSpec& disk : disk_specs(config)) {
    arguments.insert(arguments.end(),
                     {"--disk",
                      fmt::format("{}:volume={},id={}",
                                  (directory / disk.name).string(),
                                  volume_of_disk(config, number++),
                                  disk.name)});
  }
  add_hosting(cyclone_division(config).hosting, arguments);
}

void add_cyclone(const TargetConfig& config, std::vector<std::string>& arguments) {
  add_division(division_of_disk(config), arguments);
  for (const std::string& pin : cyclone_pins(config)) {
    arguments.insert(arguments.end(), {"--pin", pin});
  }
  arguments.insert(arguments.end(), {"--hit-evacuate-percent", std::to_string(config.hot_percent)});
}

std::vector<std::string> serve_arguments(const TargetConfig& config,
                                         const std::filesystem::path& directory,
                                         std::uint64_t seed,
                                         std::uint32_t slot_bytes,
                                         bool reopens,
                                         bool forks,
                                         const SharedGround* shared) {
  std::vector<std::string> arguments = {"serve",
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
  if (forks) {
    arguments.emplace_back("--forks");
  }
  if (config.store == "cyclone") {
    add_cyclone(config, arguments);
  }
  add_disks(config, directory, arguments);
  add("--ram-cache", config.ram_cache);
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

/// A connected pair of sockets; both are closed with it, unless they were taken out.
struct SocketPair {
  SocketPair() = default;
  ~SocketPair() {
    for (const int end : ends) {
      if (end >= 0) {
        close(end);
      }
    }
  }
  SocketPair(const SocketPair&) = delete;
  SocketPair(SocketPair&&) = delete;
  SocketPair& operator=(const SocketPair&) = delete;
  SocketPair& operator=(SocketPair&&) = delete;

  /// Ours has a patience: a silent process is a lost one, a call that waits longer fails.
  faultfs::Status open() {
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
      return faultfs::fail(
          fmt::format("no socket for cache-engine: {}", std::generic_category().message(errno)));
    }
    const timeval patience{answer_seconds_max, 0};
    setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    return {};
  }
  [[nodiscard]] int take_ours() { return std::exchange(ends[0], -1); }
  [[nodiscard]] int theirs() const { return ends[1]; }

  std::array<int, 2> ends = {-1, -1};
};

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
  ~ProcessHome() override {
    end_process();
    end_original();
  }
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
  [[nodiscard]] faultfs::Result<std::unique_ptr<Child>> execute(std::uint64_t seed,
                                                                std::uint32_t slot_bytes,
                                                                int socket);
  [[nodiscard]] faultfs::Result<std::unique_ptr<Child>> copy(std::uint64_t seed,
                                                             std::uint32_t slot_bytes,
                                                             int socket);
  [[nodiscard]] faultfs::Status make_original(std::uint64_t seed, std::uint32_t slot_bytes);
  void end_original() {
    original_.reset();
    if (original_socket_ >= 0) {
      close(original_socket_);
      original_socket_ = -1;
    }
  }
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
  int spare_socket_ = -1;            // a persistent process's, from one life's store to the next
  std::unique_ptr<Child> original_;  // of which the others are copies
  int original_socket_ = -1;
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

faultfs::Result<std::unique_ptr<Child>> ProcessHome::execute(std::uint64_t seed,
                                                             std::uint32_t slot_bytes,
                                                             int socket) {
  std::error_code ignored;
  std::filesystem::remove(log_file(), ignored);
  ChildOptions options;
  options.program = program_;
  options.arguments = serve_arguments(config_,
                                      rig_.disk_dir,
                                      seed,
                                      slot_bytes,
                                      rig_.persistent_engine,
                                      rig_.forked_engine,
                                      shared());
  started_with_ = shared_words_now();
  options.output = log_file();
  options.descriptors = {{socket, socket_in_child}};
  options.pin_cpu = rig_.pin_cpu;
  return Child::start(options);
}

faultfs::Status ProcessHome::make_original(std::uint64_t seed, std::uint32_t slot_bytes) {
  if (original_ && !original_->poll() && shared_words_now() == started_with_) {
    return {};
  }
  end_original();
  SocketPair sockets;
  if (auto opened = sockets.open(); !opened) {
    return opened;
  }
  auto child = execute(seed, slot_bytes, sockets.theirs());
  if (!child) {
    return faultfs::fail(child.error().message);
  }
  original_ = std::move(*child);
  original_socket_ = sockets.take_ours();
  return {};
}

faultfs::Result<std::unique_ptr<Child>> ProcessHome::copy(std::uint64_t seed,
                                                          std::uint32_t slot_bytes,
                                                          int socket) {
  if (auto made = make_original(seed, slot_bytes); !made) {
    return faultfs::fail(made.error().message);
  }
  std::error_code ignored;
  std::filesystem::resize_file(log_file(), 0, ignored);
  const auto pid = engine::service::ask_for_life(original_socket_, {socket, seed, slot_bytes});
  if (!pid) {
    const std::string log = log_text();
    end_original();
    return faultfs::fail(fmt::format("{}: {}", pid.error().message, log));
  }
  return Child::adopt(*pid);
}

faultfs::Result<ProcessHome::Opened> ProcessHome::start_process(std::uint64_t seed,
                                                                std::uint32_t slot_bytes) {
  SocketPair sockets;
  if (auto opened = sockets.open(); !opened) {
    return faultfs::fail(opened.error().message);
  }
  auto child = rig_.forked_engine ? copy(seed, slot_bytes, sockets.theirs())
                                  : execute(seed, slot_bytes, sockets.theirs());
  if (!child) {
    return tl::unexpected(child.error());
  }
  child_ = std::move(*child);
  close(std::exchange(sockets.ends[1], -1));  // so that its end is seen here
  const int ours = sockets.take_ours();
  spare_socket_ = rig_.persistent_engine ? fcntl(ours, F_DUPFD_CLOEXEC, 0) : -1;
  auto store = engine::service::connect_client(ours);
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
