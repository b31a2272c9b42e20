#include "runner/doctor.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <ostream>
#include <system_error>

#include <fmt/format.h>

#include "faultfs/mount/mount.h"
#include "runner/sandbox.h"
#include "scenarios/process/child.h"
#include "scenarios/targets/target.h"

namespace runner {
namespace {

namespace fs = std::filesystem;

constexpr int exit_ok = 0;
constexpr int exit_undecided = 3;
/// What two workers with their caches and images need, with room to spare.
constexpr std::uintmax_t shared_memory_bytes_min = std::uintmax_t{64} << 20U;

Checkup from_status(std::string name, const faultfs::Status& status, const std::string& when_ok) {
  return {std::move(name), status.has_value(), status ? when_ok : status.error().message};
}

Checkup check_shared_memory() {
  std::error_code trouble;
  const fs::space_info space = fs::space("/dev/shm", trouble);
  if (trouble) {
    return {"shared memory", false, fmt::format("/dev/shm: {}", trouble.message())};
  }
  const bool ok = space.available >= shared_memory_bytes_min;
  std::string text = fmt::format("/dev/shm has {} MiB free", space.available >> 20U);
  if (!ok) {
    text += fmt::format("; at least {} MiB are wanted (docker run --shm-size=256m)",
                        shared_memory_bytes_min >> 20U);
  }
  return {"shared memory", ok, std::move(text)};
}

Checkup check_cpus() {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (sched_getaffinity(0, sizeof(cpus), &cpus) != 0) {
    return {"cpus", false, "the kernel does not say which CPUs this process may use"};
  }
  const int count = CPU_COUNT(&cpus);
  return {"cpus", true, fmt::format("{}: --jobs {} by default", count, count)};
}

/// The first line that `program` prints for `argument`; empty where it prints none in five seconds.
std::string first_line_of(const fs::path& program, const std::string& argument) {
  const fs::path output = fs::temp_directory_path() / scratch_name("doctor");
  std::string line;
  const auto child =
      scenarios::Child::start({.program = program, .arguments = {argument}, .output = output});
  if (child && (*child)->wait(5.0)) {
    std::ifstream in(output);
    std::getline(in, line);
  }
  std::error_code ignored;
  fs::remove(output, ignored);
  return line;
}

std::string squid_version() {
  constexpr std::array<const char*, 3> places = {
      "/usr/sbin/squid", "/usr/local/sbin/squid", "/usr/local/squid/sbin/squid"};
  const auto* const place = std::find_if(
      places.begin(), places.end(), [](const char* path) { return access(path, X_OK) == 0; });
  const std::string version = place == places.end() ? "" : first_line_of(*place, "-v");
  return version.empty() ? "can be started" : version;
}

Checkup check_target(const std::string& target, const std::string& when_ok) {
  scenarios::TargetConfig config;
  config.target = target;
  config.disk_bytes = scenarios::default_disk_bytes(target);
  return from_status(target, scenarios::available(config, false), when_ok);
}

bool tell_leftovers(bool clean, std::ostream& out) {
  const std::vector<Leftover> found = leftovers();
  if (clean && !found.empty()) {
    for (const std::string& trouble : clean_leftovers()) {
      out << "trouble  " << trouble << '\n';
    }
  }
  const std::vector<Leftover> left = clean ? leftovers() : found;
  for (const Leftover& leftover : found) {
    const bool stays = std::any_of(left.begin(), left.end(), [&](const Leftover& other) {
      return other.text == leftover.text;
    });
    out << (stays ? "left     " : "removed  ") << leftover.text << '\n';
  }
  if (!clean && !left.empty()) {
    out << "powercut doctor --clean removes what is left\n";
  }
  return left.empty();
}

}  // namespace

std::vector<Checkup> check_machine() {
  std::vector<Checkup> checkups;
  checkups.push_back(from_status("fuse", faultfs::mount::can_mount(), "disks can be mounted"));
  checkups.push_back(from_status(
      "namespaces", can_sandbox(), "each worker has its own processes, mounts, network"));
  checkups.push_back(check_shared_memory());
  checkups.push_back(check_cpus());
  checkups.push_back(check_target("engine", "cache-engine is here"));
  Checkup squid = check_target("squid", "");
  if (squid.ok) {
    squid.text = squid_version();
  }
  checkups.push_back(std::move(squid));
  checkups.push_back(check_target("trafficserver", "can be started"));
  return checkups;
}

bool tell(const std::vector<Checkup>& checkups, std::ostream& out) {
  for (const Checkup& checkup : checkups) {
    out << fmt::format(
        "{:<8} {:<14} {}\n", checkup.ok ? "ok" : "missing", checkup.name, checkup.text);
  }
  return std::all_of(
      checkups.begin(), checkups.end(), [](const Checkup& checkup) { return checkup.ok; });
}

int doctor(bool clean, std::ostream& out) {
  const bool healthy = tell(check_machine(), out);
  const bool tidy = tell_leftovers(clean, out);
  return healthy && tidy ? exit_ok : exit_undecided;
}

}  // namespace runner
