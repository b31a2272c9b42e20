#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "engine/restart/control.h"
#include "engine/restart/gates.h"
#include "engine/restart/table.h"

namespace engine::restart {

/// What the parts of one life share; it lives as long as the last image.
class RestartLife {
 public:
  RestartLife(SharedMemory& target, const StartRequest& request, Log log);

  struct Counters {
    std::atomic<std::uint64_t> attached = 0, created = 0, heap = 0, orphans = 0;
    std::atomic<std::uint64_t> distrusted = 0, huge_pages = 0, clean_marks = 0;
  };

  SharedMemory& memory;
  const Config config;
  Gates gates;
  ControlOpening opening;
  std::optional<Table> table;  ///< none where the mode is `disabled`
  std::atomic<bool> closed = false;
  Counters counters;

  /// Maps the image of the life before, if it is what was sealed.
  [[nodiscard]] std::unique_ptr<Mapping> attach(const TableClaim& claim,
                                                std::string_view identity,
                                                std::uint64_t size_bytes);
  /// Makes a new image of zeros, replacing any of that name.
  [[nodiscard]] std::unique_ptr<Mapping> create(const TableClaim& claim,
                                                std::string_view identity,
                                                std::uint64_t size_bytes);

 private:
  [[nodiscard]] SystemResult<std::unique_ptr<Mapping>> make(const std::string& name,
                                                            std::uint64_t size_bytes);
};

[[nodiscard]] std::uint64_t image_digest(std::span<const std::byte> bytes);

}  // namespace engine::restart
