#pragma once

#include <memory>

#include "engine/block/device.h"
#include "engine/rock/config.h"
#include "engine/store.h"

namespace engine::rock {

/// Opens the slot store on `device`, which must outlive it. A device whose database header is
/// absent or of another format or geometry is cleared. Returns at once; the rebuild runs by `tick`.
[[nodiscard]] Result<std::unique_ptr<Store>> open_store(block::Device& device,
                                                        const Config& config);

}  // namespace engine::rock
