#pragma once

#include <memory>

#include "engine/block/device.h"
#include "engine/cyclone/config.h"
#include "engine/store.h"

namespace engine::cyclone {

/// Opens the store on `device`, which outlives it. A blank disk, and one of another format or
/// layout, is cleared. Recovery goes on with `tick`; until it is over every get is a miss. Error:
/// the disk is too small, or the device refuses.
[[nodiscard]] Result<std::unique_ptr<Store>> open_store(block::Device& device,
                                                        const Config& config);
/// For inspection: writes nothing.
[[nodiscard]] Result<std::unique_ptr<Store>> open_for_inspection(block::Device& device,
                                                                 const Config& config);
/// The layout that the disk's span header names; none where it has no valid one.
[[nodiscard]] Result<Layout> layout_of(block::Device& device);
/// True where the disk begins with a span header of this engine.
[[nodiscard]] bool is_span(block::Device& device);

}  // namespace engine::cyclone
