// Squid is run as packaged; only its configuration is ours. What the less obvious lines are for:
//
// One process, one slot per write:     -N, so the store is written by blocking calls of the process
//   that serves HTTP: when the last byte of a response has reached the client, its slots have been
//   written. With a disk process (--foreground; `--preset disker`)
//   overwriting a stored key fails (5.7), so -N it is as a rule.
// Nothing from memory:                 cache_mem 0, so a hit is read from the disk.
// What a client aborts, ends:          quick_abort_min 0, otherwise Squid fetches short rests
// alone. One attempt at the origin:           forward_max_tries 1, so a refused fetch does not take
// minutes. PURGE:                               works only where an access rule names the method.
// A quick start (43 ms become 28 ms):  no trust store to parse (tls_outgoing_options), an empty
// MIME
//   table, no PID file (it is fsynced), few file descriptors. The rest is mostly two timers of 10
//   ms in Squid's rebuild, and 5 ms of the dynamic linker.
//
// Squid starts as its own user, rather than as root and then changing: a process that changes its
// user survives its parent's death. Where that user does not exist for us (in a user namespace that
// knows root only) `unshare` of util-linux puts one more namespace around Squid.
#include "scenarios/targets/squid_setup.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <system_error>

#include <fmt/format.h>

#include "scenarios/targets/http_cache.h"

namespace scenarios {

std::string squid_conf(const SquidSetup& setup) {
  constexpr std::string_view text = R"(http_port 127.0.0.1:{port} accel defaultsite=origin no-vhost
cache_peer 127.0.0.1 parent {origin} 0 no-query no-digest no-netdb-exchange originserver name=o
cache_dir rock {disk} {mib} slot-size={slot} max-size={object}
cache_mem 0
memory_cache_mode disk
maximum_object_size_in_memory 0
maximum_object_size {object} bytes
acl purge method PURGE
http_access allow purge
http_access allow all
never_direct allow all
forward_max_tries 1
connect_timeout 5 seconds
read_timeout 30 seconds
quick_abort_min 0
quick_abort_max 0
refresh_pattern . 1440 100% 10080
client_persistent_connections off
server_persistent_connections off
cache_log {work}/cache.log
access_log none
pid_filename none
coredump_dir none
cache_effective_user {user}
visible_hostname powercut
shutdown_lifetime 0 seconds
mime_table {work}/mime.conf
tls_outgoing_options disable default-ca=off
max_filedescriptors 256
dns_nameservers 127.0.0.1
pinger_enable off
digest_generation off
icp_port 0
)";
  return fmt::format(text,
                     fmt::arg("port", setup.port),
                     fmt::arg("origin", setup.origin_port),
                     fmt::arg("disk", setup.disk_dir.string()),
                     fmt::arg("mib", setup.disk_bytes >> 20U),
                     fmt::arg("slot", setup.slot_bytes),
                     fmt::arg("object", setup.disk_bytes),
                     fmt::arg("work", setup.work_dir.string()),
                     fmt::arg("user", squid_user().name));
}

faultfs::Result<std::filesystem::path> find_squid(const TargetConfig& config) {
  return find_program(
      config, {"/usr/sbin/squid", "/usr/local/sbin/squid", "/usr/local/squid/sbin/squid"}, "squid");
}

namespace {

/// Does `number` exist in this user namespace?
bool is_mapped(const char* map, std::uint64_t number) {
  std::ifstream lines(map);
  std::uint64_t first = 0;
  std::uint64_t outside = 0;
  std::uint64_t count = 0;
  while (lines >> first >> outside >> count) {
    if (number >= first && number - first < count) {
      return true;
    }
  }
  return false;
}

SquidUser user_of(const passwd& entry) {
  const Account account = {entry.pw_uid, entry.pw_gid};
  const bool known = is_mapped("/proc/self/uid_map", account.user) &&
                     is_mapped("/proc/self/gid_map", account.group);
  return {account, entry.pw_name, !known};
}

}  // namespace

SquidUser squid_user() {
  if (::geteuid() != 0) {
    return {{::geteuid(), ::getegid()}, "nobody", false};
  }
  for (const char* name : {"proxy", "squid", "nobody"}) {
    if (const passwd* entry = ::getpwnam(name); entry != nullptr) {  // NOLINT(*-mt-unsafe)
      return user_of(*entry);
    }
  }
  return {{65534, 65534}, "nobody", !is_mapped("/proc/self/uid_map", 65534)};
}

ChildOptions squid_command(const std::filesystem::path& program,
                           const SquidSetup& setup,
                           const std::string& name) {
  ChildOptions options;
  options.program = program;
  const char* processes = setup.disker ? "--foreground" : "-N";
  options.arguments = {processes, "-F", "-f", (setup.work_dir / "squid.conf").string(), "-n", name};
  const SquidUser user = squid_user();
  if (user.renamed) {
    options.arguments.insert(options.arguments.begin(),
                             {fmt::format("--map-user={}", user.account.user),
                              fmt::format("--map-group={}", user.account.group),
                              "--",
                              program.string()});
    options.program = "/usr/bin/unshare";
  } else if (::geteuid() == 0) {
    options.run_as = user.account;
  }
  return options;
}

namespace {

bool may_enter(const std::filesystem::path& directory, const Account& account) {
  struct stat status = {};
  if (::stat(directory.c_str(), &status) != 0) {
    return false;
  }
  if (status.st_uid == account.user) {
    return (status.st_mode & S_IXUSR) != 0;
  }
  return (status.st_mode & (status.st_gid == account.group ? S_IXGRP : S_IXOTH)) != 0;
}

faultfs::Status check_way_to(const std::filesystem::path& directory, const Account& account) {
  std::filesystem::path way;
  for (const auto& step : directory) {
    way /= step;
    if (!may_enter(way, account)) {
      return faultfs::fail(fmt::format(
          "squid runs as user {} and cannot enter {}: a directory on the way to {}; it must exist "
          "and let others through (chmod o+x)",
          account.user,
          way.string(),
          directory.string()));
    }
  }
  return {};
}

}  // namespace

faultfs::Status prepare_directories(const SquidSetup& setup) {
  const SquidUser user = squid_user();
  if (::geteuid() != 0 || user.renamed) {
    return {};
  }
  const Account& account = user.account;
  if (::chown(setup.work_dir.c_str(), account.user, account.group) != 0) {
    return faultfs::fail(fmt::format("{} cannot be given to squid's user: {}",
                                     setup.work_dir.string(),
                                     std::generic_category().message(errno)));
  }
  if (auto work = check_way_to(setup.work_dir, account); !work) {
    return work;
  }
  // The mount itself lets everybody in, and is served by this process, which may not ask it.
  return check_way_to(setup.disk_dir.parent_path(), account);
}

void remove_shared_memory(const std::string& name) {
  std::error_code error;
  const std::string prefix = name + "-";
  for (const char* directory : {"/dev/shm", "/run/squid"}) {
    for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
      if (entry.path().filename().string().starts_with(prefix)) {
        std::filesystem::remove(entry.path(), error);
      }
    }
  }
}

}  // namespace scenarios
