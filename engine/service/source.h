#pragma once

#include <filesystem>
#include <memory>

#include "engine/block/file_device.h"
#include "engine/service/cache_engine.h"
#include "engine/service/options.h"

namespace engine::service {

/// A store to look at, and the disk below it where it is offline.
struct Opened {
  std::unique_ptr<block::Device> device;
  std::unique_ptr<Store> store;
  rock::Config config;
  bool cyclone = false;
};

/// Ends an inspection.
struct CloseInspection {
  void operator()(cache_engine* engine) const { cache_engine_close(engine); }
};
using InspectionHandle = std::unique_ptr<cache_engine, CloseInspection>;

/// What the C interface works on, from a source in the program's words.
[[nodiscard]] Result<InspectionHandle> inspect_source(const Source& source);

/// Opens what `source` names, recovered to the end. `read_only`: no byte of an image changes.
/// Error: there is nothing, or it is none of this engine's.
[[nodiscard]] Result<Opened> open_source(const Source& source, block::OpenMode mode);

}  // namespace engine::service
