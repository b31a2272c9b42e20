// What the hot paths cost: a crash state is an image copied, changed and thrown away.

#include <benchmark/benchmark.h>

#include "faultfs/base/random.h"
#include "faultfs/crash_model.h"
#include "faultfs/device.h"

namespace faultfs {
namespace {

/// A disk of `size_bytes` with every page written.
Image full_disk(std::uint64_t size_bytes) {
  Image image(size_bytes);
  Bytes page(Image::page_bytes);
  for (std::uint64_t at = 0; at < size_bytes; at += page.size()) {
    fill_with_noise(0, at, 0, page);
    image.write(at, page);
  }
  return image;
}

void image_copy(benchmark::State& state) {
  Image base = full_disk(static_cast<std::uint64_t>(state.range(0)) * 1_MiB);
  for (auto _ : state) {
    Image copy = base;
    benchmark::DoNotOptimize(copy);
  }
}
BENCHMARK(image_copy)->Arg(1)->Arg(5)->Arg(64);

/// Changes `range(1)` pages of a disk of `range(0)` MiB and takes them back.
void image_change_and_rewind(benchmark::State& state) {
  std::uint64_t size_bytes = static_cast<std::uint64_t>(state.range(0)) * 1_MiB;
  Image base = full_disk(size_bytes);
  Image image = base;
  Bytes page(Image::page_bytes, std::byte{1});
  Random random(1);
  for (auto _ : state) {
    for (std::int64_t n = 0; n < state.range(1); ++n) {
      image.write(random.below(size_bytes / page.size()) * page.size(), page);
    }
    image.rewind_to(base);
  }
}
BENCHMARK(image_change_and_rewind)->Args({1, 1})->Args({1, 64})->Args({64, 1})->Args({64, 64});

void image_read_64k(benchmark::State& state) {
  Image image = full_disk(5_MiB);
  Bytes into(64_KiB);
  std::uint64_t at = 0;
  for (auto _ : state) {
    image.read(at % (4 * 1_MiB), into);
    at += into.size();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(into.size()));
}
BENCHMARK(image_read_64k);

/// A log of 2000 writes of 4K to 64K with a flush after every 16.
WriteLog long_log(std::uint64_t disk_bytes) {
  WriteLog log;
  Random random(5);
  for (int n = 1; n <= 2000; ++n) {
    std::uint64_t size = (1 + random.below(4) * random.below(5)) * 4096;
    Bytes data(size, static_cast<std::byte>(random.below(256)));
    log.add_write(0, random.below((disk_bytes - size) / 4096) * 4096, data, false, log.size());
    if (n % 16 == 0) {
      log.add_flush(0, log.size());
    }
  }
  return log;
}

/// Random halves lost at ascending crash points (`range(1)` 0) or anywhere (1).
void model_build(benchmark::State& state) {
  std::uint64_t disk_bytes = static_cast<std::uint64_t>(state.range(0)) * 1_MiB;
  std::vector<Image> base{full_disk(disk_bytes)};
  WriteLog log = long_log(disk_bytes);
  CrashModel model(base, log, find_profile("ssd_4k_volatile").value());
  Random random(6);
  std::uint32_t entry = 0;
  for (auto _ : state) {
    entry = state.range(1) == 0 ? (entry + 1) % log.size()
                                : static_cast<std::uint32_t>(random.below(log.size()));
    CrashPlan plan{{CutKind::power_cut, entry, false}, {}};
    for (const VolatileWrite& write : model.volatile_writes(plan.point)) {
      if (random.chance(1, 2)) {
        Fate fate;
        fate.write = write.entry;
        fate.kind = FateKind::lost;
        plan.fates.push_back(fate);
      }
    }
    benchmark::DoNotOptimize(model.build(plan));
  }
}
BENCHMARK(model_build)->Args({1, 0})->Args({5, 0})->Args({64, 0})->Args({5, 1});

void model_create(benchmark::State& state) {
  std::vector<Image> base{full_disk(5_MiB)};
  WriteLog log = long_log(5_MiB);
  for (auto _ : state) {
    CrashModel model(base, log, find_profile("ssd_4k_volatile").value());
    benchmark::DoNotOptimize(model);
  }
}
BENCHMARK(model_create);

/// A request of `range(0)` bytes, recorded or not; the log is emptied now and then.
void device_write(benchmark::State& state) {
  auto device = Device::create(find_profile("ssd_4k_volatile").value(), {{"disk", 5_MiB}});
  device.value()->record(state.range(1) == 1);
  Bytes data(static_cast<std::size_t>(state.range(0)), std::byte{3});
  std::uint64_t at = 0;
  std::uint64_t generation = 1;
  for (auto _ : state) {
    benchmark::DoNotOptimize(device.value()->write(generation, 0, at % (4 * 1_MiB), data, false));
    at += 4096;
    if (device.value()->log_size() == 4096) {
      device.value()->power_on(device.value()->snapshot());
      ++generation;
    }
  }
}
BENCHMARK(device_write)->Args({512, 0})->Args({512, 1})->Args({4096, 0})->Args({4096, 1});

void device_read(benchmark::State& state) {
  auto device = Device::create(find_profile("ssd_4k_volatile").value(), {{"disk", 5_MiB}});
  device.value()->power_on({full_disk(5_MiB)});
  Bytes into(static_cast<std::size_t>(state.range(0)));
  std::uint64_t at = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(device.value()->read(2, 0, at % (4 * 1_MiB), into));
    at += 4096;
  }
}
BENCHMARK(device_read)->Arg(512)->Arg(4096);

}  // namespace
}  // namespace faultfs
