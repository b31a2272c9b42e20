#include "engine/restart/purge.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include <fmt/format.h>

#include "engine/restart/config.h"

namespace engine::restart {
namespace {

Error trouble(const std::string& name, std::string_view doing, int error_number) {
  return {
      Trouble::device,
      fmt::format("{} cannot be {}: {}; nothing was removed", name, doing, reason(error_number))};
}

/// What can be said about who owns a control segment, without changing it.
bool owned_by_live(SharedMemory& memory, LockAnswer lock, const std::optional<Frozen>& frozen) {
  if (lock != LockAnswer::unsupported) {
    return lock == LockAnswer::held;
  }
  return frozen && frozen->magic == control_magic && frozen->owner != memory.own_process() &&
         memory.alive(frozen->owner);
}

/// The control segment as it was found, mapped no further than it reaches.
struct Found {
  std::unique_ptr<SharedObject> object;
  std::unique_ptr<Mapping> mapping;  ///< none where there are no 48 bytes
  std::uint64_t size_bytes = 0;
  std::optional<Frozen> frozen;
  [[nodiscard]] const Control* whole() const {
    return size_bytes == control_bytes ? reinterpret_cast<const Control*>(mapping->bytes().data())
                                       : nullptr;
  }
};

Status map_found(const std::string& name, Found& found) {
  const auto size_bytes = found.object->size_bytes();
  if (!size_bytes) {
    return tl::unexpected(trouble(name, "measured", size_bytes.error()));
  }
  found.size_bytes = *size_bytes;
  if (*size_bytes < frozen_bytes) {
    return {};
  }
  const std::uint64_t reach = *size_bytes == control_bytes ? control_bytes : frozen_bytes;
  auto mapping = found.object->map(reach, Access::read_only);
  if (!mapping) {
    return tl::unexpected(trouble(name, "mapped", mapping.error()));
  }
  found.mapping = std::move(*mapping);
  Frozen frozen;
  std::memcpy(&frozen, found.mapping->bytes().data(), sizeof frozen);
  found.frozen = frozen;
  return {};
}

}  // namespace

std::string control_name(std::string_view prefix) {
  return fmt::format("{}control", prefix);
}

std::string image_name(std::string_view prefix, std::size_t slot) {
  return fmt::format("{}s{}", prefix, slot);
}

void remove_object(SharedMemory& memory, const std::string& name, PurgeReport& report) {
  const auto unlinked = memory.unlink(name);
  if (unlinked) {
    report.removed.push_back(name);
  } else if (unlinked.error() != ENOENT) {
    report.failures.push_back(
        fmt::format("{} was not unlinked: {}", name, reason(unlinked.error())));
  }
}

void remove_rows(SharedMemory& memory,
                 std::string_view prefix,
                 const Control& control,
                 PurgeReport& report) {
  const std::size_t used = std::min<std::size_t>(control.frozen.rows_used, row_count);
  for (std::size_t slot = 0; slot < used; ++slot) {
    const std::string_view name = control.rows.at(slot).name_text();
    if (name.starts_with(prefix) && name.size() > prefix.size()) {
      remove_object(memory, std::string(name), report);
    }
  }
}

void sweep_names(SharedMemory& memory, std::string_view prefix, PurgeReport& report) {
  for (std::size_t slot = 0; slot < row_count; ++slot) {
    remove_object(memory, image_name(prefix, slot), report);
  }
}

Result<PurgeReport> purge(SharedMemory& memory, std::string_view prefix_word, Gates& gates) {
  const auto prefix = frame_prefix(prefix_word);
  if (!prefix) {
    return tl::unexpected(prefix.error());
  }
  const std::string name = control_name(*prefix);
  auto object = memory.open(name, Access::read_only);
  if (!object) {
    return object.error() == ENOENT ? Result<PurgeReport>(PurgeReport{})
                                    : tl::unexpected(trouble(name, "opened", object.error()));
  }
  Found found{std::move(*object), nullptr, 0, std::nullopt};
  // The lock comes before any decision: what is measured next cannot change any more.
  const LockAnswer lock = found.object->lock();
  const Status mapped = map_found(name, found);
  if (!mapped) {
    return tl::unexpected(mapped.error());
  }
  if (gates.on(Gate::purge_owner) && owned_by_live(memory, lock, found.frozen)) {
    std::string line = fmt::format("{} has a live owner; nothing was removed", name);
    gates.refuse(Gate::purge_owner, line);
    return fail(Trouble::busy, std::move(line));
  }
  PurgeReport report;
  const Control* const control = found.whole();
  if (control != nullptr && control->frozen.magic == control_magic) {
    remove_rows(memory, *prefix, *control, report);
  } else {
    gates.note(fmt::format("{} is {} bytes, {}; sweeping its names",
                           name,
                           found.size_bytes,
                           found.size_bytes < control_bytes ? "too small" : "not this build's"));
    sweep_names(memory, *prefix, report);
  }
  remove_object(memory, name, report);
  return report;
}

}  // namespace engine::restart
