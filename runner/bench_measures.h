#pragma once

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <ctime>
#include <filesystem>
#include <fstream>

#include <fmt/format.h>

namespace runner {

/// Wall clock since `began`.
inline double seconds_since(std::chrono::steady_clock::time_point began) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
}

inline double seconds_of(const timespec& time) {
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

/// User and system time of this process so far.
inline double cpu_seconds() {
  timespec now = {};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return seconds_of(now);
}

/// A sparse file that is gone with this object.
class ScratchFile {
 public:
  ScratchFile(const std::filesystem::path& directory, std::uint64_t size_bytes)
      : path_(directory / fmt::format("powercut-{}-bench", getpid())) {
    std::ofstream(path_).close();
    std::error_code error;
    std::filesystem::resize_file(path_, size_bytes, error);
    ok_ = !error;
  }
  ~ScratchFile() {
    std::error_code ignored;
    std::filesystem::remove(path_, ignored);
  }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  ScratchFile(ScratchFile&&) = delete;
  ScratchFile& operator=(ScratchFile&&) = delete;

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  bool ok_ = false;
};

}  // namespace runner
