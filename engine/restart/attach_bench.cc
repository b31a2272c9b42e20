// What an attach costs: a stripe's empty directory of the geometry of ARG GiB, sealed in real
// shared memory, is found by the next life. `attach` is all but the structural validator (open,
// lock, gates, map, digest); `validate` is the validator alone, on one core.

#include <benchmark/benchmark.h>
#include <unistd.h>

#include <optional>

#include <fmt/format.h>

#include "engine/cyclone/image.h"
#include "engine/cyclone/validate.h"
#include "engine/restart/fast_restart.h"
#include "engine/restart/purge.h"

namespace engine::restart {
namespace {

/// Two lives one after the other, under a prefix of their own.
class AttachRig {
 public:
  explicit AttachRig(std::uint64_t stripe_bytes)
      : geometry(*cyclone::make_geometry(16384, stripe_bytes, {})) {
    request.config.enabled = true;
    request.config.name_prefix = fmt::format("pcb{}", ::getpid());
    FastRestart life(posix_shared_memory(), request, nullptr);
    auto image = life.take("stripe", geometry.copy_bytes, Binding{});
    cyclone::clear_image(image->bytes(), geometry);
    cyclone::store_header(cyclone::header_of(geometry, {1, 2}), image->bytes());
    cyclone::seal(image->bytes(), geometry);
    stop(life, std::move(*image));
  }
  ~AttachRig() {
    Gates gates({}, nullptr);
    static_cast<void>(purge(posix_shared_memory(), request.config.name_prefix, gates));
  }
  AttachRig(const AttachRig&) = delete;
  AttachRig& operator=(const AttachRig&) = delete;

  static void stop(FastRestart& life, StripeImage image) {
    std::vector<SealedImage> sealed;
    sealed.push_back(std::move(image).seal(Binding{}));
    life.mark_clean(std::move(sealed));
  }

  cyclone::StripeGeometry geometry;
  StartRequest request;
};

constexpr unsigned gib_bits = 30;

void attach(benchmark::State& state) {
  AttachRig rig(static_cast<std::uint64_t>(state.range(0)) << gib_bits);
  for (auto step : state) {
    static_cast<void>(step);
    FastRestart life(posix_shared_memory(), rig.request, nullptr);
    auto image = life.take("stripe", rig.geometry.copy_bytes, Binding{});
    state.PauseTiming();
    if (!image || !image->attached()) {
      state.SkipWithError("not attached");
      break;
    }
    AttachRig::stop(life, std::move(*image));
    state.ResumeTiming();
  }
  state.counters["image_MiB"] = static_cast<double>(rig.geometry.copy_bytes >> 20U);
}
BENCHMARK(attach)->Arg(1)->Arg(64)->Unit(benchmark::kMillisecond);

void validate(benchmark::State& state) {
  AttachRig rig(static_cast<std::uint64_t>(state.range(0)) << gib_bits);
  FastRestart life(posix_shared_memory(), rig.request, nullptr);
  auto image = life.take("stripe", rig.geometry.copy_bytes, Binding{});
  for (auto step : state) {
    static_cast<void>(step);
    if (cyclone::validate_image(image->bytes(), rig.geometry)) {
      state.SkipWithError("refused");
      break;
    }
  }
  AttachRig::stop(life, std::move(*image));
  state.counters["entries_per_second"] = benchmark::Counter(
      static_cast<double>(rig.geometry.rows()), benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(validate)->Arg(1)->Arg(64)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace engine::restart
