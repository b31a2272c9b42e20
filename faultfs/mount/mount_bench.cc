// What a request through the mount costs. Run it alone: `mount_bench`. The client is this thread,
// pinned to CPU 0; the server is on the same CPU, on another, or wherever the kernel likes.

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "faultfs/mount/mount.h"

namespace faultfs::mount {
namespace {

constexpr std::size_t block_bytes = 4096;
constexpr std::uint64_t disk_bytes = 64_MiB;

enum Placement : int { same_cpu, other_cpu, free_cpu };

void run_on(int cpu) {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  for (int number = 0; number < CPU_SETSIZE; ++number) {
    if (cpu < 0 || cpu == number) {
      CPU_SET(static_cast<unsigned>(number), &cpus);
    }
  }
  sched_setaffinity(0, sizeof cpus, &cpus);
}

/// A mounted disk, open.
class Rig {
 public:
  explicit Rig(Placement placement) {
    std::string name = (std::filesystem::temp_directory_path() / "powercut-bench-XXXXXX").string();
    directory_ = mkdtemp(name.data());
    device_ = std::move(*Device::create(*find_profile("ssd_4k_volatile"), {{"disk0", disk_bytes}}));
    run_on(-1);
    auto made = Mount::create(*device_, {directory_, true, placement == free_cpu ? -1 : placement});
    if (!made) {
      trouble_ = made.error().message;
      return;
    }
    mount_ = std::move(*made);
    run_on(placement == free_cpu ? -1 : 0);
    descriptor_ = open((directory_ / "disk0").c_str(), O_RDWR | O_CLOEXEC);
  }
  Rig(const Rig&) = delete;
  Rig& operator=(const Rig&) = delete;
  ~Rig() {
    close(descriptor_);
    mount_.reset();
    std::filesystem::remove(directory_);
  }
  [[nodiscard]] int descriptor() const { return descriptor_; }
  [[nodiscard]] const std::string& trouble() const { return trouble_; }

  /// A log that grows for ever would be measured, too.
  void keep_small() {
    if (device_->log_size() >= 8192) {
      device_->power_on(device_->snapshot());
      close(descriptor_);
      descriptor_ = open((directory_ / "disk0").c_str(), O_RDWR | O_CLOEXEC);
    }
  }

 private:
  std::filesystem::path directory_;
  std::unique_ptr<Device> device_;
  std::unique_ptr<Mount> mount_;
  int descriptor_ = -1;
  std::string trouble_;
};

template <typename Request>
void measure(benchmark::State& state, const Request& request) {
  Rig rig(static_cast<Placement>(state.range(0)));
  if (!rig.trouble().empty()) {
    state.SkipWithError(rig.trouble().c_str());
    return;
  }
  off_t offset = 0;
  for ([[maybe_unused]] auto _ : state) {
    if (!request(rig.descriptor(), offset)) {
      state.SkipWithError("a request failed");
    }
    offset = (offset + block_bytes) % static_cast<off_t>(disk_bytes);
    if (offset % static_cast<off_t>(1_MiB) == 0) {
      state.PauseTiming();
      rig.keep_small();
      state.ResumeTiming();
    }
  }
  state.SetItemsProcessed(state.iterations());
}

void write_block(benchmark::State& state) {
  const Bytes bytes(block_bytes, std::byte{7});
  measure(state, [&](int descriptor, off_t offset) {
    return pwrite(descriptor, bytes.data(), bytes.size(), offset) ==
           static_cast<ssize_t>(bytes.size());
  });
}
BENCHMARK(write_block)
    ->ArgName("server")
    ->Arg(same_cpu)
    ->Arg(other_cpu)
    ->Arg(free_cpu)
    ->UseRealTime();

void read_block(benchmark::State& state) {
  Bytes bytes(block_bytes);
  measure(state, [&](int descriptor, off_t offset) {
    return pread(descriptor, bytes.data(), bytes.size(), offset) ==
           static_cast<ssize_t>(bytes.size());
  });
}
BENCHMARK(read_block)
    ->ArgName("server")
    ->Arg(same_cpu)
    ->Arg(other_cpu)
    ->Arg(free_cpu)
    ->UseRealTime();

}  // namespace
}  // namespace faultfs::mount

BENCHMARK_MAIN();
