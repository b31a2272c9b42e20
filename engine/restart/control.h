#pragma once

/// How a start meets the control segment. The gates stand in this order, and the first that refuses
/// decides:
///
///     disabled by configuration    no shared memory; purge what an enabled run left, where asked
///     prefix_name                  no shared memory
///     (no control segment)         create one
///     control_open                 no shared memory, every object left as it is
///     control_lock, control_owner  the same: somebody lives there
///     control_race                 the same: somebody was quicker
///     control_size .. _table       drop every object, create a fresh segment
///     none                         attach: take the clean mark back before anything else
///
/// A segment that was refused is never half used. One example: a killed owner left the clean mark
/// at 0; the next start unlinks all its images, so that no later start can find them either.

#include <memory>
#include <string>
#include <vector>

#include "engine/restart/config.h"
#include "engine/restart/layout.h"
#include "engine/restart/shared_memory.h"

namespace engine::restart {

enum class Mode : std::uint8_t {
  disabled,   ///< every directory is on the heap
  fresh,      ///< nothing to attach; images are created
  attaching,  ///< rows of an orderly stopped run may be attached
};

[[nodiscard]] std::string_view mode_name(Mode mode);

/// What a start knows before it looks at shared memory.
struct StartRequest {
  Config config;
  std::vector<SpanFacts> spans;           ///< the storage; a change of it is told, not refused
  std::vector<std::string> format_facts;  ///< of the directory format, for the ABI hash
};

/// The control segment this process owns now; without an object where the mode is `disabled`.
struct ControlOpening {
  Mode mode = Mode::disabled;
  std::string prefix;
  std::unique_ptr<SharedObject> object;  ///< holds the lock
  std::unique_ptr<Mapping> mapping;
  [[nodiscard]] Control& control() const {
    return *reinterpret_cast<Control*>(mapping->bytes().data());
  }
};

/// Never fails: what cannot be used leads to `disabled`, with the gate that said so.
[[nodiscard]] ControlOpening open_control(SharedMemory& memory,
                                          const StartRequest& request,
                                          Gates& gates);

/// Stores the clean mark; every store made before is visible to whoever reads it.
void store_clean(Control& control, bool clean);

}  // namespace engine::restart
