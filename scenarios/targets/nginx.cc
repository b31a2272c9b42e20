// nginx as a target: one process, its proxy_cache a directory of an ext4 that lies on a loop device
// on the disk. What is tested is the two together, as anybody runs them: nginx never calls fsync,
// so what of a file is on the disk after a power cut is the file system's affair. ext4 keeps its
// own books in order whatever happens; it promises nothing about the bytes of a file nobody synced.
//
// How the verbs are spoken is at the head of http_cache.cc. What is nginx's own:
//
// get     nginx knows no only-if-cached: it asks the origin, which has no offer, and says 502.
// sync    nginx has none. Its neighbours do, so it is two things in turn: first
//         `sync -f`, the whole file system; then another program writes a file beside the cache and
//         fsyncs that, which makes ext4 commit its journal, with the names and sizes of all files,
//         and leaves their unwritten bytes where they are. Only the first is acknowledged.
// kill    SIGKILL, and then an unmount (loop_disk.cc). The crash points of the log are ends of the
//         machine, those called kills too: what the kernel had not written is gone.
//
// With `--preset journal` ext4 is mounted with data=journal: the bytes of a file go through the
// journal with its name and size, and are there whenever these are. That is the control.
//
// A file nginx has begun is written under a temporary name and renamed when it is whole
// (use_temp_path off, as its manual advises). Not modelled: eviction (without a master process
// nginx has no cache manager), header updates (nginx stores no new header after a 304), purges (not
// in the free version).
#include "scenarios/targets/nginx.h"

#include <fstream>
#include <system_error>

#include <fmt/format.h>

#include "scenarios/targets/http_cache.h"
#include "scenarios/targets/loop_disk.h"

namespace scenarios {
namespace {

using faultfs::fail;
namespace fs = std::filesystem;

std::string configuration(const fs::path& work, std::uint16_t port, std::uint16_t origin_port) {
  constexpr std::string_view text = R"(daemon off;
master_process off;
user root;
pid {work}/nginx.pid;
error_log {work}/error.log info;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {work}/tmp;
  proxy_temp_path {work}/tmp;
  fastcgi_temp_path {work}/tmp;
  uwsgi_temp_path {work}/tmp;
  scgi_temp_path {work}/tmp;
  proxy_cache_path {work}/fs/cache levels=1 keys_zone=all:1m use_temp_path=off inactive=10d;
  map $http_cache_control $refresh {{ default 0; "no-cache" 1; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://127.0.0.1:{origin};
      proxy_http_version 1.1;
      proxy_cache all;
      proxy_cache_key $uri;
      proxy_cache_valid 200 10d;
      proxy_cache_bypass $refresh;
      add_header X-Cache $upstream_cache_status always;
    }}
  }}
}}
)";
  return fmt::format(text,
                     fmt::arg("work", work.string()),
                     fmt::arg("port", port),
                     fmt::arg("origin", origin_port));
}

class Nginx : public HttpCache {
 public:
  Nginx(const Rig& rig, const TargetConfig& config, fs::path program)
      : HttpCache(rig, "nginx"),
        disk_name_(disk_name(config)),
        program_(std::move(program)),
        mount_options_(config.preset == "journal" ? "noatime,data=journal" : "noatime") {}
  ~Nginx() override {
    end_process();
    loop_.reset();
  }
  Nginx(const Nginx&) = delete;
  Nginx& operator=(const Nginx&) = delete;

  [[nodiscard]] Traits traits() const override {
    Traits traits = HttpCache::traits();
    traits.header_update = traits.purge = traits.slow_stop = false;
    traits.sync = true;
    return traits;
  }
  Reply sync() override;
  [[nodiscard]] std::string log_text() override {
    return text_of(rig().work_dir / "error.log") + text_of(rig().work_dir / "output");
  }

 protected:
  [[nodiscard]] faultfs::Result<ChildOptions> prepare(std::uint32_t slot_bytes,
                                                      bool beside) override;
  [[nodiscard]] bool says_ready() override { return true; }  // the port answers, or does not
  [[nodiscard]] bool is_made_up(const HttpAnswer& answer) const override {
    return answer.status >= 400 && answer.field("X-Powercut").empty();
  }
  [[nodiscard]] bool is_miss(const HttpAnswer& answer) const override {
    return answer.status == 502 || answer.status == 504;
  }
  [[nodiscard]] bool passes_on_at_once() const override { return false; }
  void clean_up() override { loop_.reset(); }
  void leave_storage() override { loop_.reset(); }

 private:
  [[nodiscard]] fs::path files() const { return rig().work_dir / "fs"; }

  std::string disk_name_;
  fs::path program_;
  std::string mount_options_;
  std::unique_ptr<LoopDisk> loop_;
  std::uint32_t syncs_ = 0;  ///< in this life
};

faultfs::Result<ChildOptions> Nginx::prepare(std::uint32_t /*slot_bytes*/, bool /*beside*/) {
  syncs_ = 0;
  loop_.reset();
  auto loop = LoopDisk::attach(disk_dir() / disk_name_);
  if (!loop) {
    return fail(loop.error().message);
  }
  loop_ = std::move(*loop);
  if (auto mounted = loop_->mount_ext4(files(), mount_options_); !mounted) {
    loop_.reset();
    return fail(mounted.error().message);
  }
  const fs::path work = rig().work_dir;
  std::error_code error;
  for (const char* name : {"error.log", "output", "nginx.pid"}) {
    fs::remove(work / name, error);
  }
  fs::create_directories(work / "tmp", error);
  fs::create_directories(files() / "cache", error);
  std::ofstream(work / "nginx.conf") << configuration(work, port(), origin_port());
  ChildOptions options;
  options.program = program_;
  options.arguments = {"-e", (work / "error.log").string(), "-c", (work / "nginx.conf").string()};
  options.output = work / "output";
  return options;
}

Reply Nginx::sync() {
  if (note_end() || !loop_) {
    return {Outcome::lost, "nginx is gone"};
  }
  if (++syncs_ % 2 == 0) {
    const fs::path neighbour = files() / "neighbour";
    std::ofstream(neighbour, std::ios::app) << "one more line\n";
    auto synced = run_program("/usr/bin/sync", {neighbour.string()});
    return {Outcome::refused,
            synced ? "a file beside the cache was synced, not the cache" : synced.error().message};
  }
  auto synced = run_program("/usr/bin/sync", {"--file-system", files().string()});
  return synced ? Reply{} : Reply{Outcome::refused, synced.error().message};
}

faultfs::Result<fs::path> find_nginx(const TargetConfig& config) {
  return find_program(config,
                      {"/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/local/nginx/sbin/nginx"},
                      "nginx-light");
}

}  // namespace

faultfs::Status nginx_available(const TargetConfig& config) {
  if (const auto program = find_nginx(config); !program) {
    return fail(program.error().message);
  }
  return loop_disks_available();
}

faultfs::Result<std::unique_ptr<Target>> make_nginx(const TargetConfig& config, const Rig& rig) {
  auto program = find_nginx(config);
  if (!program) {
    return fail(program.error().message);
  }
  auto nginx = std::make_unique<Nginx>(rig, config, std::move(*program));
  if (auto opened = nginx->open(); !opened) {
    return fail(opened.error().message);
  }
  return nginx;
}

}  // namespace scenarios
