// The disk holds what an engine that was killed leaves: span header, both directory copies, the
// newest with a row for nearly every place there is. The documents behind the rows were never
// written (that would be 64 GiB); a read would find nothing there, and a restart reads none but
// those behind the cursor.

#include "runner/restart_bench.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <ostream>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "engine/base/random.h"
#include "engine/block/file_device.h"
#include "engine/cyclone/directory.h"
#include "engine/cyclone/image.h"
#include "engine/cyclone/span_header.h"
#include "engine/cyclone/store.h"
#include "engine/cyclone/validate.h"
#include "engine/restart/purge.h"
#include "runner/bench_measures.h"

namespace runner {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
namespace cyclone = engine::cyclone;

constexpr std::uint64_t gibibyte = 1ULL << 30U;
constexpr std::uint64_t span_bytes = 64 * gibibyte;
constexpr std::uint32_t restart_stripes = 4;
constexpr int rounds = 5;

cyclone::Config restart_config() {
  auto config = *cyclone::find_preset("hardened");
  config.division.stripes = restart_stripes;
  return config;
}

/// A directory with rows for nine places in ten, its cursor in the middle of the second lap.
std::uint64_t fill_image(std::span<std::byte> image,
                         const cyclone::StripeGeometry& geometry,
                         const cyclone::Instance& instance) {
  cyclone::clear_image(image, geometry);
  cyclone::Directory directory(image, geometry, cyclone::Eviction::oldest);
  engine::Random random(geometry.begin);
  const std::uint64_t wanted = geometry.rows() / 10 * 9;
  const std::uint64_t step =
      geometry.data_bytes() / wanted / cyclone::block_bytes * cyclone::block_bytes;
  const std::uint64_t middle = geometry.data_bytes() / 2;
  const cyclone::Window window{true, middle};
  for (std::uint64_t n = 0; n < wanted; ++n) {
    cyclone::Row row;
    row.offset_blocks = n * step / cyclone::block_bytes + 1;
    row.set_size(geometry.average_object_bytes);
    row.phase = row.data_offset() < middle;
    row.head = true;
    const std::uint64_t low = random.next();
    directory.insert(cyclone::make_key(low, random.next()), row, window);
  }
  cyclone::ImageHeader header = cyclone::header_of(geometry, instance);
  header.write_pos = header.last_write_pos = header.agg_pos =
      geometry.data_begin + middle / cyclone::store_block_bytes * cyclone::store_block_bytes;
  header.phase = 1;
  header.sync_serial = 2;
  header.write_serial = wanted;
  cyclone::store_header(header, image);
  cyclone::seal(image, geometry);
  std::uint64_t rows = 0;
  directory.for_each([&rows](std::uint32_t, std::uint32_t, const cyclone::Row&) { ++rows; });
  return rows;
}

struct Populated {
  std::uint64_t rows = 0, rows_total = 0, image_bytes = 0;
  double validate_seconds = 0;  ///< of all stripes, one core, the best of some rounds
};

engine::Result<Populated> populate(engine::block::Device& device, const cyclone::Config& config) {
  const auto places = cyclone::divide(device.size_bytes(), config.layout, config.division);
  if (!places) {
    return tl::unexpected(places.error());
  }
  cyclone::SpanHeader span;
  span.span_bytes = device.size_bytes();
  span.layout = config.layout;
  span.division = config.division;
  span.instance = {1, 2};
  Populated populated;
  for (const cyclone::StripePlace& place : *places) {
    std::vector<std::byte> image(place.geometry.copy_bytes);
    populated.rows += fill_image(image, place.geometry, span.instance);
    populated.rows_total += place.geometry.rows();
    populated.image_bytes += image.size();
    double best = 1e9;
    for (int round = 0; round < rounds; ++round) {
      const double began = cpu_seconds();
      if (const auto fault = cyclone::validate_image(image, place.geometry)) {
        return engine::fail(engine::Trouble::invalid, fault->text);
      }
      best = std::min(best, cpu_seconds() - began);
    }
    populated.validate_seconds += best;
    const auto written =
        device.write(place.geometry.copy_begin(0), image, engine::block::WriteMode::cached);
    if (!written) {
      return tl::unexpected(written.error());
    }
  }
  auto written = cyclone::write_span(device, span);
  written = written ? device.flush() : written;
  return written ? engine::Result<Populated>(populated) : tl::unexpected(written.error());
}

/// One start and its orderly end.
struct Restart {
  double open_seconds = 0, open_cpu_seconds = 0;
  double ready_seconds = 0;  ///< until recovery is over
  std::uint64_t attached = 0;
  bool ok = false;
};

Restart restart(engine::block::Device& device,
                const cyclone::Config& config,
                const cyclone::SharedDirectory& shared) {
  Restart seen;
  const auto began = Clock::now();
  const double cpu = cpu_seconds();
  const auto store = cyclone::open_store(device, config, shared);
  seen.open_seconds = seconds_since(began);
  seen.open_cpu_seconds = cpu_seconds() - cpu;
  if (!store) {
    return seen;
  }
  for (engine::Result<bool> more = true; more && *more;) {
    more = (*store)->tick();
  }
  seen.ready_seconds = seconds_since(began);
  seen.attached = (*store)->stats().counters["attached"];
  seen.ok = (*store)->close().has_value();
  return seen;
}

/// Takes the file's bytes out of the page cache.
void forget_pages(const fs::path& file) {
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor >= 0) {
    ::fdatasync(descriptor);
    ::posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
    ::close(descriptor);
  }
}

void print_restart(std::string_view name, const Restart& seen, std::ostream& out) {
  out << fmt::format("{:<34} {:>10.1f} {:>10.1f} {:>10.1f} {:>9}\n",
                     name,
                     1e3 * seen.open_seconds,
                     1e3 * seen.open_cpu_seconds,
                     1e3 * seen.ready_seconds,
                     seen.attached);
}

}  // namespace

int bench_restart(std::ostream& out) {
  const ScratchFile file(fs::temp_directory_path(), span_bytes);
  auto device = engine::block::open_file_device(file.path(), engine::block::OpenMode::read_write);
  cyclone::Config config = restart_config();
  const auto populated = file.ok() && device
                             ? populate(**device, config)
                             : engine::fail(engine::Trouble::device,
                                            fmt::format("{} cannot be made", file.path().string()));
  if (!populated) {
    out << fmt::format("restart: undecided, because {}\n", populated.error().message);
    return 3;
  }
  cyclone::SharedDirectory shared;
  shared.memory = &engine::restart::posix_shared_memory();
  shared.config.enabled = true;
  shared.config.name_prefix = fmt::format("pcb{}", getpid());
  shared.identity = file.path().string();
  out << fmt::format(
      "a cyclone of 64 GiB, {} stripes, {:.1f} million rows in use of {:.1f}, directory {} MiB\n",
      restart_stripes,
      1e-6 * static_cast<double>(populated->rows),
      1e-6 * static_cast<double>(populated->rows_total),
      populated->image_bytes >> 20U);
  out << fmt::format(
      "{:<34} {:>10} {:>10} {:>10} {:>9}\n", "start", "open ms", "CPU ms", "ready ms", "attached");
  bool ok = true;
  const auto processors = std::max(1U, std::thread::hardware_concurrency());
  for (const std::uint32_t threads : {1U, processors}) {
    config.threads = threads;
    const auto name = [threads](const char* what) {
      return fmt::format("{}, {} at a time", what, threads);
    };
    cyclone::SharedDirectory off = shared;
    off.config.enabled = false;
    forget_pages(file.path());
    config.seed = engine::mix(threads, 1);
    const Restart cold = restart(**device, config, off);
    print_restart(name("rebuild, disk not cached"), cold, out);
    config.seed = engine::mix(threads, 2);
    const Restart warm = restart(**device, config, shared);  // makes the images for the next
    print_restart(name("rebuild, disk cached"), warm, out);
    Restart best;
    best.open_seconds = 1e9;
    for (int round = 0; round < rounds; ++round) {
      config.seed = engine::mix(threads, 3 + static_cast<std::uint64_t>(round));
      const Restart attached = restart(**device, config, shared);
      ok = ok && attached.ok && attached.attached == restart_stripes;
      best = attached.open_seconds < best.open_seconds ? attached : best;
    }
    print_restart(name(fmt::format("attach (best of {})", rounds).c_str()), best, out);
    ok = ok && cold.ok && warm.ok && cold.attached == 0 && warm.attached == 0;
  }
  out << fmt::format(
      "validator alone: {:.1f} ms on one core, {:.0f} million entries per second\n",
      1e3 * populated->validate_seconds,
      1e-6 * static_cast<double>(populated->rows_total) / populated->validate_seconds);
  engine::restart::Gates gates({}, nullptr);
  static_cast<void>(engine::restart::purge(*shared.memory, shared.config.name_prefix, gates));
  if (!ok) {
    out << "restart: undecided, because not every start did what its row says\n";
  }
  return ok ? 0 : 3;
}

}  // namespace runner
