#include "runner/paths.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <system_error>

#include <fmt/format.h>

namespace runner {
namespace {

namespace fs = std::filesystem;
using faultfs::fail;

tl::unexpected<faultfs::Error> trouble(const fs::path& path, const std::string& verb, int error) {
  return fail(fmt::format(
      "{} cannot be {}: {}", path.string(), verb, std::generic_category().message(error)));
}

/// The first directory on the way to `directory` that is not there yet; empty where all are.
fs::path first_missing(const fs::path& directory) {
  fs::path missing;
  std::error_code ignored;
  for (fs::path at = fs::absolute(directory); !fs::exists(at, ignored) && at.has_relative_path();
       at = at.parent_path()) {
    missing = at;
  }
  return missing;
}

}  // namespace

faultfs::Status can_fill(const fs::path& directory) {
  if (const auto seen = workers_see(directory); !seen) {
    return seen;
  }
  const fs::path missing = first_missing(directory);
  std::error_code error;
  fs::create_directories(directory, error);
  if (!error && !fs::is_directory(directory, error)) {
    error = std::make_error_code(std::errc::not_a_directory);
  }
  std::string probe = (directory / "powercut-XXXXXX").string();
  if (!error && mkdtemp(probe.data()) == nullptr) {
    error = std::error_code(errno, std::generic_category());
  }
  std::error_code ignored;
  if (!error) {
    fs::remove(probe, ignored);
  }
  if (!missing.empty()) {
    fs::remove_all(missing, ignored);
  }
  return error ? trouble(directory, "filled", error.value()) : faultfs::Status{};
}

faultfs::Status workers_see(const fs::path& path) {
  if (path.empty()) {
    return {};
  }
  const fs::path shared = "/dev/shm";
  std::error_code error;
  fs::path at = fs::weakly_canonical(fs::absolute(path), error);
  at = error ? fs::absolute(path).lexically_normal() : at;
  if (std::ranges::mismatch(shared, at).in1 != shared.end()) {
    return {};
  }
  return fail(fmt::format(
      "{} is not allowed: each worker has an empty /dev/shm of its own; allowed: any other place",
      path.string()));
}

faultfs::Status can_write(const fs::path& file) {
  std::error_code ignored;
  const bool there = fs::exists(file, ignored);
  const int descriptor = open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0644);
  if (descriptor < 0) {
    return trouble(file, "written", errno);
  }
  close(descriptor);
  if (!there) {
    fs::remove(file, ignored);
  }
  return {};
}

faultfs::Status can_execute(const fs::path& program) {
  std::error_code ignored;
  if (fs::is_directory(program, ignored)) {
    return trouble(program, "executed", EISDIR);
  }
  if (access(program.c_str(), X_OK) != 0) {
    return trouble(program, "executed", errno);
  }
  return {};
}

}  // namespace runner
