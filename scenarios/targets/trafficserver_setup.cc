// Traffic Server is run as packaged; only its configuration is ours. What the less obvious lines
// are for:
//
// One user:                       admin.user_id #-1: it stays who it is, so that it dies with us (a
//   process that changes its user does not) and the mount need not let others in.
// Few threads:                    exec_thread.*, accept_threads: one CPU has to do.
// Nothing from memory:            ram_cache.size 0. What was written last is still served from the
//   aggregation buffer, until a batch or a directory sync writes it.
// Directory syncs soon:           dir.sync_frequency 1: a second after something changed; each of
// the
//   three writes of a sync waits half a second for the next, which nothing can shorten.
// Fragments of 128 KiB:           so that bodies of a few hundred KiB have several.
// Checksums of documents:         enable_checksum, off as shipped; `--preset checksum` has it on.
// Objects of 8000 bytes:          min_average_object_size sizes the directory.
// A put is a reload:              ignore_client_no_cache 0, so the client's no-cache is obeyed.
// An update is a question:        ignore_client_cc_max_age 0, so the client's max-age=0 is.
// What a client aborts, ends:     background_fill_*: otherwise the cache fetches the rest alone;
//   allow_half_open 0: otherwise it does not see the client go.
// One attempt at the origin:      connect_attempts_*, down_server.cache_time: a refused fetch
// neither
//   takes seconds nor makes the next one fail.
// Header changes are stored:      a 304 replaces the stored header; nothing needs a setting.
// The same keys in every life:    an object's key is the URL of its origin, with the port, and the
//   origin's port is another in every run. So what is fetched comes from origin.invalid, a name
//   that nobody looks up, by way of a parent (parent.config) that is the origin.
// A quick start:                  no trust store is parsed (SSL_CERT_FILE in the environment: 70
// ms),
//   no crash log helper, no transaction logs.
#include "scenarios/targets/trafficserver_setup.h"

#include <fstream>
#include <system_error>

#include <fmt/format.h>

#include "scenarios/targets/http_cache.h"
#include "scenarios/targets/trafficserver_yaml.h"

namespace scenarios {

namespace fs = std::filesystem;

std::string records_config(const TrafficServerSetup& setup) {
  constexpr std::string_view text =
      R"(CONFIG proxy.config.http.server_ports STRING {port}:ip-in=127.0.0.1
CONFIG proxy.config.admin.user_id STRING #-1
CONFIG proxy.config.exec_thread.autoconfig INT 0
CONFIG proxy.config.exec_thread.limit INT 1
CONFIG proxy.config.task_threads INT 1
CONFIG proxy.config.accept_threads INT 0
CONFIG proxy.config.cache.ram_cache.size INT 0
CONFIG proxy.config.cache.dir.sync_frequency INT 1
CONFIG proxy.config.cache.target_fragment_size INT 131072
CONFIG proxy.config.cache.min_average_object_size INT 8000
CONFIG proxy.config.cache.enable_checksum INT {checksum}
CONFIG proxy.config.cache.threads_per_disk INT 2
CONFIG proxy.config.cache.agg_write_backlog INT 33554432
CONFIG proxy.config.http.wait_for_cache INT 2
CONFIG proxy.config.http.cache.ignore_client_no_cache INT 0
CONFIG proxy.config.http.cache.ignore_client_cc_max_age INT 0
CONFIG proxy.config.http.cache.required_headers INT 0
CONFIG proxy.config.http.allow_half_open INT 0
CONFIG proxy.config.http.background_fill_active_timeout INT 1
CONFIG proxy.config.http.background_fill_completed_threshold FLOAT 1.0
CONFIG proxy.config.http.connect_attempts_max_retries INT 0
CONFIG proxy.config.http.connect_attempts_max_retries_dead_server INT 0
CONFIG proxy.config.http.connect_attempts_rr_retries INT 0
CONFIG proxy.config.http.down_server.cache_time INT 0
CONFIG proxy.config.http.keep_alive_enabled_in INT 0
CONFIG proxy.config.http.keep_alive_enabled_out INT 0
CONFIG proxy.config.http.negative_caching_enabled INT 0
CONFIG proxy.config.http.insert_age_in_response INT 0
CONFIG proxy.config.url_remap.remap_required INT 1
CONFIG proxy.config.http.no_dns_just_forward_to_parent INT 1
CONFIG proxy.config.http.parent_proxy.self_detect INT 0
CONFIG proxy.config.http.parent_proxy.per_parent_connect_attempts INT 1
CONFIG proxy.config.http.parent_proxy.total_connect_attempts INT 1
CONFIG proxy.config.http.parent_proxy.fail_threshold INT 1000000
CONFIG proxy.config.http.parent_proxy.retry_time INT 0
CONFIG proxy.config.crash_log_helper STRING NULL
CONFIG proxy.config.log.logging_enabled INT 0
CONFIG proxy.config.diags.output.note STRING E
CONFIG proxy.config.diags.output.status STRING E
CONFIG proxy.config.diags.output.warning STRING E
CONFIG proxy.config.diags.output.error STRING E
CONFIG proxy.config.diags.output.fatal STRING E
)";
  std::string records = fmt::format(
      text, fmt::arg("port", setup.port), fmt::arg("checksum", setup.checksums ? 1 : 0));
  if (setup.yaml) {
    records += fmt::format("CONFIG proxy.config.body_factory.template_sets_dir STRING {}\n",
                           (setup.work_dir / "etc" / "body_factory").string());
    records += fmt::format("CONFIG proxy.config.cache.shm.enabled INT {}\n",
                           setup.shared_prefix.empty() ? 0 : 1);
  }
  if (!setup.shared_prefix.empty()) {
    records +=
        fmt::format("CONFIG proxy.config.cache.shm.name_prefix STRING {}\n", setup.shared_prefix);
  }
  return records;
}

faultfs::Result<fs::path> find_traffic_server(const TargetConfig& config) {
  return find_program(config,
                      {"/usr/bin/traffic_server",
                       "/usr/local/bin/traffic_server",
                       "/opt/ts/bin/traffic_server",
                       "/opt/trafficserver/bin/traffic_server"},
                      "trafficserver");
}

namespace {

std::string runroot(const fs::path& work_dir) {
  const auto below = [&work_dir](const char* name) { return (work_dir / name).string(); };
  return fmt::format(
      "prefix: {0}\nbindir: {1}\nsbindir: {1}\nsysconfdir: {1}\ndatadir: {2}\nincludedir: {1}\n"
      "libdir: {1}\nlibexecdir: {1}\nlocalstatedir: {2}\nruntimedir: {2}\nlogdir: {3}\n"
      "cachedir: {2}\n",
      work_dir.string(),
      below("etc"),
      below("run"),
      below("log"));
}

faultfs::Status write_text(const fs::path& file, std::string_view text) {
  std::ofstream out(file);
  out << text;
  out.close();
  return out ? faultfs::Status{}
             : faultfs::fail(fmt::format("{} cannot be written", file.string()));
}

/// What 10.0 and later read beside, or in place of, the files of 9.2.
faultfs::Status write_yaml(const TrafficServerSetup& setup) {
  const fs::path etc = setup.work_dir / "etc";
  std::error_code error;
  fs::create_directories(etc / "body_factory", error);
  return write_text(etc / "records.yaml", records_yaml(records_config(setup)))
      .and_then([&] { return write_text(etc / "storage.yaml", storage_yaml(setup.disk)); })
      .and_then([&] { return write_text(etc / "ssl_multicert.yaml", "ssl_multicert: []\n"); })
      .and_then([&] { return write_text(etc / "jsonrpc.yaml", "rpc:\n  enabled: false\n"); });
}

}  // namespace

faultfs::Status write_configuration(const TrafficServerSetup& setup) {
  std::error_code error;
  for (const char* name : {"etc", "run", "log"}) {
    if (!setup.beside) {
      fs::remove_all(setup.work_dir / name, error);
    }
    fs::create_directory(setup.work_dir / name, error);
  }
  const fs::path etc = setup.work_dir / "etc";
  constexpr std::string_view ip_allow =
      "ip_allow:\n  - apply: in\n    ip_addrs: 127.0.0.1\n    action: allow\n    methods: ALL\n";
  const std::string parent = fmt::format(
      "dest_domain=. parent=\"127.0.0.1:{}\" parent_is_proxy=false go_direct=false "
      "round_robin=false\n",
      setup.origin_port);
  return write_text(setup.work_dir / "runroot.yaml", runroot(setup.work_dir))
      .and_then([&] { return write_text(etc / "records.config", records_config(setup)); })
      .and_then([&] { return write_text(etc / "remap.config", "map / http://origin.invalid/\n"); })
      .and_then([&] { return write_text(etc / "parent.config", parent); })
      .and_then([&] { return write_text(etc / "storage.config", setup.disk.string() + "\n"); })
      .and_then([&] { return write_text(etc / "ip_allow.yaml", ip_allow); })
      .and_then([&] { return setup.yaml ? write_yaml(setup) : faultfs::Status{}; });
}

ChildOptions traffic_server_command(const fs::path& program, const TrafficServerSetup& setup) {
  ChildOptions options;
  options.program = program;
  options.arguments = {"--run-root=" + (setup.work_dir / "runroot.yaml").string()};
  options.environment = {{"SSL_CERT_FILE", "/dev/null"}, {"SSL_CERT_DIR", "/dev/null"}};
  return options;
}

}  // namespace scenarios
