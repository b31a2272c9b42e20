#pragma once

#include "properties/property.h"

namespace properties {

// One function per property; its file says what it finds and what it does not.
[[nodiscard]] const Property& no_hodgepodge();
[[nodiscard]] const Property& no_foreign_bytes();
[[nodiscard]] const Property& no_unfinished_object();
[[nodiscard]] const Property& no_partial_object();
[[nodiscard]] const Property& no_unwritten_bytes();
[[nodiscard]] const Property& no_garbage();
[[nodiscard]] const Property& no_wrong_length();
[[nodiscard]] const Property& purged_stays_purged();
[[nodiscard]] const Property& no_rollback();
[[nodiscard]] const Property& recall_floor();
[[nodiscard]] const Property& slots_conserved();
[[nodiscard]] const Property& recovery_stable();
[[nodiscard]] const Property& recovery_ends();
[[nodiscard]] const Property& process_survives();

}  // namespace properties
