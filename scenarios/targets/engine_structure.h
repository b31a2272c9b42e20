#pragma once

#include "engine/store.h"
#include "scenarios/targets/target.h"

namespace scenarios {

/// The engine's tables as a structure. `conservation_error` names the first slot that is not used
/// exactly once, as the table of slots and the chains together say it should be.
[[nodiscard]] Structure structure_of(const engine::Inspection& inspection);

}  // namespace scenarios
