#pragma once

#include <memory>

#include "engine/block/device.h"
#include "engine/cyclone/config.h"
#include "engine/cyclone/live.h"
#include "engine/restart/fast_restart.h"
#include "engine/store.h"

namespace engine::cyclone {

/// Where the directory is kept from one life to the next, apart from the disk.
struct SharedDirectory {
  restart::SharedMemory* memory = nullptr;  ///< null: nowhere
  restart::Config config;                   ///< its `gates_off` come from the store's
  std::string identity = "disk";            ///< names the disk; the path of its file
  restart::Log log;                         ///< one line for every gate that refuses
  /// For each stripe, where other processes see its directory (live.h); empty: nowhere. Kept by the
  /// caller, and all of `stripe_count_max` where it is not empty.
  std::span<LiveStripe> live = {};
};

/// Opens the store on `device`, which outlives it. A blank disk, and one of another format, layout
/// or division, is cleared. Each stripe by itself: where the life before ended with `close` and
/// left its directory in `shared`, and every gate lets it pass, that is the directory; else it is
/// loaded from the disk, and recovery goes on with `tick`; until it is over every get of its keys
/// is a miss, while stripes that are ready serve. Error: the disk is too small, or the device
/// refuses.
[[nodiscard]] Result<std::unique_ptr<Store>> open_store(block::Device& device,
                                                        const Config& config,
                                                        const SharedDirectory& shared = {});
/// For inspection: writes nothing.
[[nodiscard]] Result<std::unique_ptr<Store>> open_for_inspection(block::Device& device,
                                                                 const Config& config);
/// Reads the store that another process has open on this disk, and shows through `live`: every get
/// looks into its directory, as that is now, and verifies what it finds on the disk. It is a miss
/// while that process recovers, stops, or changes just this part. Changes are refused. When the
/// other process is killed, what it acknowledged goes on being read. Error: the disk has no span
/// header.
[[nodiscard]] Result<std::unique_ptr<Store>> follow_store(block::Device& device,
                                                          const Config& config,
                                                          restart::SharedMemory& memory,
                                                          std::span<const LiveStripe> live);
/// Sets layout and division of `config` to those that the disk's span header names. Error: it has
/// no valid one, and `config` is as it was.
[[nodiscard]] Status adopt_span(block::Device& device, Config& config);
/// Where everything lies on a disk of `bytes` that is one stripe (`divide` for others). Error: it
/// is too small, or the layout is impossible.
[[nodiscard]] Result<StripeGeometry> geometry_of_disk(std::uint64_t bytes, const Layout& layout);
/// True where the disk begins with a span header of this engine.
[[nodiscard]] bool is_span(block::Device& device);

}  // namespace engine::cyclone
