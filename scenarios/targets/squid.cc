// Squid as a target: a reverse proxy with one rock store. How the verbs are spoken is at the head
// of http_cache.cc. What is Squid's own:
//
// append  In -N mode Squid writes to its store with blocking calls in the same event in which it
// takes
//         bytes from the origin, before it passes them on. So when an append returns, every slot
//         that was filled has been written.
// get     An answer that Squid made itself is known by its X-Squid-Error field; everything else was
// in
//         the store.
// purge   Squid forgets in memory only; nothing is written.
//
// Not modelled: SMP mode (disk processes), several stores.
#include "scenarios/targets/squid.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <system_error>

#include <fmt/format.h>

#include "scenarios/targets/http_cache.h"
#include "scenarios/targets/squid_setup.h"

namespace scenarios {
namespace {

using faultfs::fail;

constexpr std::string_view ready_line = "Completed Validation Procedure";

/// The name by which a Squid's shared memory is told from others', and with a disk process its
/// sockets, whose directory is not a sandbox's own: there another has our process number too.
std::string next_service_name(bool disker) {
  static std::atomic<unsigned> count = 0;
  const std::string nonce =
      disker ? fmt::format("x{:x}", std::chrono::steady_clock::now().time_since_epoch().count())
             : "";
  return fmt::format("powercut{}n{}{}", ::getpid(), ++count, nonce);
}

class Squid : public HttpCache {
 public:
  Squid(const Rig& rig, SquidSetup setup, std::filesystem::path program)
      : HttpCache(rig, "squid"),
        setup_(std::move(setup)),
        program_(std::move(program)),
        service_(next_service_name(setup_.disker)) {}
  ~Squid() override { end_process(); }
  Squid(const Squid&) = delete;
  Squid& operator=(const Squid&) = delete;

  [[nodiscard]] std::string log_text() override {
    return text_of(log_file()) + text_of(output_file());
  }

 protected:
  [[nodiscard]] faultfs::Result<ChildOptions> prepare(std::uint32_t slot_bytes,
                                                      bool beside) override;
  [[nodiscard]] bool says_ready() override {
    // With a disk process there are two that rebuild, and one log.
    const std::string log = text_of(log_file());
    const std::size_t first = log.find(ready_line);
    return first != std::string::npos &&
           (!setup_.disker || log.find(ready_line, first + 1) != std::string::npos);
  }
  [[nodiscard]] bool is_made_up(const HttpAnswer& answer) const override {
    return !answer.field("X-Squid-Error").empty();
  }
  void clean_up() override { remove_shared_memory(service_); }

 private:
  [[nodiscard]] std::filesystem::path log_file() const { return setup_.work_dir / "cache.log"; }
  [[nodiscard]] std::filesystem::path output_file() const { return setup_.work_dir / "output"; }
  faultfs::Status write_files();

  SquidSetup setup_;
  std::filesystem::path program_;
  std::string service_;
};

faultfs::Status Squid::write_files() {
  std::error_code ignored;
  std::filesystem::remove(log_file(), ignored);
  std::filesystem::remove(output_file(), ignored);
  std::ofstream(setup_.work_dir / "mime.conf").close();
  std::ofstream conf(setup_.work_dir / "squid.conf");
  conf << squid_conf(setup_);
  conf.close();
  if (!conf) {
    return fail(fmt::format("{} cannot be written", (setup_.work_dir / "squid.conf").string()));
  }
  return {};
}

faultfs::Result<ChildOptions> Squid::prepare(std::uint32_t slot_bytes, bool beside) {
  setup_.slot_bytes = slot_bytes != 0 ? slot_bytes : setup_.slot_bytes;
  setup_.disk_dir = disk_dir();
  setup_.port = port();
  setup_.origin_port = origin_port();
  if (auto ready = prepare_directories(setup_).and_then([&] { return write_files(); }); !ready) {
    return fail(ready.error().message);
  }
  if (beside) {
    service_ = next_service_name(setup_.disker);  // the old process has objects of its name
  } else {
    clean_up();
  }
  ChildOptions options = squid_command(program_, setup_, service_);
  options.output = output_file();
  return options;
}

}  // namespace

faultfs::Status squid_available(const TargetConfig& config) {
  if (const auto program = find_squid(config); !program) {
    return fail(program.error().message);
  }
  return {};
}

faultfs::Result<std::unique_ptr<Target>> make_squid(const TargetConfig& config, const Rig& rig) {
  const auto program = find_squid(config);
  if (!program) {
    return fail(program.error().message);
  }
  if (rig.disk_dir.empty()) {
    return fail("squid needs its disk as a file: a FUSE mount, not the memory device");
  }
  SquidSetup setup;
  setup.disk_dir = rig.disk_dir;
  setup.work_dir = rig.work_dir;
  setup.disk_bytes = config.disk_bytes;
  setup.slot_bytes = config.slot_bytes;
  setup.disker = config.preset == "disker";
  auto squid = std::make_unique<Squid>(rig, std::move(setup), *program);
  if (auto opened = squid->open(); !opened) {
    return fail(opened.error().message);
  }
  return squid;
}

}  // namespace scenarios
