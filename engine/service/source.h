#pragma once

#include <filesystem>
#include <memory>
#include <optional>

#include "engine/block/file_device.h"
#include "engine/block/window.h"
#include "engine/service/cache_engine.h"
#include "engine/service/options.h"
#include "engine/volumes/label.h"

namespace engine::service {

/// A store to look at, and the disk below it where it is offline.
struct Opened {
  std::unique_ptr<block::Device> disk;
  std::unique_ptr<block::Window> behind;  ///< a label: what the store has of the disk
  std::optional<volumes::Label> label;
  std::unique_ptr<Store> store;
  rock::Config config;
  bool cyclone = false;

  /// What the store stands on; null where it is another process's.
  [[nodiscard]] block::Device* device() const { return behind ? behind.get() : disk.get(); }
};

/// Ends an inspection.
struct CloseInspection {
  void operator()(cache_engine* engine) const { cache_engine_close(engine); }
};
using InspectionHandle = std::unique_ptr<cache_engine, CloseInspection>;

/// What the C interface works on, from a source in the program's words.
[[nodiscard]] Result<InspectionHandle> inspect_source(const Source& source);

/// A connected stream socket to the engine that serves at `file`. Error: none answers there.
[[nodiscard]] Result<Descriptor> connect_socket(const std::filesystem::path& file);

/// Opens what `source` names, recovered to the end. `read_only`: no byte of an image changes.
/// Error: there is nothing, or it is none of this engine's.
[[nodiscard]] Result<Opened> open_source(const Source& source, block::OpenMode mode);

}  // namespace engine::service
