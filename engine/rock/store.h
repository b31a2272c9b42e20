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

/// The same view of a disk that is not in use, without changing a byte of it: no epoch, no
/// invalidations. Puts, updates and purges are `Trouble::invalid`.
[[nodiscard]] Result<std::unique_ptr<Store>> open_for_inspection(block::Device& device,
                                                                 const Config& config);

}  // namespace engine::rock
