// Traffic Server as a target: one `traffic_server` process, its span a plain file of the device.
// How the verbs are spoken is at the head of http_cache.cc; why each line of the configuration, at
// the head of trafficserver_setup.cc.
//
// A put is acknowledged when the store gives it back, which it does from its aggregation buffer
// too: nothing is written until 2 MiB have gathered or the directory is synced, and after a kill
// everything since the last directory sync is forgotten. So `sync` waits for one: until a copy of
// the directory with a newer serial is complete on the disk.
//
// An answer that is missing a fragment ends before the length it announced, and the client is told
// so by the end of the connection: this is how the server says that the rest is lost, and it is no
// hit of a part. What the server made up itself is an error page without the origin's header.
#include "scenarios/targets/trafficserver.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <optional>

#include <fmt/format.h>

#include "scenarios/formats/stripe_layout.h"
#include "scenarios/targets/http_cache.h"
#include "scenarios/targets/loop_disk.h"
#include "scenarios/targets/shared_objects.h"
#include "scenarios/targets/trafficserver_setup.h"
#include "scenarios/targets/trafficserver_yaml.h"

namespace scenarios {
namespace {

using faultfs::fail;

constexpr double sync_seconds = 6, pause_seconds = 0.01;
constexpr std::string_view attached_line = "attaching cached directory from shm";
constexpr std::string_view cache_line = "cache enabled";
constexpr std::string_view ready_line = "Traffic Server is fully initialized";

class TrafficServer : public HttpCache {
 public:
  TrafficServer(const Rig& rig,
                const TargetConfig& config,
                std::filesystem::path program,
                bool yaml)
      : HttpCache(rig, "trafficserver"),
        disk_name_(disk_name(config)),
        program_(std::move(program)),
        layout_(stripe_layout(config.disk_bytes)),
        checksums_(config.preset == "checksum"),
        on_loop_(config.preset == "loop"),
        yaml_(yaml) {
    if (config.shared_memory) {
      static std::atomic<unsigned> count = 0;
      shared_.emplace(fmt::format("powercut-{}-ts{}", ::getpid(), ++count));
    }
  }
  ~TrafficServer() override {
    end_process();
    loop_.reset();
  }
  TrafficServer(const TrafficServer&) = delete;
  TrafficServer& operator=(const TrafficServer&) = delete;

  [[nodiscard]] Traits traits() const override {
    Traits traits = HttpCache::traits();
    traits.sync = traits.forgets_unsynced = true;
    traits.circle_bytes = layout_.end - layout_.data;
    traits.shares_memory = shared_.has_value();
    return traits;
  }
  Reply finish_put(Key key) override {
    changed_ = true;
    return HttpCache::finish_put(key);
  }
  Reply purge(Key key) override {
    changed_ = true;
    return HttpCache::purge(key);
  }
  Reply update_header(Key key, std::string_view header) override {
    changed_ = true;
    return HttpCache::update_header(key, header);
  }
  Reply append(Key key, faultfs::ByteView bytes) override {
    changed_ = true;
    return HttpCache::append(key, bytes);
  }
  Reply sync() override;
  void order_shared(std::string_view word) override {
    if (shared_) {
      shared_->order(word);
    }
  }
  [[nodiscard]] std::shared_ptr<const SharedState> save_shared() override {
    return shared_ ? shared_->save() : nullptr;
  }
  void restore_shared(const std::shared_ptr<const SharedState>& state) override {
    if (shared_) {
      shared_->restore(state);
    }
  }
  [[nodiscard]] bool attached() override {
    return shared_ && log_text().find(attached_line) != std::string::npos;
  }
  [[nodiscard]] std::string log_text() override { return text_of(log_file()); }

 protected:
  [[nodiscard]] faultfs::Result<ChildOptions> prepare(std::uint32_t slot_bytes,
                                                      bool beside) override;
  [[nodiscard]] bool says_ready() override {
    const std::string log = log_text();
    return log.find(cache_line) != std::string::npos && log.find(ready_line) != std::string::npos;
  }
  [[nodiscard]] bool is_made_up(const HttpAnswer& answer) const override {
    return answer.status >= 400 && answer.field("X-Powercut").empty();
  }
  [[nodiscard]] bool tells_when_it_breaks_off() const override { return true; }
  [[nodiscard]] double seconds_to_keep() const override { return 0.5; }
  // A loop device holds its file open, and every handle is fenced between two lives.
  void clean_up() override {
    loop_.reset();
    if (shared_) {
      shared_->life_ended();
    }
  }
  void leave_storage() override { loop_.reset(); }

 private:
  [[nodiscard]] std::filesystem::path log_file() const { return rig().work_dir / "output"; }

  std::string disk_name_;
  std::filesystem::path program_;
  StripeLayout layout_;
  bool checksums_, on_loop_, yaml_;
  std::optional<SharedObjects> shared_;
  std::unique_ptr<LoopDisk> loop_;
  bool changed_ = false;  ///< something was given to the store since the last sync, in this life
};

faultfs::Result<ChildOptions> TrafficServer::prepare(std::uint32_t /*slot_bytes*/, bool beside) {
  changed_ = false;
  const std::filesystem::path file = disk_dir() / disk_name_;
  if (on_loop_ && !loop_) {
    auto loop = LoopDisk::attach(file);
    if (!loop) {
      return fail(loop.error().message);
    }
    loop_ = std::move(*loop);
  }
  const TrafficServerSetup setup = {loop_ ? loop_->device() : file,
                                    rig().work_dir,
                                    port(),
                                    origin_port(),
                                    checksums_,
                                    yaml_,
                                    shared_ && shared_->on() ? shared_->prefix() : std::string(),
                                    beside};
  if (auto written = write_configuration(setup); !written) {
    return fail(written.error().message);
  }
  std::error_code ignored;
  std::filesystem::remove(log_file(), ignored);
  ChildOptions options = traffic_server_command(program_, setup);
  options.output = log_file();
  return options;
}

Reply TrafficServer::sync() {
  if (!changed_) {
    return {Outcome::refused, "nothing had changed since the last directory sync"};
  }
  const auto serials = [this] { return read_serials(rig().device.snapshot().front()); };
  const DirectorySerials before = serials();
  const std::uint32_t wanted = before.complete() + (before.is_torn() ? 2 : 1);
  const auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(sync_seconds);
  while (std::chrono::steady_clock::now() < until) {
    if (note_end()) {
      return {Outcome::lost, "trafficserver is gone"};
    }
    if (serials().complete() >= wanted) {
      changed_ = false;
      return {};
    }
    wait_for([] { return false; }, pause_seconds);
  }
  return {Outcome::refused,
          fmt::format("no directory was synced within {} s: nothing had changed", sync_seconds)};
}

}  // namespace

faultfs::Status traffic_server_available(const TargetConfig& config) {
  const auto program = find_traffic_server(config);
  if (!program) {
    return fail(program.error().message);
  }
  if (config.shared_memory) {
    const auto version = ask_version(*program);
    if (!version) {
      return fail(version.error().message);
    }
    if (!version->shares_memory()) {
      return fail(
          fmt::format("Traffic Server {}.{} keeps nothing in shared memory; name a binary "
                      "of 10.2 or later with --program",
                      version->major,
                      version->minor));
    }
  }
  return config.preset == "loop" ? loop_disks_available() : faultfs::Status{};
}

faultfs::Result<std::unique_ptr<Target>> make_traffic_server(const TargetConfig& config,
                                                             const Rig& rig) {
  auto program = find_traffic_server(config);
  if (!program) {
    return fail(program.error().message);
  }
  // Debian's is known.
  TrafficServerVersion version = {9, 2};
  if (!config.program.empty()) {
    const auto said = ask_version(*program);
    if (!said) {
      return fail(said.error().message);
    }
    version = *said;
  }
  auto server =
      std::make_unique<TrafficServer>(rig, config, std::move(*program), version.reads_yaml());
  if (auto opened = server->open(); !opened) {
    return fail(opened.error().message);
  }
  return server;
}

}  // namespace scenarios
