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

#include <chrono>

#include <fmt/format.h>

#include "scenarios/formats/stripe_layout.h"
#include "scenarios/targets/http_cache.h"
#include "scenarios/targets/trafficserver_setup.h"

namespace scenarios {
namespace {

using faultfs::fail;

constexpr double sync_seconds = 6, pause_seconds = 0.01;
constexpr std::string_view cache_line = "cache enabled";
constexpr std::string_view ready_line = "Traffic Server is fully initialized";

class TrafficServer : public HttpCache {
 public:
  TrafficServer(const Rig& rig, const TargetConfig& config, std::filesystem::path program)
      : HttpCache(rig, "trafficserver"),
        disk_(rig.disk_dir / disk_name(config)),
        program_(std::move(program)),
        layout_(stripe_layout(config.disk_bytes)),
        checksums_(config.preset == "checksum") {}
  ~TrafficServer() override { end_process(); }
  TrafficServer(const TrafficServer&) = delete;
  TrafficServer& operator=(const TrafficServer&) = delete;

  [[nodiscard]] Traits traits() const override {
    Traits traits = HttpCache::traits();
    traits.sync = traits.forgets_unsynced = true;
    traits.circle_bytes = layout_.end - layout_.data;
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
  [[nodiscard]] std::string log_text() override { return text_of(log_file()); }

 protected:
  [[nodiscard]] faultfs::Result<ChildOptions> prepare(std::uint32_t slot_bytes) override;
  [[nodiscard]] bool says_ready() override {
    const std::string log = log_text();
    return log.find(cache_line) != std::string::npos && log.find(ready_line) != std::string::npos;
  }
  [[nodiscard]] bool is_made_up(const HttpAnswer& answer) const override {
    return answer.status >= 400 && answer.field("X-Powercut").empty();
  }
  [[nodiscard]] bool tells_when_it_breaks_off() const override { return true; }
  [[nodiscard]] double seconds_to_keep() const override { return 0.5; }

 private:
  [[nodiscard]] std::filesystem::path log_file() const { return rig().work_dir / "output"; }

  std::filesystem::path disk_, program_;
  StripeLayout layout_;
  bool checksums_;
  bool changed_ = false;  ///< something was given to the store since the last sync, in this life
};

faultfs::Result<ChildOptions> TrafficServer::prepare(std::uint32_t /*slot_bytes*/) {
  changed_ = false;
  const TrafficServerSetup setup = {disk_, rig().work_dir, port(), origin_port(), checksums_};
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
  return program ? faultfs::Status{} : fail(program.error().message);
}

faultfs::Result<std::unique_ptr<Target>> make_traffic_server(const TargetConfig& config,
                                                             const Rig& rig) {
  auto program = find_traffic_server(config);
  if (!program) {
    return fail(program.error().message);
  }
  auto server = std::make_unique<TrafficServer>(rig, config, std::move(*program));
  if (auto opened = server->open(); !opened) {
    return fail(opened.error().message);
  }
  return server;
}

}  // namespace scenarios
