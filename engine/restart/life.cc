#include "engine/restart/life.h"

#include <xxhash.h>

#include <cerrno>

#include <fmt/format.h>

namespace engine::restart {

RestartLife::RestartLife(SharedMemory& target, const StartRequest& request, Log log)
    : memory(target),
      config(request.config),
      gates(request.config.gates_off, std::move(log)),
      opening(open_control(target, request, gates)) {
  if (opening.mode != Mode::disabled) {
    table.emplace(opening.control(), opening.prefix, gates);
  }
}

std::unique_ptr<Mapping> RestartLife::attach(const TableClaim& claim,
                                             std::string_view identity,
                                             std::uint64_t size_bytes) {
  const auto refused = [&](Gate gate, std::string_view why) {
    gates.refuse(gate, fmt::format("stripe {} for '{}' {}; recreating", claim.name, identity, why));
    return nullptr;
  };
  const auto object = memory.open(claim.name, Access::read_write);
  if (!object) {
    return refused(Gate::image_present, "cannot be opened: " + reason(object.error()));
  }
  const auto found_bytes = (*object)->size_bytes();
  if (!found_bytes || *found_bytes != size_bytes) {
    return refused(Gate::image_size, "is not as long as its row says");
  }
  auto mapping = (*object)->map(size_bytes, Access::read_write);
  if (!mapping) {
    return refused(Gate::image_map, "cannot be mapped: " + reason(mapping.error()));
  }
  if (gates.on(Gate::image_digest) && image_digest((*mapping)->bytes()) != claim.image_digest) {
    return refused(Gate::image_digest, "is not what was sealed");
  }
  gates.note(fmt::format("attached stripe {} for '{}'", claim.name, identity));
  ++counters.attached;
  return std::move(*mapping);
}

SystemResult<std::unique_ptr<Mapping>> RestartLife::make(const std::string& name,
                                                         std::uint64_t size_bytes) {
  auto object = memory.create(name);
  if (!object && object.error() == EEXIST) {
    // Its owner was killed between two steps; the lock on the control segment makes it ours.
    static_cast<void>(memory.unlink(name));
    object = memory.create(name);
  }
  if (!object) {
    return tl::unexpected(object.error());
  }
  const auto resized = (*object)->resize(size_bytes, config.reserve_pages);
  auto mapping = resized ? (*object)->map(size_bytes, Access::read_write)
                         : SystemResult<std::unique_ptr<Mapping>>(tl::unexpected(resized.error()));
  if (!mapping) {
    static_cast<void>(memory.unlink(name));
  }
  return mapping;
}

std::unique_ptr<Mapping> RestartLife::create(const TableClaim& claim,
                                             std::string_view identity,
                                             std::uint64_t size_bytes) {
  if (claim.was_used) {
    static_cast<void>(memory.unlink(claim.name));
  }
  auto mapping = make(claim.name, size_bytes);
  if (!mapping) {
    gates.refuse(Gate::image_create,
                 fmt::format("stripe {} for '{}' cannot be made: {}; heap directory for this run",
                             claim.name,
                             identity,
                             reason(mapping.error())));
    return nullptr;
  }
  gates.note(fmt::format("created stripe {} for '{}'", claim.name, identity));
  ++counters.created;
  return std::move(*mapping);
}

std::uint64_t image_digest(std::span<const std::byte> bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

}  // namespace engine::restart
